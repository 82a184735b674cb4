"""Read a table or a query of PostgreSQL: one read-only transaction, a server-side cursor, batches, through psycopg.

Formal guarantees, as far as the server keeps its own: the transaction is READ ONLY and REPEATABLE READ, and every text
that the configuration gives is sent as one statement (PostgreSQL refuses several in a prepared one), so nothing that a
source is given can end the transaction or write. A role with SELECT alone is the second lock.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import polars as pl
import psycopg
from psycopg import errors, sql

from sealscore.clients.data.errors import DataError, Problem
from sealscore.clients.data.sources.sql import BATCH_ROWS, SqlSource, timed_out
from sealscore.clients.data.table import Table, present, refuse_twins

CONNECT_TIMEOUT_S = 10
INTEGERS = (20, 21, 23)
FLOAT4 = 700
FLOATS = (FLOAT4, 701)
BOOLEAN, NUMERIC = 16, 1700
DTYPES: dict[int, type[pl.DataType]] = {
    **dict.fromkeys(INTEGERS, pl.Int64),
    **dict.fromkeys(FLOATS, pl.Float64),
    BOOLEAN: pl.Boolean,
}
# Classes of SQLSTATE: connection exception, operator intervention.
BROKEN = ("08", "57")
UTF8_MEND = "store the text as UTF-8, or convert the column in a view"
# What PostgreSQL says in words before a session stands; later it gives codes.
REFUSALS = (
    (
        ("password authentication failed", "no password supplied", "pg_hba.conf", "SCRAM"),
        "the server does not accept the credentials",
        "check the user in the URL, and the password in password_file, PGPASSWORD or the file of PGPASSFILE",
    ),
    (
        ("SSL", "certificate"),
        "there is no TLS connection to the server",
        "have the server offer TLS, and check sslmode and sslrootcert in the URL",
    ),
    (
        ("resolve host", "host name", "refused", "timeout expired", "unreachable", "No route", "No such file"),
        "the server cannot be reached",
        "check host and port in the URL, and that the server runs and listens there",
    ),
    (("does not exist",), "the server has no such database or user", "check database and user in the URL"),
)


def read_postgres(source: SqlSource, columns: Sequence[str] | None = None, identifiers: Collection[str] = ()) -> Table:
    """Read those of `columns` that the source has (all where None is given), ordered by the first of them.

    Integers come as Int64, floats as Float64 (a float4 as its shortest decimal form says, and as Float32 where it is of
    `identifiers`, which it may not tell apart), booleans as Boolean, all
    else as PostgreSQL writes it in text, numeric without trailing zeros: exact, whatever its precision. Days and times
    are ISO 8601, a time with zone in UTC.

    Raises:
        DataError: the server cannot be reached, refuses the credentials or the statement, takes too long, has no
            such table, has a column twice, or holds text that is not UTF-8.
    """
    with read_only(source) as connection, _in_words(source):
        relation = _relation(source)
        with _in_words(source, described=False):
            # Prepared, and so refused if it is more than one statement.
            limited = sql.SQL("SELECT * FROM {} LIMIT 0").format(relation)
            head = connection.execute(limited, prepare=True).description or ()
        header = [column.name for column in head]
        wanted = present(columns, header)
        refuse_twins(source.name, sorted({name for name in wanted if header.count(name) > 1}))
        oids = {column.name: column.type_code for column in head}
        schema = {name: DTYPES.get(oids[name], pl.String) for name in wanted}
        schema |= {name: pl.Float32 for name in wanted if name in identifiers and oids[name] == FLOAT4}
        frame = pl.DataFrame(schema=schema)
        if wanted:
            _send_raw_text(connection)
            statement = _statement(relation, wanted, oids)
            frame = pl.concat([frame, *_batches(source, connection, statement, schema)])
    return Table(frame, source.name, tuple(header))


@contextmanager
def read_only(source: SqlSource) -> Iterator[psycopg.Connection]:
    """A connection in a read-only transaction, which is rolled back at the end.

    Raises:
        DataError: the server cannot be reached or refuses the credentials.
    """
    connection = _connected(source)
    if isinstance(connection, str):
        raise _connection_error(source, connection)
    try:
        connection.read_only = True
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        with _in_words(source):
            for name, value in (
                ("statement_timeout", str(max(1, round(source.statement_timeout_s * 1000)))),
                ("datestyle", "ISO"),
                ("timezone", "UTC"),
                ("extra_float_digits", "1"),
            ):
                connection.execute("SELECT set_config(%s, %s, true)", (name, value))
        yield connection
    finally:
        connection.close()


def _connected(source: SqlSource) -> psycopg.Connection | str:
    """A connection, or what is said against it: so no frame of the error that follows holds the password."""
    settings: dict[str, Any] = {"connect_timeout": CONNECT_TIMEOUT_S, **source.parameters}
    password = source.password()
    if password is not None:
        settings["password"] = password
    try:
        return psycopg.connect(**settings, client_encoding="UTF8")
    except psycopg.Error as error:
        return str(error)


def _relation(source: SqlSource) -> sql.Composable:
    if source.table is not None:
        return sql.Identifier(*source.table.split("."))
    query = str(source.query).strip().rstrip(";")
    return sql.SQL("(\n{}\n) AS source").format(sql.SQL(query))


def _statement(relation: sql.Composable, wanted: Sequence[str], oids: dict[str, int]) -> sql.Composed:
    """SELECT the wanted columns; as text what has no type of its own here, and trimmed what is numeric."""

    def cell(name: str) -> sql.Composable:
        column = sql.Identifier(name)
        if oids[name] == NUMERIC:
            return sql.SQL("trim_scale({})::text").format(column)
        return column if oids[name] in DTYPES else sql.SQL("{}::text").format(column)

    cells = sql.SQL(", ").join(cell(name) for name in wanted)
    order = sql.Identifier(wanted[0])
    return sql.SQL('SELECT {} FROM {} ORDER BY {}::text COLLATE "C"').format(cells, relation, order)


def _send_raw_text(connection: psycopg.Connection) -> None:
    """A database of encoding SQL_ASCII knows no characters: have its bytes as they are, and look at each cell."""
    if connection.info.parameter_status("server_encoding") == "SQL_ASCII":
        connection.execute("SELECT set_config('client_encoding', 'SQL_ASCII', true)")


def _batches(
    source: SqlSource,
    connection: psycopg.Connection,
    statement: sql.Composed,
    schema: dict[str, type[pl.DataType]],
) -> Iterator[pl.DataFrame]:
    with connection.cursor(name="sealscore") as cursor:
        cursor.execute(statement)
        before = 0
        while rows := cursor.fetchmany(BATCH_ROWS):
            columns: dict[str, Sequence[Any]] = dict(zip(schema, zip(*rows, strict=True), strict=True))
            texts = {name: _decoded(cells) for name, cells in columns.items() if schema[name] == pl.String}
            wrong = {name: [before + at + 1 for at in bad] for name, (_, bad) in texts.items() if bad}
            if wrong:
                value = "text that is not UTF-8"
                raise DataError([Problem(source.name, value, UTF8_MEND, name, tuple(at)) for name, at in wrong.items()])
            columns |= {name: decoded for name, (decoded, _) in texts.items()}
            yield pl.DataFrame(columns, schema=schema)
            before += len(rows)


def _decoded(cells: Sequence[Any]) -> tuple[Sequence[str | None], list[int]]:
    """The cells (text, bytes or None) as text, and the indices of those that are bytes and no UTF-8."""
    if not any(isinstance(cell, bytes) for cell in cells):
        return cells, []
    decoded, bad = [], []
    for at, cell in enumerate(cells):
        try:
            decoded.append(cell.decode("utf-8") if isinstance(cell, bytes) else cell)
        except UnicodeDecodeError:
            bad.append(at)
    return decoded, bad


@contextmanager
def _in_words(source: SqlSource, described: bool = True) -> Iterator[None]:
    """Turn what the driver raises into a DataError.

    Words of the server are shown only where they speak of the statement: in SQLSTATE class 42, and before the
    statement is `described`, while no row is read. Others may quote a cell, and a cell may be an id.
    """

    def told(error: psycopg.Error) -> str:
        words = error.diag.message_primary
        return f" ({words})" if words and not described else ""

    try:
        yield
    except (errors.UndefinedTable, errors.InvalidSchemaName) as error:
        value = f"there is no such table{'' if source.table else told(error)}"
        fix = "check its name, letter by letter, and write SCHEMA.TABLE if it is outside the user's search path"
        raise source.error(value, fix) from None
    except errors.InsufficientPrivilege as error:
        fix = "grant the node's database user SELECT on it"
        raise source.error(f"the user may not read it{told(error)}", fix) from None
    except errors.QueryCanceled:
        raise timed_out(source) from None
    except errors.ReadOnlySqlTransaction:
        fix = "give a query that only reads; the node writes nothing into a source"
        raise source.error("the statement would write, and was refused", fix) from None
    except psycopg.Error as error:
        if isinstance(error, psycopg.OperationalError) and (error.sqlstate or "08")[:2] in BROKEN:
            raise _connection_error(source, str(error)) from None
        known = ((error.sqlstate or "").startswith("42") and told(error)) or f" ({type(error).__name__})"
        fix = "fix the query, or look into the server's log"
        value = f"the server refuses the statement{known}, SQLSTATE {error.sqlstate}"
        raise source.error(value, fix) from None


def _connection_error(source: SqlSource, said: str) -> DataError:
    for marks, value, fix in REFUSALS:
        if any(mark in said for mark in marks):
            return source.error(value, fix)
    fix = "look into the server's log, check the URL, and try again"
    return source.error("the connection failed, or broke while rows were read", fix)
