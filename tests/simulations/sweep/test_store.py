"""The folder of a sweep: rows that are whole or not there, one writer at a time, and going on where it was."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from sealscore.simulations.sweep.config import Sweep
from sealscore.simulations.sweep.store import RECORD, TABLE, Store, SweepFolderError, read_sweep, tidy

Rows = Callable[[Sequence[dict[str, Any]]], list[dict[str, Any]]]


@pytest.fixture
def sweep(write: Callable[..., Path]) -> Sweep:
    return Sweep.load(write("[grid]\ntraining.rounds = [4, 6, 8]\n"))


def test_what_has_a_row_is_not_run_again(sweep: Sweep, rows: Rows, tmp_path: Path):
    store = Store(tmp_path / "out", sweep)
    with store.opened():
        first, *others = sweep.tasks
        store.add({**rows([{}])[0], "id": first.id})
        assert store.missing() == others
        assert store.write_table()["id"].to_list() == [first.id]
    assert Store(tmp_path / "out", sweep).missing() == others


def test_rows_stand_in_the_order_of_the_sweep_whatever_was_done_first(sweep: Sweep, rows: Rows, tmp_path: Path):
    store = Store(tmp_path / "out", sweep)
    with store.opened():
        for task in reversed(sweep.tasks):
            store.add({**rows([{}])[0], "id": task.id})
        store.write_table()
    record, frame = read_sweep(tmp_path / "out")
    assert frame["id"].to_list() == [task.id for task in sweep.tasks]
    assert record["runs"] == 3
    assert record["keys"] == ["training.rounds"]


def test_a_sweep_that_was_changed_leaves_out_rows_that_are_not_its_own(
    sweep: Sweep, rows: Rows, tmp_path: Path, write: Callable[..., Path]
):
    store = Store(tmp_path / "out", sweep)
    with store.opened():
        for task in sweep.tasks:
            store.add({**rows([{}])[0], "id": task.id})
    changed = Sweep.load(write("[grid]\ntraining.rounds = [6, 10]\n"))
    again = Store(tmp_path / "out", changed)
    assert [task.keys["training.rounds"] for task in again.missing()] == [10]
    with again.opened():
        assert again.write_table()["id"].to_list() == [sweep.tasks[1].id]


def test_a_row_that_was_being_written_is_none(sweep: Sweep, tmp_path: Path):
    store = Store(tmp_path / "out", sweep)
    with store.opened():
        pass
    left = tmp_path / "out" / "rows" / f".{sweep.tasks[0].id}.json.partial"
    left.write_text('{"id": ')
    assert len(store.missing()) == 3
    with store.opened():
        assert not left.exists()


def test_one_sweep_at_a_time(sweep: Sweep, tmp_path: Path):
    with (
        Store(tmp_path / "out", sweep).opened(),
        pytest.raises(SweepFolderError, match="another sweep is writing into it"),
        Store(tmp_path / "out", sweep).opened(),
    ):
        pass
    with Store(tmp_path / "out", sweep).opened():
        pass


def test_a_folder_that_cannot_be_made(sweep: Sweep, tmp_path: Path):
    (tmp_path / "file").write_text("x")
    with (
        pytest.raises(SweepFolderError, match="cannot be written"),
        Store(tmp_path / "file" / "out", sweep).opened(),
    ):
        pass


def test_columns_have_one_kind(rows: Rows):
    frame = tidy(rows([{"a": 1, "c": "x"}, {"a": 2.5, "b": None, "c": 3}, {"b": True}]))
    assert frame["a"].to_list() == [1.0, 2.5, None]
    assert frame["b"].to_list() == [None, None, True]
    assert frame["c"].to_list() == ["x", "3", None]
    assert frame.schema["lenders"] == pl.Int64
    assert tidy([]).is_empty()


def test_a_folder_without_a_sweep(sweep: Sweep, tmp_path: Path):
    with pytest.raises(SweepFolderError, match="holds no sweep"):
        read_sweep(tmp_path)
    store = Store(tmp_path / "out", sweep)
    with store.opened():
        store.write_table()
    with pytest.raises(SweepFolderError, match="no run of this sweep is finished yet"):
        read_sweep(tmp_path / "out")
    (tmp_path / "out" / TABLE).write_bytes(b"PAR1")
    with pytest.raises(SweepFolderError, match="holds no sweep"):
        read_sweep(tmp_path / "out")
    assert json.loads((tmp_path / "out" / RECORD).read_text())["file"] == sweep.text
