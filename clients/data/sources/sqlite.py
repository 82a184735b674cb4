"""Read a table or a query of an SQLite file, opened for reading only, in batches.

SQLite keeps a type with every cell and not with a column, so every cell comes as text, as from a CSV file: what a
record reads as cannot depend on the other cells of its column.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing, contextmanager

import polars as pl

from sealscore.clients.data.cells import as_inexact, decimal
from sealscore.clients.data.errors import DataError, Problem
from sealscore.clients.data.sources.sql import BATCH_ROWS, SqlSource, timed_out
from sealscore.clients.data.table import Table, present, refuse_twins

BUSY_TIMEOUT_S = 10
# How many steps of SQLite's machine pass between two looks at the clock.
STEPS = 100_000


class _NotText(bytes):
    """A cell that is text by its type and no UTF-8."""


def read_sqlite(source: SqlSource, columns: Sequence[str] | None = None, identifiers: Collection[str] = ()) -> Table:
    """Read those of `columns` that the source has (all where None is given), ordered by the first of them, as text.

    Of `identifiers` a float that may stand for several stays one to see.

    Raises:
        DataError: there is no such file or table, it is no SQLite database, the statement is refused or takes too
            long, a column is there twice, or a cell is a blob or no UTF-8.
    """
    with read_only(source) as connection, _in_words(source):
        relation = _relation(source)
        with _in_words(source, compiled=False):
            connection.execute(f"EXPLAIN SELECT * FROM {relation}").close()
        header = [column[0] for column in connection.execute(f"SELECT * FROM {relation} LIMIT 0").description]
        wanted = present(columns, header)
        # SQLite renames the second of two columns of a query's name.
        refuse_twins(source.name, [name for name in wanted if f"{name}:1" in header])
        frame = pl.DataFrame(schema=dict.fromkeys(wanted, pl.String))
        if wanted:
            cells = ", ".join(_quoted(name) for name in wanted)
            order = f"CAST({_quoted(wanted[0])} AS BLOB)"
            cursor = connection.execute(f"SELECT {cells} FROM {relation} ORDER BY {order}")
            frame = pl.concat([frame, *_batches(source, cursor, wanted, identifiers)])
    return Table(frame, source.name, tuple(header))


@contextmanager
def read_only(source: SqlSource) -> Iterator[sqlite3.Connection]:
    """A connection that can read and not write.

    Raises:
        DataError: there is no such file.
    """
    if not source.path.is_file():
        raise source.error("there is no such file", "give the path of the database in the node's configuration")
    uri = f"{source.path.resolve().as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S)) as connection:
        connection.text_factory = _text
        end = time.monotonic() + source.statement_timeout_s
        connection.set_progress_handler(lambda: time.monotonic() > end, STEPS)
        yield connection


def _relation(source: SqlSource) -> str:
    if source.table is not None:
        return ".".join(_quoted(part) for part in source.table.split("."))
    return "(\n" + str(source.query).strip().rstrip(";") + "\n)"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(data: bytes) -> str | _NotText:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return _NotText(data)


def _batches(
    source: SqlSource, cursor: sqlite3.Cursor, wanted: Sequence[str], identifiers: Collection[str]
) -> Iterator[pl.DataFrame]:
    before = 0
    while rows := cursor.fetchmany(BATCH_ROWS):
        columns = dict(zip(wanted, zip(*rows, strict=True), strict=True))
        problems = [
            Problem(source.name, value, fix, name, tuple(before + at + 1 for at in bad))
            for name, cells in columns.items()
            for value, fix, bad in _unreadable(cells)
        ]
        if problems:
            raise DataError(problems)
        yield pl.DataFrame(
            {
                name: [_written(cell, as_inexact if name in identifiers else decimal) for cell in cells]
                for name, cells in columns.items()
            },
            schema=dict.fromkeys(wanted, pl.String),
        )
        before += len(rows)


def _unreadable(cells: Sequence[object]) -> Iterator[tuple[str, str, list[int]]]:
    binary = [at for at, cell in enumerate(cells) if isinstance(cell, bytes)]
    strange = [at for at in binary if isinstance(cells[at], _NotText)]
    if strange:
        yield "text that is not UTF-8", "store the text as UTF-8", strange
    if len(binary) > len(strange):
        blobs = [at for at in binary if not isinstance(cells[at], _NotText)]
        yield "a blob, where text or a number is needed", "store it as text or as a number", blobs


def _written(cell: object, number: Callable[[float], str]) -> str | None:
    if cell is None or isinstance(cell, str):
        return cell
    return number(cell) if isinstance(cell, float) else str(cell)


@contextmanager
def _in_words(source: SqlSource, compiled: bool = True) -> Iterator[None]:
    """Turn what SQLite raises into a DataError.

    Its words are shown before the statement is `compiled`, while they can speak of the statement alone: those of a
    function in it that meets a cell which it cannot take may quote that cell.
    """
    try:
        yield
    except (sqlite3.Error, sqlite3.Warning) as error:
        said, code = str(error), getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_INTERRUPT:
            raise timed_out(source) from None
        if source.table is not None and said.startswith("no such table"):
            raise source.error("there is no such table", "check its name, letter by letter") from None
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise source.error("another program has locked the file", "read it again when that is done") from None
        if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
            raise source.error("the file is no SQLite database, or damaged", "export it again") from None
        if compiled:
            said = getattr(error, "sqlite_errorname", type(error).__name__)
        raise source.error(f"SQLite refuses the statement ({said})", "fix the query") from None
