"""PostgreSQL as a source, against a real server: what a row reads as, and what is said when there is none."""

from __future__ import annotations

import hashlib
import logging
import os
import socket
from pathlib import Path

import numpy as np
import polars as pl
import psycopg
import pytest
from postgres_server import postgres_server

from sealscore.clients.data import DataError, SqlSource, load_records, read_source
from sealscore.clients.data.sources.postgres import BATCH_ROWS, read_only

WRONG = "wr0ng-passw0rd"


@pytest.fixture
def table(postgres, good):
    """Make a table for one test: table("name (columns)", rows...) gives its name."""
    made = []

    def make(definition: str, *rows: tuple) -> str:
        name = definition.split()[0]
        with postgres.owner() as owner:
            owner.execute(f"CREATE TABLE {definition}")
            made.append(name)
            for row in rows:
                owner.execute(f"INSERT INTO {name} VALUES ({', '.join(['%s'] * len(row))})", row)
        return name

    yield make
    with postgres.owner() as owner:
        for name in made:
            owner.execute(f"DROP TABLE {name} CASCADE")


@pytest.fixture
def loans(table, good):
    """The good file as a table."""
    columns = (
        'loans (loan text, person varchar(9), bad smallint, "day" date, "limit" numeric(12,3), late bigint, '
        "home char(4), age float8)"
    )
    table(columns, *(line.split(",") for line in good[1:]))


@pytest.fixture
def source(postgres, password_file):
    def make(table: str | None = None, **changes) -> SqlSource:
        given = {"url": postgres.url("reader"), "password_file": password_file, "table": table}
        return SqlSource(**given | changes)

    return make


def refusal(source: SqlSource, columns=None) -> str:
    with pytest.raises(DataError) as caught:
        read_source(source, columns)
    return str(caught.value)


def test_columns_come_typed_and_ordered(table, source):
    name = table(
        "kinds (id text, small int2, big int8, single float4, dbl float8, num numeric, yes boolean, day date, "
        "at timestamptz, tags int[], other text)",
        ("b", 1, 2**62, 0.1, 0.1, "12345678901234567890.100", True, "2024-05-31", "2024-05-31 23:30-05", [1], None),
        ("B", None, None, None, None, None, None, None, None, None, "x"),
    )
    wanted = ["id", "small", "big", "single", "dbl", "num", "yes", "day", "at", "tags", "not there"]
    read = read_source(source(name), wanted)
    assert read.frame.rows() == [
        ("B", *[None] * 9),
        ("b", 1, 2**62, 0.1, 0.1, "12345678901234567890.1", True, "2024-05-31", "2024-06-01 04:30:00+00", "{1}"),
    ]
    assert read.frame.dtypes[:7] == [pl.String, pl.Int64, pl.Int64, pl.Float64, pl.Float64, pl.String, pl.Boolean]
    assert read.header == (*wanted[:-1], "other")
    assert (read.unit, read.rows([0, 1])) == ("row", (1, 2))


def test_records_are_those_of_the_file(loans, source, csv, plan):
    from_file = load_records(csv(), plan, "lender-2")
    for given in (source("loans"), source("public.loans"), source(query="SELECT * FROM loans WHERE late < 100 -- all")):
        read = load_records(given, plan, "lender-2")
        assert (read.ids, read.person) == (from_file.ids, from_file.person)
        for name, values in from_file.columns.items():
            np.testing.assert_array_equal(read.columns[name], values)
        np.testing.assert_array_equal(read.label, from_file.label)
        np.testing.assert_array_equal(read.test, from_file.test)
        assert "L001" not in repr(read)


def test_a_list_of_ids_needs_a_folder_beside_a_database(loans, source, plan, tmp_path):
    content = b"P010\nP011\nP013\nP015"
    (tmp_path / "ids.txt").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    by_ids = plan.replace(evaluation__split={"kind": "ids", "test_fraction": 0.25, "file": "ids.txt", "sha256": digest})
    assert load_records(source("loans"), by_ids, "lender-1", tmp_path).test.sum() == 4
    with pytest.raises(DataError, match="no folder to seek the list of test ids in; fix: name the folder"):
        load_records(source("loans"), by_ids, "lender-1")


