"""Read a partner's table from a CSV or Parquet file: only the columns that are asked for, in batches, through polars.

The cells of a CSV file stay text here. What a cell means is decided in `cells`, one cell at a time, so that a record
reads the same alone and among others (a reader that guesses types from a whole column would break this).
"""

from __future__ import annotations

import csv
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from sealscore.clients.data.errors import DataError, Problem, why
from sealscore.clients.data.table import Table, present, refuse_twins

CSV_SUFFIXES = (".csv",)
PARQUET_SUFFIXES = (".parquet", ".pq")
UTF8_MEND = "save it with the encoding UTF-8"


class _Lines:
    """Finds the lines of rows when there is something to complain about; reading a clean file pays nothing for it."""

    def __init__(self, path: Path, kept: Sequence[int] | None) -> None:
        self._path = path
        self._kept = kept
        self._starts: Sequence[int] | None = None

    def starts(self, indices: Sequence[int]) -> tuple[int, ...]:
        if self._starts is None:
            self._starts = array("q", (line for line, _ in _csv_rows(self._path)))
        kept = range(len(self._starts)) if self._kept is None else self._kept
        return tuple(self._starts[kept[index]] for index in indices)


def _csv_rows(path: Path) -> Iterator[tuple[int, bool]]:
    """For each row below the header the line on which it starts, and whether that line is blank."""
    with path.open(encoding="utf-8-sig", newline="") as text:
        reader = csv.reader(text)
        next(reader, None)
        start = reader.line_num + 1
        for cells in reader:
            yield start, not cells
            start = reader.line_num + 1


def read_table(path: Path, columns: Sequence[str] | None = None) -> Table:
    """Read those of `columns` that the file has (all columns where None is given).

    Raises:
        DataError: the file is absent, neither CSV nor Parquet, empty, not UTF-8, ragged, or names a column twice.
    """
    suffix = path.suffix.lower()
    if suffix not in CSV_SUFFIXES + PARQUET_SUFFIXES:
        raise _error(path, f"files of kind {suffix or '(none)'} are not read", "give a .csv or a .parquet file")
    if not path.is_file():
        raise _error(path, "there is no such file", "give the path of the table in the node's configuration")
    if path.stat().st_size == 0:
        raise _error(path, "the file is empty", "export the table again, with its header and its rows")
    return _read_csv(path, columns) if suffix in CSV_SUFFIXES else _read_parquet(path, columns)


def _read_csv(path: Path, columns: Sequence[str] | None) -> Table:
    try:
        scan = pl.scan_csv(path, infer_schema=False)
        header = tuple(scan.collect_schema().names())
        wanted = header if columns is None else columns
        refuse_twins(path.name, [name for name in wanted if f"{name}_duplicated_0" in header])
        frame = scan.select(present(columns, header)).collect(engine="streaming")
    except pl.exceptions.ComputeError as error:
        raise _csv_error(path, str(error)) from None
    except (OSError, pl.exceptions.PolarsError) as error:
        raise _error(path, f"cannot be read: {why(error)}", "export the table again as UTF-8 CSV") from None
    frame, kept = _without_blank_lines(path, frame)
    return Table(frame, path.name, header, "line", _Lines(path, kept))


def _read_parquet(path: Path, columns: Sequence[str] | None) -> Table:
    try:
        scan = pl.scan_parquet(path)
        header = tuple(scan.collect_schema().names())
        frame = scan.select(present(columns, header)).collect(engine="streaming")
    except (OSError, pl.exceptions.PolarsError) as error:
        if "utf-8" in str(error).lower():
            raise _error(path, "a column of text is not UTF-8", UTF8_MEND) from None
        raise _error(path, f"is no Parquet file: {why(error)}", "export the table again as Parquet") from None
    return Table(frame, path.name, header)


def _without_blank_lines(path: Path, frame: pl.DataFrame) -> tuple[pl.DataFrame, Sequence[int] | None]:
    """Drop lines with nothing on them at all, as at the end of many exports; polars reads them as rows of nulls."""
    if frame.width == 0 or not frame.select(pl.all_horizontal(pl.all().is_null()).any()).item():
        return frame, None
    kept = array("q", (row for row, (_, blank) in enumerate(_csv_rows(path)) if not blank))
    return frame[np.asarray(kept)], kept


def _csv_error(path: Path, message: str) -> DataError:
    if "utf-8" in message.lower():
        lines = _lines_not_utf8(path)
        return DataError([Problem(path.name, "the file is not UTF-8", UTF8_MEND, rows=lines, unit="line")])
    if "more fields" in message:
        return _error(
            path,
            "a line has more cells than the header",
            "put double quotes around text that holds commas; write no thousands separators",
        )
    return _error(path, "the file is no well-formed CSV", "look for a double quote that is opened and never closed")


def _lines_not_utf8(path: Path) -> tuple[int, ...]:
    with path.open("rb") as data:
        return tuple(number for number, line in enumerate(data, start=1) if not _is_utf8(line))


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _error(path: Path, value: str, fix: str) -> DataError:
    return DataError([Problem(path.name, value, fix)])
