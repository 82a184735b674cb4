"""The creator world as a data set: tables of features at every party, consents of a day, facts of every loan."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from sealscore.clients.data import DataError
from sealscore.shared.plan.errors import PlanError
from sealscore.simulations.data import creators, datasets
from sealscore.simulations.data.creators import CreatorWorld, live_on
from sealscore.simulations.data.scenario import Scenario, resolve
from sealscore.simulations.engine.federation import load_parties
from sealscore.simulations.world import party_features
from sealscore.simulations.world.config import WorldConfig

CREATORS = 700
FIRST_TEST_DAY = date(2023, 11, 1)


@pytest.fixture(scope="module")
def scenario(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scenario]:
    """The plan of the quick start on a tiny world, which is kept apart from the user's own cache."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("worlds")
        patch.setattr(creators, "_cache", lambda: folder)
        yield tiny_scenario()


def tiny_scenario() -> Scenario:
    sizes = {f"parties__{place}__nominal_records": 400 for place in range(6)}
    found = Scenario.load(resolve("creators_small"))
    return found.replace(simulation__creators=CREATORS, alignment__method="exact", alignment__min_overlap=5, **sizes)


@pytest.fixture(scope="module")
def world(scenario: Scenario) -> CreatorWorld:
    return scenario.world()


@pytest.fixture(scope="module")
def tables(scenario: Scenario, world: CreatorWorld) -> dict[str, pl.DataFrame]:
    return world.tables(scenario.plan)


class TestConsents:
    def test_those_that_have_ended_are_left_out_and_the_others_lose_their_end(self):
        cells = ["federation; lender-1 until 2025-03-30; lender-2 until 2025-03-31", "lender-3", "", None]
        assert live_on(cells, date(2025, 3, 31)) == ["federation; lender-2", "lender-3", "", ""]

    def test_cells_name_parties_of_the_plan_and_the_federation_alone(self, scenario: Scenario, tables):
        names = {party.name for party in scenario.plan.parties} | {"federation"}
        for party, table in tables.items():
            found = {part for cell in table["consent"] for part in cell.split("; ") if part}
            lender = scenario.plan.party(party).group == "lender"
            assert found <= names
            assert "federation" in found
            assert any(name.startswith("lender") for name in found) != lender

    def test_nearly_all_agree_to_sums_for_good(self, tables):
        for party in ("lender-1", "video-1", "wallet"):
            assert 0.9 < tables[party]["consent"].str.contains("federation").mean() < 1

    def test_no_platform_tells_of_a_day_after_the_loan_that_it_is_joined_with(self, scenario: Scenario):
        """Where many withdraw, an earlier loan is often without a live consent, and a later one at the lender has one.

        Any loan of a person may be the one that is used, so all of them are joined, as both sides consent.
        """
        config = {"platforms": {"withdrawn": 0.4, "consent": 0.6}, "lending": {"pd_rollouts": 0}}
        world = CreatorWorld.of(WorldConfig.model_validate({"creators": CREATORS, "seed": 4} | config))
        tables = world.tables(scenario.plan)
        parties = {
            role: [
                p.name
                for g in scenario.plan.groups
                if scenario.plan.groups[g].role == role
                for p in scenario.plan.members(g)
            ]
            for role in ("lender", "platform")
        }
        assert (len(parties["lender"]), len(parties["platform"])) == (3, 3)
        for lender in parties["lender"]:
            for platform in parties["platform"]:
                mine, theirs = (
                    tables[own].filter(pl.col("consent").str.split("; ").list.contains(other))
                    for own, other in ((lender, platform), (platform, lender))
                )
                joined = mine.join(theirs.select("creator_id", there="as_of"), on="creator_id")
                assert joined.height > 5, (lender, platform)
                late = joined.filter(pl.col("there") > pl.col("as_of"))
                assert late.select("application_id", "as_of", "there").rows() == [], (lender, platform)

    def test_half_of_the_early_ones_between_a_lender_and_a_platform_have_ended(self, tables):
        for party, peer in (("lender-1", "wallet"), ("lender-2", "video-1")):
            agreed = tables[party]["consent"].str.contains(peer)
            early = tables[party]["as_of"] < date(2023, 3, 1)
            assert agreed.filter(early).mean() < 0.8 * agreed.filter(~early).mean()


class TestTables:
    def test_every_party_of_the_plan_has_records_that_pass_its_own_check(self, scenario: Scenario, tables):
        records = load_parties(scenario)
        assert set(records) == {party.name for party in scenario.plan.parties}
        for name, found in records.items():
            days = dict(
                zip(*tables[name].select("application_id" if "lender" in name else "creator_id", "as_of"), strict=True)
            )
            late = [days[row] >= FIRST_TEST_DAY for row in found.ids]
            assert found.test.tolist() == late
            assert 0.15 < found.test.mean() < 0.4
            assert (found.label is not None) == ("lender" in name)

    def test_lenders_see_the_bureau_and_the_loans_before(self, world: CreatorWorld, tables):
        """A report is of the day before the application, so those with a file have one; some come back."""
        truth = pl.read_parquet(world.folder / "truth" / "creators.parquet").select("creator_id", "thin_file")
        loans = pl.concat([tables[f"lender-{number}"] for number in (1, 2, 3)]).join(truth, on="creator_id")
        assert (loans["bureau_score"].is_null() == loans["thin_file"]).all()
        back = loans.filter(pl.col("earlier_loans") > 0)
        assert 0 < len(back) < 0.2 * len(loans)
        assert back["late_instalment_share"].is_not_null().any()

    def test_the_whole_set_is_checked_and_gives_the_lenders_rows(self, scenario: Scenario, tables):
        found = scenario.dataset()
        assert found.frame.height == sum(tables[f"lender-{number}"].height for number in (1, 2, 3))

    def test_parties_that_the_world_does_not_have_are_named(self, scenario: Scenario):
        plan = scenario.plan.replace(parties__0__name="bank", parties__3__name="lender-1")
        with pytest.raises(DataError) as caught:
            dataclasses.replace(scenario, plan=plan).dataset()
        assert "'bank': the world has no such party" in str(caught.value)
        assert "'lender-1': the plan says platform, the world lender" in str(caught.value)


