"""Read a partner's table from CSV or Parquet: the columns that are asked for and no others, lazily, through polars.

The cells of a CSV file stay text here. What a cell means is decided in `cells`, one cell at a time, so that a record
reads the same alone and among others (a reader that guesses types from a whole column would break this).
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from clients.data.errors import DataError, Problem
from shared.schema import TableSchema

CSV_SUFFIXES = (".csv",)
PARQUET_SUFFIXES = (".parquet", ".pq")


@dataclass(frozen=True)
class Table:
    """A frame and where it came from.

    `header` names all columns of the source, also those that were not read. `lines` holds the line of the file on
    which each row of a CSV starts; None counts rows from 1.
    """

    frame: pl.DataFrame = field(repr=False)
    source: str
    header: tuple[str, ...]
    unit: str = "row"
    lines: _Lines | None = field(default=None, repr=False)

    @classmethod
    def of(cls, frame: pl.DataFrame, source: str) -> Table:
        """A table that is in memory already."""
        return cls(frame, source, tuple(frame.columns))

    def rows(self, indices: Sequence[int]) -> tuple[int, ...]:
        """The numbers by which a person finds the rows at `indices` (from 0)."""
        if self.lines is None:
            return tuple(int(index) + 1 for index in indices)
        return self.lines.starts(indices)


class _Lines:
    """Finds the lines of rows when there is something to complain about; reading a clean file pays nothing for it."""

    def __init__(self, path: Path, kept: tuple[int, ...] | None) -> None:
        self._path = path
        self._kept = kept
        self._starts: list[int] | None = None

    def starts(self, indices: Sequence[int]) -> tuple[int, ...]:
        if self._starts is None:
            self._starts = [line for line, _ in _csv_rows(self._path)]
        kept = range(len(self._starts)) if self._kept is None else self._kept
        return tuple(self._starts[kept[index]] for index in indices)


def _csv_rows(path: Path) -> list[tuple[int, bool]]:
    """For each row below the header the line on which it starts, and whether that line is blank."""
    rows = []
    with path.open(encoding="utf-8-sig", newline="") as text:
        reader = csv.reader(text)
        next(reader, None)
        start = reader.line_num + 1
        for cells in reader:
            rows.append((start, not cells))
            start = reader.line_num + 1
    return rows


def columns_of(schema: TableSchema, label: bool = True) -> tuple[str, ...]:
    """The columns that a schema speaks of, the id first; without the label column on demand."""
    special = (schema.id, schema.person, schema.label if label else None, schema.date, schema.consent)
    return (*(name for name in special if name), *(feature.name for feature in schema.features))


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
        _refuse_twins(path, header, header if columns is None else columns)
        frame = scan.select(_present(columns, header)).collect()
    except pl.exceptions.ComputeError as error:
        raise _csv_error(path, str(error)) from None
    except (OSError, pl.exceptions.PolarsError) as error:
        raise _error(path, f"cannot be read: {_first_line(error)}", "export the table again as UTF-8 CSV") from None
    frame, kept = _without_blank_lines(path, frame)
    return Table(frame, path.name, header, "line", _Lines(path, kept))


def _read_parquet(path: Path, columns: Sequence[str] | None) -> Table:
    try:
        scan = pl.scan_parquet(path)
        header = tuple(scan.collect_schema().names())
        frame = scan.select(_present(columns, header)).collect()
    except (OSError, pl.exceptions.PolarsError) as error:
        raise _error(path, f"is no Parquet file: {_first_line(error)}", "export the table again as Parquet") from None
    return Table(frame, path.name, header)


def _present(columns: Sequence[str] | None, header: Sequence[str]) -> list[str]:
    return list(header) if columns is None else [name for name in columns if name in header]


def _without_blank_lines(path: Path, frame: pl.DataFrame) -> tuple[pl.DataFrame, tuple[int, ...] | None]:
    """Drop lines with nothing on them at all, as at the end of many exports; polars reads them as rows of nulls."""
    if frame.width == 0 or not frame.select(pl.all_horizontal(pl.all().is_null()).any()).item():
        return frame, None
    kept = [row for row, (_, blank) in enumerate(_csv_rows(path)) if not blank]
    return frame[kept], tuple(kept)


def _refuse_twins(path: Path, header: Sequence[str], wanted: Sequence[str]) -> None:
    twins = [name for name in wanted if f"{name}_duplicated_0" in header]
    if twins:
        mend = "keep one column of each name"
        raise DataError([Problem(path.name, "the header names it twice", mend, column=name) for name in twins])


def _csv_error(path: Path, message: str) -> DataError:
    if "utf-8" in message.lower():
        return _error(path, "the file is not UTF-8", "save it with the encoding UTF-8")
    if "more fields" in message:
        return _error(
            path,
            "a line has more cells than the header",
            "put double quotes around text that holds commas; write no thousands separators",
        )
    return _error(path, "the file is no well-formed CSV", "look for a double quote that is opened and never closed")


def _error(path: Path, value: str, mend: str) -> DataError:
    return DataError([Problem(path.name, value, mend)])


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:120]
