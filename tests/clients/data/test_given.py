"""Persons and consents read by themselves: what a table says of them whatever else is wrong with it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from vertical_builders import Wire, federation_of, only, vertical_plan

from sealscore.clients.data import ColumnMapping, DataError, Given, SqlSource, read_given
from sealscore.shared.persons.consent import FEDERATION, parse_consents
from sealscore.shared.persons.records import Records

LENDER, PLATFORM = "lender-1", "wallet"
BASE = only(vertical_plan(), LENDER, PLATFORM)
TABLE = BASE.groups["lender"].table.model_dump(mode="json") | {"consent": "consent"}
PLAN = BASE.replace(groups__lender__table=TABLE, alignment__min_overlap=1)
PURPOSE = PLAN.purpose_code


def given(folder: Path, rows: list[dict[str, Any]], kind: str = "csv") -> Given:
    """What is read of rows that have `loan`, `who` and `consent`, and a feature at fault."""
    frame = pl.DataFrame([{"income": "plenty"} | row for row in rows])
    if kind == "csv":
        frame.write_csv(folder / "loans.csv")
        return read_given(ColumnMapping(folder / "loans.csv"), PLAN, LENDER)
    if kind == "parquet":
        frame.write_parquet(folder / "loans.parquet")
        return read_given(ColumnMapping(folder / "loans.parquet"), PLAN, LENDER)
    import sqlite3

    with sqlite3.connect(folder / "loans.db") as database:
        database.execute("CREATE TABLE loans (loan TEXT, who TEXT, consent TEXT, income BLOB)")
        cells = [(row["loan"], row["who"], row["consent"], b"\xff") for row in rows]
        database.executemany("INSERT INTO loans VALUES (?, ?, ?, ?)", cells)
    return read_given(ColumnMapping(SqlSource(f"sqlite:///{folder / 'loans.db'}", "loans")), PLAN, LENDER)


def row(loan: str, who: str, consent: str = "federation; wallet") -> dict[str, Any]:
    return {"loan": loan, "who": who, "consent": consent}


def earlier(*pairs: tuple[str, str]) -> Records:
    """Records as they were read before, with every consent."""
    schema, n = PLAN.groups["lender"].table, len(pairs)
    ids, persons = zip(*pairs, strict=True)
    columns = {feature.name: np.arange(float(n)) for feature in schema.features}
    consent = (parse_consents("federation; wallet"),) * n
    return Records(schema, ids, persons, columns, np.zeros(n, dtype=np.int8), np.zeros(n, dtype=bool), consent)


@pytest.mark.parametrize("kind", ["csv", "parquet", "sqlite"])
def test_from_every_source_whatever_the_rest_holds(tmp_path: Path, kind: str):
    found = given(tmp_path, [row("1", "ann"), row("2", "bo", "federation withdrawn 2024-01-01")], kind)
    left = found.left_of(earlier(("1", "ann"), ("2", "bo"), ("3", "cy")))
    assert left.ids == ("1", "2")
    assert left.columns["income"].tolist() == [0.0, 1.0]
    assert left.live(FEDERATION, PURPOSE).tolist() == [True, False]
    assert found.fault is None


def test_a_withdrawal_in_a_new_record_counts_in_the_old_one(tmp_path: Path):
    found = given(tmp_path, [row("1", "ann"), row("9", "ann", "federation; wallet withdrawn 2024-01-01")])
    left = found.left_of(earlier(("1", "ann")))
    assert left.live("wallet", PURPOSE).tolist() == [False]
    assert left.live(FEDERATION, PURPOSE).tolist() == [True]


@pytest.mark.parametrize("cell", ["federation; wallet maybe", "federation until soon", "?"])
def test_a_cell_that_cannot_be_read_costs_its_person_every_consent_and_nobody_else(tmp_path: Path, cell: str):
    found = given(tmp_path, [row("1", "ann"), row("2", "ann", cell), row("3", "bo")])
    left = found.left_of(earlier(("1", "ann"), ("2", "ann"), ("3", "bo")))
    assert left.live(FEDERATION, PURPOSE).tolist() == [False, False, True]


def test_a_record_that_is_another_persons_now_is_left_out(tmp_path: Path):
    assert given(tmp_path, [row("1", "bo"), row("2", "bo")]).left_of(earlier(("1", "ann"), ("2", "bo"))).ids == ("2",)


def test_of_two_rows_of_one_record_that_differ_neither_counts(tmp_path: Path):
    found = given(tmp_path, [row("1", "ann"), row("1", "ann", "federation"), row("2", "bo"), row("2", "bo")])
    left = found.left_of(earlier(("1", "ann"), ("2", "bo")))
    assert left.live(FEDERATION, PURPOSE).tolist() == [False, True]


@pytest.mark.parametrize("missing", ["loan", "who"])
def test_without_ids_or_persons_nothing_is_said(tmp_path: Path, missing: str):
    with pytest.raises(DataError, match="missing"):
        given(tmp_path, [{name: cell for name, cell in row("1", "ann").items() if name != missing}])


def test_without_consents_it_is_said_who_is_there_and_why_no_more(tmp_path: Path):
    found = given(tmp_path, [{"loan": "1", "who": "ann"}])
    assert found.fault is not None
    kept = earlier(("1", "ann"), ("2", "bo"))
    assert found.left_of(kept).consent == kept.consent[:1]


def test_peers_are_told_by_who_is_in_the_data_also_where_the_node_has_no_records():
    full = federation_of(PLAN)
    consent = parse_consents("federation; wallet; lender-1")
    held = {name: dataclasses.replace(full[name], consent=(consent,) * len(full[name])) for name in full}
    wire = Wire(PLAN, held)
    wire.align(LENDER, PLATFORM)
    node, part = wire.nodes[LENDER], held[LENDER]
    bare = dataclasses.replace(part, columns={}, label=None)
    nobody = part.take(np.zeros(0, dtype=np.int64))
    node.reload(nobody, bare)
    assert node.disclosure_store.notices(PLATFORM) == []
    gone = set(wire.aligned(LENDER, PLATFORM).persons[:3])
    left = tuple(() if person in gone else given for person, given in zip(bare.person, bare.consent, strict=True))
    node.reload(nobody, dataclasses.replace(bare, consent=left))
    assert len(node.disclosure_store.notices(PLATFORM)) == 3