def test_a_row_reads_the_same_alone_and_among_others(table, source):
    name = table("cells (id int, num numeric, wide float8)", (1, "2.00", 2.0), (2, "0.333333333333333333333", 1 / 3))
    everyone = read_source(source(name), ["id", "num", "wide"]).frame
    assert everyone["wide"].to_list() == [2.0, 1 / 3]
    for row in range(2):
        alone = read_source(source(query=f"SELECT * FROM {name} WHERE id = {row + 1}"), ["id", "num", "wide"]).frame
        assert alone.row(0) == everyone.row(row)
        assert alone.schema == everyone.schema


def test_rows_come_in_batches_and_none_is_lost(source):
    rows = 2 * BATCH_ROWS + 7
    read = read_source(source(query=f"SELECT n, n % 5 AS v FROM generate_series(1, {rows}) AS n"), ["n", "v"])
    assert read.frame["n"].sum() == rows * (rows + 1) // 2
    assert read.frame["n"].cast(pl.String).to_list() == sorted(map(str, range(1, rows + 1)))


def test_an_empty_table_and_absent_columns(table, source):
    name = table("hollow (a int, b text)")
    assert read_source(source(name), ["b", "a"]).frame.schema == {"b": pl.String, "a": pl.Int64}
    read = read_source(source(name), ["c"])
    assert (read.frame.shape, read.header) == ((0, 0), ("a", "b"))


def test_a_missing_column_is_named_with_its_mend(table, source, plan):
    table('loans (loan text, person text, bad int, "day" date, credit float8, late int, home text, "Age" int)')
    with pytest.raises(DataError) as caught:
        load_records(source("loans"), plan, "lender-1")
    lines = caught.value.shown.splitlines()
    assert any("column 'limit': the column is missing; fix: add it" in line for line in lines)
    assert any("column 'age': the column is missing: there is 'Age', which could be renamed" in line for line in lines)
    assert all(line.startswith("table loans of postgresql://127.0.0.1:") for line in lines[:2])


@pytest.mark.parametrize(
    ("query", "said", "fix"),
    [
        ("SELECT 1 AS a, 2 AS a", "column 'a': the header names it twice", "keep one"),
        ("SELEC 1", "syntax error at or near", "fix the query"),
        ("SELECT nothing FROM pg_class", 'column "nothing" does not exist', "fix the query"),
        ("SELECT * FROM nowhere", 'there is no such table (relation "nowhere" does not exist)', "SCHEMA.TABLE"),
        ("SELECT 1 AS a, 'secret-id'::int AS b", "SQLSTATE 22P02", "the server's log"),
        ("SELECT pg_sleep(5) AS a", "took longer than 0.2 s", "statement_timeout_s"),
        ("SELECT * FROM pg_authid", "the user may not read it (permission denied for", "SELECT"),
    ],
)
def test_what_a_query_can_do_wrong(source, query, said, fix):
    message = refusal(source(query=query, statement_timeout_s=0.2))
    assert message.startswith("the query on postgresql://127.0.0.1:")
    assert said in message
    assert fix in message.split("fix: ")[1]
    assert "secret-id" not in message


def test_a_table_that_is_not_there_or_not_granted(postgres, table, source):
    assert ": there is no such table; fix: check its name" in refusal(source("Loans"))
    assert "there is no such table" in refusal(source("nowhere.loans"))
    name = table("closed (a int)")
    with postgres.owner() as owner:
        owner.execute("REVOKE SELECT ON closed FROM reader")
    assert f"table {name} of " in refusal(source(name))
    assert "grant the node's database user SELECT" in refusal(source(name))


