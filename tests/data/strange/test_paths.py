"""Blanks, quotes and Chinese letters in every path; and files that another program writes while they are read."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote

import pytest
from corpus import ROWS, file, frame, parquet, sqlite_file, text

from sealscore.clients.data import ColumnMapping, DataError, SqlSource, load_records, read_source
from sealscore.clients.data.sources import csv_file, files
from sealscore.clients.deploy.socket_path import socket_fault
from sealscore.shared.plan.plan import Plan

FOLDERS = ["with a blank", "it's", 'a "quoted" one', "\u6570\u636e", "100%, #1?", "back\\slash", "loans[1]*"]


@pytest.mark.parametrize("name", FOLDERS)
def test_tables_are_read_from_any_folder(tmp_path: Path, plan: Plan, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    database = sqlite_file(frame(), folder, f"{name}.db")
    sources = (
        file(text(), f"{name}.csv")(folder),
        parquet(frame, f"{name}.parquet")(folder),
        SqlSource(f"sqlite:///{quote(str(database))}", "loans"),
    )
    for source in sources:
        assert len(load_records(ColumnMapping(source), plan, "lender-1")) == ROWS


def test_brackets_in_a_name_stand_for_no_other_file(tmp_path: Path) -> None:
    """A pattern that matches the other file would read its rows in silence."""
    path = parquet(frame, "loans[1].parquet")(tmp_path)
    parquet(lambda: frame().head(3), "loans1.parquet")(tmp_path)
    assert read_source(path).frame.height == ROWS


def test_what_a_socket_may_be_in() -> None:
    assert socket_fault(Path("/srv/\u6570\u636e"), "lender-1") is None
    assert socket_fault(Path("/srv/with a blank"), "lender-1")
    assert socket_fault(Path("/srv/" + "\u6570" * 32), "lender-1")


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
@pytest.mark.parametrize("change", ["grows", "is replaced", "is gone"])
def test_a_file_that_changes_while_it_is_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, change: str
) -> None:
    path = (file(text(), name) if name.endswith(".csv") else parquet(frame, name))(tmp_path)
    module, reader = (csv_file, "_read") if name.endswith(".csv") else (files, "_read_parquet")
    read = getattr(module, reader)

    def reading(*given: object) -> object:
        found = read(*given)
        monkeypatch.setattr(module, reader, read)
        if change == "grows":
            with path.open("ab") as out:
                out.write(b"\n")
        elif change == "is replaced":
            (tmp_path / "other").write_bytes(path.read_bytes())
            os.replace(tmp_path / "other", path)
        else:
            path.unlink()
        return found

    monkeypatch.setattr(module, reader, reading)
    with pytest.raises(DataError) as caught:
        read_source(path)
    assert [problem.code for problem in caught.value.problems] == ["changed"]
