"""Read a CSV file in blocks of whole records, whose number and shape are found twice: here by bytes, and by polars.

A reader of tables takes what it gets: behind a stray quote it swallows records, and a record with too few cells it
fills up. So a block is read only if its quotes open and close where a cell begins and ends, each record has as many
cells as the header, all of it is UTF-8, and both counts of records agree; that holds for columns that nobody asked for
as well. A block is read into memory before either looks at it, so both see the same bytes.
"""

from __future__ import annotations

import csv
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

import numpy as np
import polars as pl

from sealscore.clients.data.errors import DataError, Problem
from sealscore.clients.data.sources.csv_parts import LONGEST_CELL, Parts
from sealscore.clients.data.sources.csv_text import csv_text, whole_lines
from sealscore.clients.data.sources.file_kinds import AS_CSV, empty, refusal
from sealscore.clients.data.table import SEPARATORS, Table, present, refuse_twins

BLOCK = 1 << 21  # bytes; larger ones leave the cache between the two looks, and of smaller ones each call costs more
_LONGEST_RECORD = 1 << 25  # bytes
QUOTES_FIX = 'put double quotes around the whole cell, and write a double quote within it twice: "5"" screen"'
UTF8_FIX = "save it with the encoding UTF-8"
ZERO_BYTE = "a zero byte, which is no text"


class _Lines:
    """The line on which each row starts, by blocks: of a block of plain lines only their range is kept."""

    def __init__(self, blocks: Sequence[Sequence[int]]) -> None:
        self._blocks = blocks
        self._ends = np.cumsum([len(block) for block in blocks])

    def starts(self, indices: Sequence[int]) -> tuple[int, ...]:
        found = zip(indices, np.searchsorted(self._ends, indices, side="right").tolist(), strict=True)
        return tuple(int(self._blocks[at][index - int(self._ends[at])]) for index, at in found)


def read_csv(path: Path, columns: Sequence[str] | None) -> Table:
    """Read those of `columns` that the file has (all where None is given), as text.

    Blank lines are left out, a mark of UTF-8 and a first line `sep=,` are no part of the table, and lines may end in
    LF, in CR LF, or all of them in CR.

    Raises:
        DataError: it is not UTF-8, its quotes or the cells of its records are not as a CSV file has them, a cell is too
            long, or the header names a wanted column twice. It names lines, and never a cell.
    """
    with path.open("rb") as file:
        blocks = _CsvBlocks(path, file)
        header = blocks.header
        wanted = header if columns is None else columns
        refuse_twins(path.name, [name for name in dict.fromkeys(wanted) if header.count(name) > 1])
        names = present(columns, header)
        places = [header.index(name) for name in names]
        frames, starts = [pl.DataFrame(schema=dict.fromkeys(names, pl.String))], []
        for block in blocks:
            frame, lines = _read(block, places)
            frame.columns = names
            frames.append(frame)
            starts.append(lines)
    return Table(pl.concat(frames), path.name, header, "line", _Lines(starts))


@dataclass(frozen=True)
class _CsvBlock:
    """Whole records of a file, of `width` cells each; the first begins on `line`."""

    path: Path
    data: bytes = field(repr=False)
    line: int
    header: tuple[str, ...]

    @property
    def width(self) -> int:
        return len(self.header)

    @cached_property
    def parts(self) -> Parts:
        return Parts(self.data)


