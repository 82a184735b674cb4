"""A small table of the lender's own, such as its open loans, with columns of fixed names."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from sealscore.clients.data import read_table
from sealscore.clients.decision.register import DecisionError


def rows_of(path: Path, *columns: str, optional: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The cells of these columns as text, "" where there is none, by row; those of `optional` columns, which the table
    may lack, come last.

    Raises:
        DataError: it is no table that can be read.
        DecisionError: a column is missing.
    """
    frame = read_table(path, (*columns, *optional)).frame
    if missing := [name for name in columns if name not in frame.columns]:
        raise DecisionError("columns", f"{path}: there is no column {missing[0]!r}; it needs {', '.join(columns)}")
    lacking = [pl.lit("").alias(name) for name in optional if name not in frame.columns]
    rows = frame.with_columns(lacking).select(*columns, *optional).iter_rows()
    return [tuple("" if cell is None else str(cell).strip() for cell in row) for row in rows]
