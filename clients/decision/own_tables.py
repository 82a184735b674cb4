"""A small table of the lender's own, such as its open loans, with columns of fixed names."""

from __future__ import annotations

from pathlib import Path

from sealscore.clients.data import read_table
from sealscore.clients.decision.register import DecisionError


def rows_of(path: Path, *columns: str) -> list[tuple[str, ...]]:
    """The cells of these columns as text, "" where there is none, by row.

    Raises:
        DataError: it is no table that can be read.
        DecisionError: a column is missing.
    """
    frame = read_table(path, columns).frame
    if missing := [name for name in columns if name not in frame.columns]:
        raise DecisionError("columns", f"{path}: there is no column {missing[0]!r}; it needs {', '.join(columns)}")
    rows = frame.select(columns).iter_rows()
    return [tuple("" if cell is None else str(cell).strip() for cell in row) for row in rows]