def test_nothing_can_be_written_through_a_source(postgres, table, source, password_file):
    name = table("kept (a int)", (1,), (2,))
    with postgres.owner() as owner:
        owner.execute(f"GRANT ALL ON {name} TO reader")
        owner.execute(
            "CREATE OR REPLACE FUNCTION wipe() RETURNS int LANGUAGE sql AS 'DELETE FROM kept RETURNING a'; "
            "CREATE OR REPLACE FUNCTION unlock() RETURNS text LANGUAGE sql AS "
            "$$SELECT set_config('transaction_read_only', 'off', true); DELETE FROM kept RETURNING 'gone'$$"
        )
    try:
        # By itself the role may do it: what refuses below is the source.
        with psycopg.connect(postgres.url("reader"), password=password_file.read_text().strip()) as reader:
            assert len(reader.execute(f"DELETE FROM {name} RETURNING a").fetchall()) == 2
            reader.rollback()
        assert "the statement would write, and was refused" in refusal(source(query="SELECT wipe() AS a"))
        refusal(source(query="SELECT unlock() AS a"))
        refusal(source(query=f"DELETE FROM {name}"))
        refusal(source(query=f"WITH d AS (DELETE FROM {name} RETURNING a) SELECT a FROM d"))
        refusal(source(query=f"SELECT 1 AS a) AS t; COMMIT; DELETE FROM {name}; SELECT 1 FROM (SELECT 1"))
        refusal(source(f'x"; DELETE FROM {name}; --'))
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction), read_only(source(name)) as connection:
            connection.execute(f"DELETE FROM {name}")
        with postgres.owner() as owner:
            assert owner.execute(f"SELECT count(*) FROM {name}").fetchone() == (2,)
    finally:
        with postgres.owner() as owner:
            owner.execute("DROP FUNCTION wipe; DROP FUNCTION unlock")


def test_text_that_is_not_utf8_is_found_by_its_row(postgres, source):
    with postgres.owner() as owner:
        owner.execute("CREATE DATABASE bytes ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0")
    try:
        with postgres.owner("bytes", client_encoding="SQL_ASCII") as owner:
            owner.execute("CREATE TABLE people (id int, name text); GRANT SELECT ON people TO reader")
            owner.execute(f"INSERT INTO people SELECT n, 'n' FROM generate_series(100000, {100000 + BATCH_ROWS}) n")
            owner.execute("UPDATE people SET name = convert_from('Zo\\351'::bytea, 'SQL_ASCII') WHERE id = 100002")
            owner.execute("UPDATE people SET name = convert_from('Zo\\303\\253'::bytea, 'SQL_ASCII') WHERE id = 100000")
        people = source("people", url=postgres.url("reader", "bytes"))
        message = refusal(people, ["id", "name"])
        assert f"{people.name}, column 'name', row 3: text that is not UTF-8; fix: " in message
        alone = source(query="SELECT * FROM people WHERE id <> 100002", url=people.url)
        assert read_source(alone, ["id", "name"]).frame["name"][0] == "Zoë"
    finally:
        with postgres.owner() as owner:
            owner.execute("DROP DATABASE bytes WITH (FORCE)")


@pytest.mark.parametrize("encoding", ["LATIN1", "UTF8"])
def test_text_of_another_encoding_is_converted(postgres, source, encoding):
    with postgres.owner() as owner:
        owner.execute(f"CREATE DATABASE other ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0")
    try:
        query = source(query="SELECT 'Zoë'::text AS name", url=postgres.url("reader", "other"))
        assert read_source(query).frame["name"].to_list() == ["Zoë"]
    finally:
        with postgres.owner() as owner:
            owner.execute("DROP DATABASE other WITH (FORCE)")


