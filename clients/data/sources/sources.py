"""The one way to a partner's table: a CSV or Parquet file by its path, a table or query of a database by its URL."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import polars as pl

from sealscore.clients.data.errors import DataError, Problem
from sealscore.clients.data.sources.csv_file import UTF8_FIX, ZERO_BYTE
from sealscore.clients.data.sources.files import read_table
from sealscore.clients.data.sources.sql import SqlSource
from sealscore.clients.data.table import Table

Source = Path | SqlSource


def read_source(source: Source, columns: Sequence[str] | None = None, identifiers: Collection[str] = ()) -> Table:
    """Read those of `columns` that the source has (all columns where None is given), in batches.

    The rows of a file come in its own order; those of a database in the order of the first column that is read,
    compared as text byte by byte, so that two readings of the same rows are the same. Of the `identifiers` among the
    columns floats are kept such that `cells.inexact` finds those that may stand for several.

    Raises:
        DataError: the source cannot be read as a table; it names the source (never its credentials) and the fix.
    """
    if isinstance(source, Path):
        return _without_zero_bytes(read_table(source, columns))
    # Each driver is imported when a source needs it: a node with files should not depend on a database's library.
    if source.is_sqlite:
        from sealscore.clients.data.sources.sqlite import read_sqlite

        return _without_zero_bytes(read_sqlite(source, columns, identifiers))
    from sealscore.clients.data.sources.postgres import read_postgres

    return read_postgres(source, columns, identifiers)


def _without_zero_bytes(table: Table) -> Table:
    """The table as it is; a zero byte in a text is refused, as a CSV's is: programs in C end the text there."""
    problems = [
        Problem(table.source, ZERO_BYTE, UTF8_FIX, column.name, table.rows(found), table.unit, code="encoding")
        for column in table.frame.iter_columns()
        if column.dtype == pl.String and (found := column.str.contains("\0", literal=True).arg_true().to_list())
    ]
    if problems:
        raise DataError(problems)
    return table
