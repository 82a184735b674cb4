"""What a plan may count: features marked row-local, own columns that the operator vouches for, one dictionary."""

from __future__ import annotations

import dataclasses
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from homes import Town, new_node, running
from raw_tables import lay_tables

from sealscore.clients.data import DataError, load_records
from sealscore.clients.features import build_table, detector, table_schema
from sealscore.clients.features.dictionary import dictionary, digest
from sealscore.clients.features.dictionary.dictionary import KINDS
from sealscore.clients.features.dictionary.digest import dictionary_digest
from sealscore.clients.features.dictionary.row_local import check_row_local, counted, obstacles
from sealscore.clients.health.preflight import preflight
from sealscore.clients.node.plan_ledger import approve
from sealscore.shared.plan.plan import Plan
from sealscore.simulations.data.scenario import Scenario, resolve

CREATORS = ("creators_eps2", "creators_small")
TODAY = date(2024, 12, 1)


@pytest.fixture(scope="module")
def plan() -> Plan:
    return Scenario.load(resolve("creators_eps2")).plan


def changed(plan: Plan, column: str, **changes: object) -> Plan:
    """The plan with a column of the lenders changed."""
    features = plan.model_dump(mode="json")["groups"]["lender"]["table"]["features"]
    return plan.replace(
        groups__lender__table__features=[found | changes if found["name"] == column else found for found in features]
    )


@pytest.fixture
def comparing(monkeypatch: pytest.MonkeyPatch) -> None:
    """`bureau_score` as a feature that other persons' rows move."""
    entries = tuple(dataclasses.replace(found, row_local=found.name != "bureau_score") for found in dictionary.LENDER)
    monkeypatch.setattr(dictionary, "LENDER", entries)


class TestCounted:
    def test_are_what_is_scored_derived_from_or_told_by(self, plan: Plan):
        lender = plan.groups["lender"]
        names = counted(plan, lender)
        assert {found.name for found in lender.table.scored} | {"age", "gender"} == set(names)
        assert "amount" not in names
        assert "age" not in counted(plan.replace(evaluation__groups={"gender": []}), lender)

    def test_an_input_of_a_derived_feature(self, plan: Plan):
        derived = {"name": "load", "lower": 0, "upper": 10, "formula": {"op": "linear", "of": ["amount"]}}
        with_derived = plan.replace(groups__lender__table__derived=[derived])
        assert "amount" in counted(with_derived, with_derived.groups["lender"])


class TestObstacles:
    def test_a_plan_over_the_dictionary_needs_no_word(self, plan: Plan):
        assert all(obstacles(plan, party.name, declared=False) == [] for party in plan.parties)

    def test_an_own_column_needs_the_operators_word(self, plan: Plan):
        own = changed(plan, "bureau_score", name="house_score")
        (found,) = obstacles(own, "lender-1", declared=False)
        assert "'house_score'" in found
        assert "row_local = true under [data]" in found
        assert obstacles(own, "lender-1", declared=True) == []
        assert obstacles(own, "video-1", declared=False) == []
        with pytest.raises(DataError, match="house_score"):
            check_row_local(own, "lender-1", declared=False)

    def test_a_column_that_only_a_baseline_reads_needs_none(self, plan: Plan):
        assert obstacles(changed(plan, "amount", name="house_rank"), "lender-1", declared=False) == []

    def test_a_feature_that_compares_persons_is_refused_whatever_is_declared(self, plan: Plan, comparing):
        plan = plan.replace(groups__lender__table__dictionary=None)
        for declared in (False, True):
            (found,) = obstacles(plan, "lender-1", declared)
            assert "'bureau_score'" in found
        assert obstacles(changed(plan, "bureau_score", input_only=True), "lender-1", declared=False) == []

    def test_a_simulation_over_the_world_refuses_it_too(self, plan: Plan, comparing, tmp_path: Path):
        scenario = Scenario.load(resolve("creators_small")).replace(simulation__creators=300)
        with pytest.raises(DataError, match="counts 'bureau_score', which depends on other persons' rows"):
            scenario.materialise(tmp_path)