class _CsvBlocks:
    """A file as blocks of whole records, behind its header."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path = path
        self._text = csv_text(path, file, BLOCK)
        self._at, self._line = 0, 1
        first = whole_lines(self._text, 0, BLOCK)
        first = self._header_at(self._skip_separator_line(first))
        self.header = self._read_header(first)

    def __iter__(self) -> Iterator[_CsvBlock]:
        size = BLOCK
        while data := whole_lines(self._text, self._at, size):
            block = self._block(data)
            cut = block.parts.whole
            if not cut:
                # A record may be longer than a block.
                if size > _LONGEST_RECORD:
                    raise _torn(block)
                size *= 2
                continue
            if cut < len(data):
                block = self._block(data[:cut])
            yield block
            self._skip(cut, len(block.parts.every_end))
            size = BLOCK

    def _block(self, data: bytes) -> _CsvBlock:
        return _CsvBlock(self._path, data, self._line, self.header)

    def _skip(self, size: int, lines: int) -> None:
        self._at, self._line = self._at + size, self._line + lines
        self._text.drop(self._at)

    def _skip_separator_line(self, first: bytes) -> bytes:
        line, end, rest = first.partition(b"\n")
        if line[:4].lower() != b"sep=":
            return first
        if line.strip().strip(b'"')[4:] != b",":
            value = "its first line says that cells are separated by something else than commas"
            raise refusal(self._path, "separator", value, AS_CSV, (1,))
        self._skip(len(line + end), 1)
        return rest

    def _header_at(self, first: bytes) -> bytes:
        while first[:1] in (b"\n", b"\r") and first.strip(b"\r\n"):
            line, end, first = first.partition(b"\n")
            self._skip(len(line + end), 1)
        return first

    def _read_header(self, first: bytes) -> tuple[str, ...]:
        if not first:
            raise empty(self._path)
        cut = _first_record(first)
        if not cut:
            raise _torn(_CsvBlock(self._path, first, self._line, ("",)))
        data, line = first[:cut], self._line
        _refuse_marks(_CsvBlock(self._path, data if data.endswith(b"\n") else data + b"\n", line, ("",)))
        _refuse_no_text(_CsvBlock(self._path, data, line, ("",)))
        text = data.decode("utf-8")
        header = tuple(next(csv.reader([text.rstrip("\r\n")], strict=True), [""]))
        self._skip(cut, max(1, data.count(b"\n")))
        if len(header) > 1 and header[0].strip() and not any(cell.strip() for cell in header[1:]):
            raise _title(self._path, line)
        return header


def _first_record(data: bytes) -> int:
    """The length of the first record; 0 where a quote in it is not closed."""
    end = data.find(b"\n")
    while end >= 0 and data.count(b'"', 0, end) % 2:
        end = data.find(b"\n", end + 1)
        if end > _LONGEST_RECORD:
            return 0
    if end < 0:
        return 0 if data.count(b'"') % 2 else len(data)
    return end + 1


def _read(block: _CsvBlock, places: Sequence[int]) -> tuple[pl.DataFrame, Sequence[int]]:
    """Those columns of a block, and the line of each record.

    Raises:
        DataError: the block is no part of a well-formed file.
    """
    data = block.data
    parts = block.parts
    if not parts.plain:
        _refuse_no_text(block)
    _refuse_malformed(block)
    blank = parts.blank
    plain = not blank.any()
    frame, height = _parsed(block, data if plain else parts.without(blank), places)
    count = len(blank) - int(np.count_nonzero(blank))
    if height != count:
        value = f"{count} records by their line ends and {height} as they are read"
        raise refusal(block.path, "records", value, "export the table again, or as Parquet", (block.line,))
    if plain and len(parts.every_end) == count:
        return frame, range(block.line, block.line + count)
    lines = block.line + np.searchsorted(parts.every_end, parts.starts[~blank])
    return frame, array("q", lines.astype(np.int64).tobytes())


def _parsed(block: _CsvBlock, data: bytes, places: Sequence[int]) -> tuple[pl.DataFrame, int]:
    """The columns at `places` as text, and how many records polars found: a frame without columns has no height."""
    names = [str(place) for place in range(block.width)]
    wanted = [names[place] for place in places]
    scan = pl.scan_csv(data, has_header=False, schema=dict.fromkeys(names, pl.String))
    # A step of a query that does nothing costs as much in each block as one that does.
    found = (scan if wanted == names else scan.select(wanted or names[:1])).collect(engine="streaming")
    return found if wanted else found.select(), found.height


def _refuse_no_text(block: _CsvBlock) -> None:
    data = block.data
    if not data.isascii():
        try:
            pl.Series([data], dtype=pl.Binary).cast(pl.String)  # several times as quick as Python's own
        except pl.exceptions.PolarsError:
            raise _not_utf8(block.path) from None
    if b"\0" in data:
        line = block.line + data.count(b"\n", 0, data.index(b"\0"))
        raise refusal(block.path, "encoding", ZERO_BYTE, UTF8_FIX, (line,))


def _refuse_malformed(block: _CsvBlock) -> None:
    parts = block.parts
    _refuse_marks(block)
    wrong = (parts.cells != block.width) & ~parts.blank
    if wrong.any():
        raise _ragged(block, wrong)


def _refuse_marks(block: _CsvBlock) -> None:
    """Refuse quotes and returns in the wrong places, and cells that are too long: of records, and of a header."""
    parts = block.parts
    if parts.quote_faults.size or parts.unclosed:
        raise _torn(block)
    if (returns := parts.lone_returns).size:
        value = "a carriage return that ends no line"
        fix = "end all lines in the same way, or put double quotes around the cell that holds it"
        raise refusal(block.path, "line-end", value, fix, parts.lines(returns, block.line))
    if (long := parts.long_cells).size:
        value, fix = f"a cell of more than {LONGEST_CELL:,} characters", "shorten it, or leave the column out"
        raise refusal(block.path, "long-cell", value, fix, parts.lines(long, block.line))


def _torn(block: _CsvBlock) -> DataError:
    """Quotes that stand where no cell begins or ends, or one that is never closed."""
    parts = block.parts
    if (faults := parts.quote_faults).size:
        lines = parts.lines(faults, block.line)
        value = "a double quote where no cell begins or ends, so it cannot be told which records there are"
        return refusal(block.path, "quote", value, QUOTES_FIX, lines)
    lines = parts.lines(parts.last_quote, block.line)
    value = "the file is no well-formed CSV: a double quote is opened and never closed"
    return refusal(block.path, "quote", value, QUOTES_FIX, lines)


def _ragged(block: _CsvBlock, wrong: np.ndarray) -> DataError:
    parts = block.parts
    lines = parts.lines(parts.starts[wrong], block.line)
    cells, width = parts.cells, block.width
    if width == 1:
        if found := next((word for mark, word in SEPARATORS.items() if mark in block.header[0]), None):
            value = f"cells are separated by {found}"
            return refusal(block.path, "separator", value, f"separate cells by commas: {AS_CSV}", (1,))
        return _title(block.path, block.line - 1)
    if bool((cells[wrong] > width).all()):
        value = f"a line has more cells than the header, which has {width}"
        fix = "put double quotes around text that holds commas; write no thousands separators"
    else:
        value = f"a line has fewer cells than the header, which has {width}, or more"
        fix = "write each record with all its cells, blank ones too; put quotes around text that holds line ends"
    return refusal(block.path, "ragged", value, fix, lines)


def _title(path: Path, line: int) -> DataError:
    value = "the first line is no header of the table that follows"
    return refusal(path, "title", value, "delete the lines above the names of the columns", (line,))


def _not_utf8(path: Path) -> DataError:
    """Where a file is not UTF-8, and whether it reads as the usual encoding of a Chinese spreadsheet."""
    with path.open("rb") as data:
        lines, chinese = [], True
        for number, line in enumerate(data, start=1):
            if not _reads_as(line, "utf-8"):
                lines.append(number)
                chinese = chinese and _reads_as(line, "gb18030")
    value = "the file is not UTF-8" + (", it may be GBK (GB18030)" if chinese else "")
    return DataError([Problem(path.name, value, UTF8_FIX, rows=tuple(lines), unit="line", code="encoding")])


def _reads_as(data: bytes, encoding: str) -> bool:
    try:
        data.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True
