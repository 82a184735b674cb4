"""Blocks of a CSV file: wherever they are cut, each record is read once and whole."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from sealscore.clients.data.sources import csv_file
from sealscore.clients.data.sources.csv_file import read_csv


@pytest.mark.parametrize("block", [64, 96, 257])
def test_line_ends_in_several_cells_of_a_record_are_no_end_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
):
    """The cut falls into the first cell of some records and into the second of others."""
    monkeypatch.setattr(csv_file, "BLOCK", block)
    path = tmp_path / "notes.csv"
    for padding in range(block):
        rows = [["x" * padding, "plain", "0"], *([f"l{at}\nm", f"n\n\no{at}", f"{at}"] for at in range(12))]
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([["a", "b", "c"], *rows])
        found = read_csv(path, None).frame
        assert found.select("b", "c").rows() == [tuple(row[1:]) for row in rows], padding
