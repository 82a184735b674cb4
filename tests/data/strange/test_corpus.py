"""Every kind of strange table ends as the corpus says, by whichever source it comes; nothing is misread in silence."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from corpus import (
    CASES,
    COLUMNS,
    ROWS,
    Case,
    cells,
    file,
    frame,
    full_width_text,
    lay,
    parquet,
    quoted,
    rows,
    sources_of,
    sqlite_file,
)
from corpus import text as csv_text
from postgres_server import PostgresServer

from sealscore.clients.data import ColumnMapping, DataError, SqlSource, load_records, read_source
from sealscore.clients.data.consents import ConsentTable
from sealscore.shared.persons.consent import FEDERATION
from sealscore.shared.persons.records import Records
from sealscore.shared.plan.plan import Plan

TYPES = {pl.Int64: "bigint", pl.Float64: "float8", pl.Boolean: "boolean", pl.Date: "date", pl.String: "text"}
UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
Source = Path | SqlSource


@pytest.fixture
def in_postgres(postgres: PostgresServer, password_file: Path) -> Iterator[Callable[[pl.DataFrame], SqlSource]]:
    """Lay a frame into a table of PostgreSQL's own types, moments as timestamptz."""

    def make(table: pl.DataFrame) -> SqlSource:
        kinds = [TYPES.get(dtype.base_type(), "timestamptz") for dtype in table.dtypes]
        columns = ", ".join(f"{quoted(name)} {kind}" for name, kind in zip(table.columns, kinds, strict=True))
        with postgres.owner() as owner:
            owner.execute(f"CREATE TABLE strange ({columns})")
            with owner.cursor() as cursor:
                marks = ", ".join(["%s"] * table.width)
                cursor.executemany(f"INSERT INTO strange VALUES ({marks})", table.rows())
        return SqlSource(postgres.url("reader"), "strange", password_file=password_file)

    yield make
    with postgres.owner() as owner:
        owner.execute("DROP TABLE IF EXISTS strange")


def sqlite(path: Path) -> SqlSource:
    return SqlSource(f"sqlite:///{path}", "loans")


def consents_of(case: Case, folder: Path) -> ConsentTable | None:
    if case.consents is None:
        return None
    days = {name: name for name in ("given", "expires", "withdrawn")}
    return ConsentTable(case.consents(folder), "person", "recipient", None, days)


def outcome(case: Case, source: Source, folder: Path, plan: Plan) -> Records | DataError:
    own = ColumnMapping(source, {}, consents_of(case, folder), zone=case.zone)
    try:
        return load_records(own, plan, "lender-1")
    except DataError as error:
        return error


def hold(case: Case, found: Records | DataError, source: str) -> None:
    """What was found is what the corpus says."""
    expected = case.expected
    if expected.records is not None:
        assert isinstance(found, Records), found
        assert len(found) == expected.records
        np.testing.assert_array_equal(found.columns["late"], [n % 9 for n in range(ROWS)])
        if case.consents is not None:
            assert len(found.consenting(FEDERATION, "credit-scoring")) == expected.records
        return
    assert isinstance(found, DataError), f"read {len(found)} records"
    problem = found.problems[0]
    assert (problem.code, problem.column) == (expected.code, expected.column)
    if expected.lines and source == "file":
        assert problem.rows == expected.lines


@pytest.mark.parametrize(
    ("case", "source"),
    [
        pytest.param(case, source, id=f"{case.name} [{source}]")
        for case in CASES
        for source in sources_of(case)
        if source != "postgres"
    ],
)
def test_ends_as_the_corpus_says(case: Case, source: str, tmp_path: Path, plan: Plan) -> None:
    path = lay(case, source, tmp_path)
    hold(case, outcome(case, sqlite(path) if source == "sqlite" else path, tmp_path, plan), source)


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in CASES if "postgres" in sources_of(case)])
def test_ends_so_from_postgresql_too(
    case: Case, in_postgres: Callable[[pl.DataFrame], SqlSource], tmp_path: Path, plan: Plan
) -> None:
    assert case.typed is not None
    hold(case, outcome(case, in_postgres(case.typed()), tmp_path, plan), "postgres")


def many_ways(folder: Path) -> dict[str, Source]:
    """The clean table, written in the ways in which people have it."""
    table = cells(rows())
    swapped = frame().select(reversed(COLUMNS)).write_csv()
    return {
        "csv": file(csv_text(), "a.csv")(folder),
        "crlf, mark, quotes": file("\ufeff" + csv_text(lineterminator="\r\n", quoting=csv.QUOTE_ALL), "b.csv")(folder),
        "cr": file(csv_text(lineterminator="\r"), "c.csv")(folder),
        "sep, blank lines": file("sep=,\n" + csv_text().replace("\nL0", "\n\nL0"), "d.csv")(folder),
        "other order": file(swapped, "e.csv")(folder),
        "parquet": parquet(frame, "f.parquet")(folder),
        "parquet of text": parquet(lambda: pl.DataFrame(table, schema=list(COLUMNS), orient="row"), "g.pq")(folder),
        "full-width": file(full_width_text(), "h.csv")(folder),
        "utf-16": file(csv_text().encode("utf-16"), "i.csv")(folder),
        "sqlite": sqlite(sqlite_file(frame(), folder)),
    }


def test_one_table_written_in_many_ways_reads_to_the_same_records(
    tmp_path: Path, plan: Plan, in_postgres: Callable[[pl.DataFrame], SqlSource]
) -> None:
    ways = many_ways(tmp_path) | {"postgres": in_postgres(frame())}
    read = {name: load_records(source, plan, "lender-1") for name, source in ways.items()}
    first = read["csv"]
    for name, records in read.items():
        assert (records.ids, records.person) == (first.ids, first.person), name
        assert records.label is not None
        assert first.label is not None
        assert records.label.tobytes() == first.label.tobytes(), name
        assert records.test.tobytes() == first.test.tobytes(), name
        for column, values in first.columns.items():
            assert records.columns[column].tobytes() == values.tobytes(), (name, column)


def test_what_is_read_of_a_csv_is_what_another_reader_sees(tmp_path: Path) -> None:
    """Python's reader takes more than ours does: of whatever ours takes, both see the same cells."""
    compared = 0
    for at, case in enumerate(case for case in CASES if case.write is not None):
        (folder := tmp_path / str(at)).mkdir()
        path = lay(case, "file", folder)
        if path.suffix != ".csv":
            continue
        try:
            table = read_source(path)
        except DataError:
            continue
        encoding = "utf-16" if path.read_bytes().startswith(UTF16_MARKS) else "utf-8-sig"
        with path.open(encoding=encoding, newline="") as lines:
            found = [record for record in csv.reader(lines, strict=True) if record]
        found = found[1:] if found[0] == ["sep=", ""] else found
        assert tuple(found[0]) == table.header, case.name
        assert [["" if cell is None else cell for cell in row] for row in table.frame.rows()] == found[1:], case.name
        compared += 1
    assert compared > len(CASES) / 4