class TestCache:
    def test_rows_at_fault_are_as_many_as_the_plan_allows_or_it_is_refused(
        self, scenario: Scenario, world: CreatorWorld, tmp_path: Path
    ):
        folder = tmp_path / "spoilt"
        shutil.copytree(world.folder, folder)
        counts = json.loads((folder / "video-1" / "rejected.json").read_text())
        assert counts["videos"][1] > 1000
        spoilt = CreatorWorld(folder, world.manifest)
        (folder / "video-1" / "rejected.json").write_text(json.dumps(counts | {"videos": [30, 1000]}))
        with pytest.raises(DataError, match=r"video-1/videos: 30 of 1,000 rows are bad, more than 1.00%") as caught:
            spoilt.tables(scenario.plan)
        assert "most_rejected in the plan's table" in str(caught.value)
        groups = scenario.plan.model_dump(mode="json")["groups"]
        groups["short-video"]["table"]["most_rejected"] = 0.03
        assert spoilt.tables(scenario.plan.replace(groups=groups))["video-1"].height

    def test_a_world_is_built_once(self, world: CreatorWorld, scenario: Scenario, monkeypatch):
        monkeypatch.setattr(creators, "build", lambda *_: pytest.fail("built again"))
        assert scenario.world().folder == world.folder

    def test_another_config_or_other_code_is_another_world(self, world: CreatorWorld, monkeypatch, tmp_path: Path):
        config = WorldConfig.model_validate(world.manifest["config"])
        before = creators._key(config)
        assert world.folder.name == before
        assert creators._key(config.model_copy(update={"seed": 5})) != before
        (tmp_path / "simulations" / "world").mkdir(parents=True)
        monkeypatch.setattr(creators, "_PACKAGE", tmp_path)
        assert creators._key(config) != before

    def test_an_interrupted_build_leaves_nothing(self, monkeypatch, tmp_path: Path):
        monkeypatch.setattr(creators, "_cache", lambda: tmp_path / "worlds")
        monkeypatch.setattr(party_features, "build_table", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        config = WorldConfig.model_validate({"creators": 100, "lending": {"pd_rollouts": 0}})
        with pytest.raises(KeyboardInterrupt):
            CreatorWorld.of(config)
        assert list((tmp_path / "worlds").iterdir()) == []


def test_facts_are_those_of_every_loan(scenario: Scenario, world: CreatorWorld, tables):
    facts = world.facts(scenario.plan)
    assert len(facts) == sum(tables[f"lender-{number}"].height for number in (1, 2, 3))
    assert facts["application_id"].is_unique().all()
    assert set(facts["vintage"]) == {f"{2022 + month // 12}-{month % 12 + 1:02}" for month in range(9, 27)}
    assert set(facts["platforms"]) == {0, 1, 2, 3}
    for loan in facts.sample(30, seed=0).iter_rows(named=True):
        own = tables[loan["lender"]].row(by_predicate=pl.col("application_id") == loan["application_id"], named=True)
        known = 0
        for platform in ("video-1", "video-2", "wallet"):
            there = tables[platform].filter(pl.col("creator_id") == own["creator_id"])
            asked = platform in own["consent"].split("; ")
            known += asked and len(there) == 1 and loan["lender"] in there["consent"].item().split("; ")
        assert loan["platforms"] == known
        assert loan["thin_file"] == (own["bureau_score"] is None)
        assert (loan["product"], loan["vintage"]) == (own["product"], own["as_of"].strftime("%Y-%m"))


class TestSettings:
    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"simulation__coverage": {"lender": 0.5}}, "the world deals itself out"),
            ({"simulation__consent": 0.5}, "the world deals itself out"),
            ({"simulation__dataset": "uci"}, "creators and creators_seed belong to"),
            ({"simulation__dataset": "synthetic"}, "world belongs to the data set 'world'"),
        ],
    )
    def test_what_has_no_use_is_refused(self, change, said: str):
        with pytest.raises(PlanError, match=said):
            Scenario.load(resolve("creators_small")).replace(**change)

    def test_a_config_is_sought_beside_the_scenario(self, tmp_path: Path):
        (tmp_path / "mine.toml").write_text("creators = 10\n")
        (tmp_path / "plan.toml").write_text(
            f'extends = "{resolve("creators_eps2")}"\n[simulation]\nworld = "mine.toml"\n'
        )
        with pytest.raises(PlanError, match="creators = 10"):
            Scenario.load(tmp_path / "plan.toml").world()

    def test_it_is_declared_as_invented(self):
        assert datasets.declaration(datasets.WORLD) in str(Scenario.load(resolve("creators_eps2")).declaration)