def test_the_password_comes_from_file_environment_or_passfile(postgres, source, password_file, tmp_path, monkeypatch):
    query, password = "SELECT 1 AS a", password_file.read_text().strip()
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / "none"))
    assert read_source(source(query=query)).frame["a"].to_list() == [1]
    without = source(query=query, password_file=None)
    assert "does not accept the credentials; fix: check the user in the URL" in refusal(without)
    passfile = tmp_path / "pgpass"
    passfile.touch(mode=0o600)
    passfile.write_text(f"127.0.0.1:{postgres.port}:*:reader:{password}\n")
    assert read_source(source(query=query, password_file=None, url=f"{without.url}?passfile={passfile}")).frame.height
    monkeypatch.setenv("PGPASSFILE", str(passfile))
    assert read_source(without).frame["a"].to_list() == [1]
    passfile.unlink()
    monkeypatch.setenv("PGPASSWORD", password)
    assert read_source(without).frame["a"].to_list() == [1]
    monkeypatch.setenv("PGPASSWORD", WRONG)
    assert "does not accept the credentials" in refusal(without)
    assert read_source(source(query=query)).frame["a"].to_list() == [1]


def test_passwords_are_in_no_error_log_or_repr(postgres, source, password_file, tmp_path, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    wrong = tmp_path / "wrong"
    wrong.touch(mode=0o600)
    wrong.write_text(WRONG)
    password = password_file.read_text().strip()
    free = postgres.url("reader").replace(f":{postgres.port}/", f":{_closed_port()}/")
    tried = [
        source(query="SELECT 1", password_file=wrong),
        source("nowhere"),
        source(query="SELECT 1/0 AS a"),
        source("loans", url=free),
        source("loans", url=postgres.url("reader", "nowhere")),
        source("loans", url=postgres.url("reader", options="?sslmode=require")),
    ]
    read_source(source(query="SELECT 1 AS a"))
    for given in tried:
        with pytest.raises(DataError) as caught:
            read_source(given)
        said = [str(caught.value), repr(caught.value), repr(given), str(given)]
        # A traceback that shows the locals of frames, as some consoles do, must show none either.
        code = [(entry.frame, Path(entry.frame.code.path)) for entry in caught.traceback]
        below = [frame.f_locals for frame, path in code if "tests" not in path.parts]
        assert below
        said += [repr(value) for values in below for value in values.values()]
        assert not [text for text in said if WRONG in text or password in text]
        assert "reader" not in str(caught.value)
    shown = caplog.text + "".join(capfd.readouterr())
    assert WRONG not in shown
    assert password not in shown


def test_servers_that_cannot_be_reached(postgres, source):
    place = f"postgresql://127.0.0.1:{_closed_port()}/risk"
    message = refusal(source("loans", url=place.replace("//", "//reader@")))
    assert message.startswith(f"table loans of {place}: the server cannot be reached; fix: check host and port")
    assert "the server cannot be reached" in refusal(source("loans", url="postgresql://reader@no-host.invalid/risk"))
    assert "no such database or user" in refusal(source("loans", url=postgres.url("reader", "nowhere")))
    assert "no TLS connection" in refusal(source("loans", url=postgres.url("reader", options="?sslmode=require")))


def test_a_connection_that_breaks_while_rows_are_read(postgres, table, source):
    with postgres.owner() as owner:
        owner.execute(
            "CREATE FUNCTION public.cut() RETURNS int LANGUAGE sql SECURITY DEFINER AS "
            "'SELECT pg_terminate_backend(pg_backend_pid())::int'"
        )
    try:
        message = refusal(source(query="SELECT cut() AS a"))
        assert "the connection failed, or broke while rows were read; fix: " in message
    finally:
        with postgres.owner() as owner:
            owner.execute("DROP FUNCTION cut")


def test_the_server_of_these_tests_ends_when_a_test_fails(postgres):
    with pytest.raises(psycopg.errors.UndefinedTable), postgres_server() as another:
        another.owner().execute("SELECT * FROM nowhere")
    assert another.pid != postgres.pid
    with pytest.raises(ProcessLookupError):
        os.kill(another.pid, 0)
    with pytest.raises(psycopg.OperationalError):
        another.owner()


def _closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