class TestARealNode:
    """`plan show`, `approve`, `check` and the running node, where nothing is declared."""

    @pytest.fixture
    def undeclared(self, town: Town) -> Town:
        path = town["lender-1"].config_file
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace("\nrow_local = true", "\n# row_local = true"), encoding="utf-8")
        return town

    def test_check_names_the_columns(self, undeclared: Town):
        found = {finding.what: finding for finding in preflight(undeclared["lender-1"], [undeclared.plan], False)}
        assert not found["plan small"].good
        assert all(f"'{name}'" in found["plan small"].words for name in ("income", "months", "sector"))
        found = {finding.what: finding for finding in preflight(undeclared["lender-2"], [undeclared.plan], False)}
        assert found["plan small"].good

    def test_a_node_that_runs_does_not_open_the_plan(self, undeclared: Town):
        ledger = undeclared.ledger("lender-1")
        approve(ledger, undeclared.plan)
        ledger.close()
        with running(undeclared["lender-1"]) as host, pytest.raises(DataError, match=r"row_local = true"):
            host._load(undeclared.plan)

    def test_nothing_is_declared_where_init_makes_a_node(self, tmp_path: Path):
        assert new_node(tmp_path / "a").config().data.row_local
        home = new_node(tmp_path / "b", "lender-2", taken="\nrow_local = true -> \n# row_local = true")
        assert not home.config().data.row_local


class TestDictionary:
    def test_shipped_plans_over_the_creator_world_name_this_one(self):
        for name in CREATORS:
            plan = Scenario.load(resolve(name)).plan
            assert {group.table.dictionary for group in plan.groups.values()} == {dictionary_digest()}

    def test_a_table_on_demand_names_it(self):
        assert all(table_schema(kind).dictionary == dictionary_digest() for kind in KINDS)

    def test_a_plan_without_it_keeps_its_hash(self, plan: Plan):
        assert (
            b"dictionary"
            not in plan.replace(**{f"groups__{name}__table__dictionary": None for name in plan.groups}).canonical()
        )
        assert Plan.from_canonical(plan.canonical()).hash == plan.hash

    def test_it_moves_with_entries_checks_and_the_detector(self, monkeypatch: pytest.MonkeyPatch, comparing):
        before = dictionary_digest()
        assert digest.dictionary_digest.__wrapped__() != before
        monkeypatch.undo()
        assert digest.dictionary_digest.__wrapped__() == before
        monkeypatch.setattr(detector, "digest", lambda: "0" * 64)
        assert digest.dictionary_digest.__wrapped__() != before
        monkeypatch.undo()
        monkeypatch.setattr(digest.papers, "CHECKS", digest.papers.CHECKS[1:])
        assert digest.dictionary_digest.__wrapped__() != before

    def test_another_is_refused_by_name(self, plan: Plan):
        other = plan.replace(groups__lender__table__dictionary="0" * 64)
        (found,) = obstacles(other, "lender-1", declared=True)
        assert "groups.lender.table.dictionary" in found
        assert dictionary_digest() in found
        with pytest.raises(DataError, match=r"groups\.lender\.table\.dictionary"):
            load_records(Path("absent.csv"), other, "lender-1")

    def test_a_file_of_another_dictionary_is_refused(self, plan: Plan, tmp_path: Path, monkeypatch):
        lay_tables(tmp_path / "raw", "wallet")
        built = build_table(tmp_path / "raw", "wallet", tmp_path / "out", TODAY)
        assert pl.read_parquet_metadata(built.table)[digest.DIGEST] == dictionary_digest()
        small = plan.replace(outcome__cutoff="2025-11-30")
        load_records(built.table, small, "wallet")
        pl.read_parquet(built.table).write_parquet(built.table, metadata={digest.DIGEST: "1" * 64})
        with pytest.raises(DataError, match="its features are of the dictionary 1111"):
            load_records(built.table, small, "wallet")
