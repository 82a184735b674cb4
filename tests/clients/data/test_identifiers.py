"""Identifiers that lost their last digits on the way, in every source: persons would be one, so they are refused."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from sealscore.clients.data import ColumnMapping, DataError, SqlSource, Table, check_table
from sealscore.clients.data.column_mapping import Source
from sealscore.clients.data.consents import ConsentTable
from sealscore.shared.plan.schema import NumericFeature, TableSchema

# National identifiers of 18 digits, of which a float keeps less than 16.
LONG = (110105194912310021, 110105194912310029, 110105194912310024)
SCHEMA = TableSchema(id="loan", person="who", features=(NumericFeature(name="income", lower=0, upper=1e30),))


def csv(folder: Path, columns: dict[str, list[Any]]) -> Source:
    """As a program writes its floats."""
    rows = zip(*columns.values(), strict=True)
    lines = [",".join(columns), *(",".join("" if cell is None else str(cell) for cell in row) for row in rows)]
    (folder / "t.csv").write_text("\n".join(lines) + "\n")
    return folder / "t.csv"


def parquet(folder: Path, columns: dict[str, list[Any]]) -> Source:
    pl.DataFrame(columns, strict=False).write_parquet(folder / "t.parquet")
    return folder / "t.parquet"


def single(folder: Path, columns: dict[str, list[Any]]) -> Source:
    """Floats of single precision, which tell numbers apart up to 16,777,216."""
    frame = pl.DataFrame(columns, strict=False)
    frame.with_columns(pl.col(pl.Float64).cast(pl.Float32)).write_parquet(folder / "t.parquet")
    return folder / "t.parquet"


def sqlite(folder: Path, columns: dict[str, list[Any]]) -> Source:
    """In columns without a type, so that cells keep the one that they are written with."""
    (folder / "t.db").unlink(missing_ok=True)
    with sqlite3.connect(folder / "t.db") as database:
        database.execute(f"CREATE TABLE t ({', '.join(columns)})")
        marks = ", ".join("?" for _ in columns)
        database.executemany(f"INSERT INTO t VALUES ({marks})", list(zip(*columns.values(), strict=True)))
    database.close()
    return SqlSource(f"sqlite:///{folder / 't.db'}", "t")


SOURCES = [csv, parquet, sqlite]
Make = Callable[[Path, dict[str, list[Any]]], Source]


def persons(source: Source) -> set[str]:
    table = ColumnMapping(source).read(SCHEMA, False, "exact")
    return set(check_table(table, SCHEMA, label_required=False, max_records_per_person=9).records.person)


@pytest.mark.parametrize("make", SOURCES)
@pytest.mark.parametrize("column", ["loan", "who"])
@pytest.mark.parametrize("cell", [float(LONG[0]), 2.0**53, 3.5], ids=["18 digits", "2^53", "no whole number"])
def test_a_float_that_may_be_several_is_refused_with_the_fix(tmp_path: Path, make: Make, column: str, cell: float):
    if make is csv and cell < 1e17:
        pytest.skip("written in full in a text file")
    good = {"loan": [1.0, 2.0], "who": [7.0, 8.0], "income": [1.0, 2.0]}
    with pytest.raises(DataError, match=f"column '{column}'.*may stand for several identifiers; fix: export"):
        persons(make(tmp_path, good | {column: [7.0, cell]}))


@pytest.mark.parametrize("make", SOURCES)
def test_as_integers_or_text_they_are_all_there(tmp_path: Path, make: Make):
    rest = {"loan": [1, 2, 3], "income": [1.0, 2.0, 3.0]}
    for known in ([*LONG], [str(one) for one in LONG]):
        assert persons(make(tmp_path, rest | {"who": known})) == {str(one) for one in LONG}


@pytest.mark.parametrize("make", [parquet, sqlite, single])
def test_whole_numbers_that_became_floats_are_the_same_persons(tmp_path: Path, make: Make):
    """As a column does in which a number was missing once."""
    found = persons(make(tmp_path, {"loan": [1.0, 2.0], "who": [3.0, 4.0], "income": [1.0, 2.0]}))
    assert found == persons(make(tmp_path, {"loan": [1, 2], "who": [3, 4], "income": [1.0, 2.0]})) == {"3", "4"}


def test_of_single_precision_the_limit_is_lower(tmp_path: Path):
    columns = {"loan": [1.0, 2.0], "who": [16777215.0, 16777217.0], "income": [1.0, 2.0]}
    assert persons(parquet(tmp_path, columns)) == {"16777215", "16777217"}
    with pytest.raises(DataError, match="column 'who', row 2: the person is a float"):
        persons(single(tmp_path, columns))


@pytest.mark.parametrize("cell", ["1.10105E+17", "1.1010519491231002e+17"])
def test_as_a_spreadsheet_writes_them_they_are_refused(tmp_path: Path, cell: str):
    with pytest.raises(DataError, match="column 'who', line 3: the person is a float or a number in scientific"):
        persons(csv(tmp_path, {"loan": ["a", "b"], "who": ["7", cell], "income": [1, 2]}))
    assert persons(csv(tmp_path, {"loan": ["a"], "who": ["12E4567"], "income": [1]})) == {"12E4567"}


@pytest.mark.parametrize("make", SOURCES)
def test_a_feature_may_be_any_number(tmp_path: Path, make: Make):
    source = make(tmp_path, {"loan": [1, 2], "who": [3, 4], "income": [1.5, float(LONG[0])]})
    table = ColumnMapping(source).read(SCHEMA, False, "exact")
    found = check_table(table, SCHEMA, label_required=False, max_records_per_person=1).records
    assert sorted(found.columns["income"].tolist()) == [1.5, float(LONG[0])]


@pytest.mark.parametrize("make", SOURCES)
def test_a_table_of_consents_is_refused_too(tmp_path: Path, make: Make):
    """A withdrawal under a name that is several persons' would be nobody's."""
    source = make(tmp_path, {"who": [7.0, float(LONG[0])], "recipient": ["federation", "federation"]})
    table = ConsentTable(source, "who", "recipient", None, {})
    with pytest.raises(DataError, match=r"column 'who', (row|line) [123]"):
        table.cells("exact")


def test_a_table_in_memory_is_looked_at_as_well():
    frame = pl.DataFrame({"loan": ["a", "b"], "who": [float(one) for one in LONG[:2]], "income": [1.0, 2.0]})
    with pytest.raises(DataError, match="rows 1, 2: the person is a float"):
        check_table(Table.of(frame, "t"), SCHEMA, label_required=False, max_records_per_person=1)
