"""Read a partner's table from a CSV or Parquet file: only the columns that are asked for, in batches, through polars.

The cells of a CSV file stay text here. What a cell means is decided in `cells`, one cell at a time, so that a record
reads the same alone and among others (a reader that guesses types from a whole column would break this).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from sealscore.clients.data.errors import why
from sealscore.clients.data.sources.csv_file import UTF8_FIX, read_csv
from sealscore.clients.data.sources.file_kinds import refusal, refuse_other_kinds, unchanged
from sealscore.clients.data.table import Table, present

CSV_SUFFIXES = (".csv",)
PARQUET_SUFFIXES = (".parquet", ".pq")


def read_table(path: Path, columns: Sequence[str] | None = None) -> Table:
    """Read those of `columns` that the file has (all columns where None is given).

    Raises:
        DataError: the file is absent, neither CSV nor Parquet, empty, changed while it is read, names a column twice,
            or is not well formed (see `read_csv`).
    """
    suffix = path.suffix.lower()
    if suffix not in CSV_SUFFIXES + PARQUET_SUFFIXES:
        value = f"files of kind {suffix or '(none)'} are not read"
        raise refusal(path, "other-kind", value, "give a .csv or a .parquet file")
    refuse_other_kinds(path)
    with unchanged(path):
        try:
            return read_csv(path, columns) if suffix in CSV_SUFFIXES else _read_parquet(path, columns)
        except (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
            raise _unread(path, suffix, error) from None


def _read_parquet(path: Path, columns: Sequence[str] | None) -> Table:
    scan = pl.scan_parquet(path, glob=False)  # a bracket in its name is no pattern of other files
    header = tuple(scan.collect_schema().names())
    frame = scan.select(present(columns, header)).collect(engine="streaming")
    return Table(frame, path.name, header)


def _unread(path: Path, suffix: str, error: BaseException) -> Exception:
    """What polars or the system says against a file; a library's own words may quote a cell, and are not told."""
    said = why(error) if isinstance(error, Exception) else type(error).__name__
    if suffix in CSV_SUFFIXES:
        return refusal(path, "records", f"cannot be read: {said}", "export the table again as UTF-8 CSV")
    if "utf-8" in str(error).lower():
        return refusal(path, "encoding", "a column of text is not UTF-8", UTF8_FIX)
    return refusal(path, "other-kind", f"is no Parquet file: {said}", "export the table again as Parquet")
