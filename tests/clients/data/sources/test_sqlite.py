"""SQLite files as a source."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import numpy as np
import pytest

from sealscore.clients.data import DataError, SqlSource, load_records, read_source
from sealscore.clients.data.sources.sqlite import BATCH_ROWS, read_only


@pytest.fixture
def database(tmp_path):
    """Run statements in a file and get the source of a table in it: database("loans", "CREATE ...", (SQL, rows))."""

    def make(table: str | None, *statements, **changes) -> SqlSource:
        path = tmp_path / "risk.db"
        with closing(sqlite3.connect(path)) as connection, connection:
            for statement in statements:
                if isinstance(statement, tuple):
                    connection.executemany(*statement)
                else:
                    connection.execute(statement)
        return SqlSource(f"sqlite:///{path}", table, **changes)

    return make


def refusal(source: SqlSource, columns=None) -> str:
    with pytest.raises(DataError) as caught:
        read_source(source, columns)
    return str(caught.value)


def test_cells_come_as_text_whatever_their_type(database):
    rows = [("b", 1), ("B", 0.1), ("c", "x"), ("d", None), ("e", 1e23)]
    source = database("t", "CREATE TABLE t (id TEXT, v, w)", ("INSERT INTO t VALUES (?, ?, 0)", rows))
    read = read_source(source, ["id", "v", "absent"])
    expected = [("B", "0.1"), ("b", "1"), ("c", "x"), ("d", None), ("e", "100000000000000000000000")]
    assert read.frame.rows() == expected
    assert (read.header, read.source) == (("id", "v", "w"), "table t of risk.db")
    for row, cells in zip(("B", "b", "c", "d", "e"), expected, strict=True):
        alone = database(None, query=f"SELECT * FROM t WHERE id = '{row}';")
        assert read_source(alone, ["id", "v"]).frame.rows() == [cells]


def test_records_are_those_of_the_file(database, csv, plan, good):
    rows = [line.split(",") for line in good[1:]]
    columns = 'loan TEXT, person TEXT, bad INTEGER, "day" TEXT, "limit" REAL, late INTEGER, home TEXT, age INTEGER'
    source = database("loans", f"CREATE TABLE loans ({columns})", ("INSERT INTO loans VALUES (?,?,?,?,?,?,?,?)", rows))
    read, from_file = load_records(source, plan, "lender-2"), load_records(csv(), plan, "lender-2")
    assert read.ids == from_file.ids
    for name, values in from_file.columns.items():
        np.testing.assert_array_equal(read.columns[name], values)
    np.testing.assert_array_equal(read.label, from_file.label)


def test_rows_come_in_batches_and_none_is_lost(database):
    numbers = [(n,) for n in range(2 * BATCH_ROWS + 7)]
    source = database("t", "CREATE TABLE t (n INTEGER)", ("INSERT INTO t VALUES (?)", numbers))
    assert read_source(source).frame["n"].to_list() == sorted(str(n) for (n,) in numbers)


def test_text_that_is_not_utf8_and_blobs_are_found_by_their_rows(database):
    rows = [(n, "x") for n in range(10_000, 10_000 + BATCH_ROWS + 5)]
    source = database(
        "t",
        "CREATE TABLE t (id INTEGER, v)",
        ("INSERT INTO t VALUES (?, ?)", rows),
        "UPDATE t SET v = CAST(x'5a6fe9' AS TEXT) WHERE id IN (10001, 10003)",
        "UPDATE t SET v = x'00' WHERE id = 10002",
    )
    lines = refusal(source, ["id", "v"]).splitlines()
    assert "table t of risk.db, column 'v', rows 2, 4: text that is not UTF-8; fix: " in lines[0]
    assert "table t of risk.db, column 'v', row 3: a blob, where text" in lines[1]
    later = database(None, query=f"SELECT id - {BATCH_ROWS} AS id, v FROM t WHERE id > 10003 UNION SELECT 99999, x'00'")
    assert f"row {BATCH_ROWS + 2}: a blob" in refusal(later, ["id", "v"])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"table": "Nowhere"}, "table Nowhere of risk.db: there is no such table; fix: check its name"),
        ({"query": "SELEC 1"}, 'SQLite refuses the statement (near "1": syntax error)'),
        ({"query": "SELECT b FROM t"}, "SQLite refuses the statement (no such column: b)"),
        ({"query": "SELECT * FROM nowhere"}, "SQLite refuses the statement (no such table: nowhere)"),
        ({"query": "SELECT 1 AS a, 2 AS a"}, "the query on risk.db, column 'a': the header names it twice"),
        (
            {
                "query": "WITH RECURSIVE n(a) AS (SELECT 1 UNION ALL SELECT a + 1 FROM n) SELECT sum(a) AS a FROM n",
                "statement_timeout_s": 0.2,
            },
            "took longer than 0.2 s and was given up (statement_timeout_s)",
        ),
    ],
)
def test_what_a_source_can_do_wrong(database, changes, said):
    database("t", "CREATE TABLE t (a INTEGER)")
    assert said in refusal(database(**{"table": None} | changes))


def test_files_that_are_no_database(tmp_path):
    path = tmp_path / "risk.db"
    source = SqlSource(f"sqlite:///{path}", "t")
    assert "table t of risk.db: there is no such file; fix: give the path" in refusal(source)
    path.write_bytes(b"a,b\n1,2\n" * 200)
    assert "the file is no SQLite database, or damaged" in refusal(source)


def test_nothing_can_be_written_through_a_source(database):
    source = database("t", "CREATE TABLE t (a INTEGER)", ("INSERT INTO t VALUES (?)", [(1,), (2,)]))
    before = source.path.read_bytes()
    refusal(database(None, query="DELETE FROM t"))
    refusal(database(None, query="SELECT 1); DELETE FROM t; SELECT * FROM (SELECT 1"))
    refusal(database('t"; DELETE FROM t; --'))
    with read_only(source) as connection, pytest.raises(sqlite3.OperationalError, match="readonly database"):
        connection.execute("DELETE FROM t")
    assert source.path.read_bytes() == before
