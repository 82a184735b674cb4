"""Scenarios: a plan with its settings, found by name, and the files that the parties would hold."""

from __future__ import annotations

import dataclasses
import hashlib

import polars as pl
import pytest
import tomli_w

from sealscore.clients.data import DataError, load_records
from sealscore.shared.persons.records import Records
from sealscore.shared.plan.errors import PlanError
from sealscore.shared.plan.plan import Plan
from sealscore.shared.plan.toml import load_toml
from sealscore.simulations.data import datasets
from sealscore.simulations.data.scenario import Scenario, main_job, packaged, resolve
from sealscore.simulations.engine.federation import load_parties
from sealscore.simulations.world import synthetic

SMALL = "synthetic_horizontal_eps2"


@pytest.fixture
def text() -> str:
    return resolve(SMALL).read_text().replace("creators = 24_000", "creators = 1_500")


def scenario(folder, text: str) -> Scenario:
    (folder / "scenario.toml").write_text(text)
    return Scenario.load(folder / "scenario.toml")


class TestResolve:
    def test_by_name_and_by_path(self, tmp_path, text):
        assert resolve(SMALL) == packaged()[SMALL]
        (tmp_path / "mine.toml").write_text(text)
        assert resolve(str(tmp_path / "mine.toml")) == tmp_path / "mine.toml"

    def test_an_unknown_name_lists_what_there_is(self):
        with pytest.raises(PlanError) as caught:
            resolve("belanche_eps2")
        message = str(caught.value)
        assert "did you mean belanche_eps3" in message
        assert all(name in message for name in packaged())

    def test_every_packaged_scenario_loads_under_its_own_name(self):
        for name, path in packaged().items():
            assert Scenario.load(path).plan.name == name

    def test_the_main_job_without_real_data_is_declared_as_invented(self, monkeypatch, tmp_path):
        monkeypatch.setenv("SEALSCORE_DATA", str(tmp_path))
        found = Scenario.load(resolve(main_job()))
        assert found.settings.dataset == "world"
        assert datasets.declaration(datasets.WORLD) in found.declaration
        assert str(tmp_path) in found.declaration
        (tmp_path / datasets.REAL["uci"]).write_text("ID\n")
        assert main_job() == "uci_vertical_eps2"


class TestLoad:
    def test_the_settings_are_no_part_of_the_plan(self, tmp_path, text):
        one = scenario(tmp_path, text)
        other = scenario(tmp_path, text.replace('"equal"', '"quantity"\nalpha = 2.0'))
        assert one.plan.hash == other.plan.hash
        assert other.settings.alpha == 2.0
        with pytest.raises(PlanError, match="simulation: unknown key"):
            Plan.load(tmp_path / "scenario.toml")

    def test_problems_of_plan_and_settings_come_together(self, tmp_path, text):
        spoilt = text.replace("epsilon = 2.0", "epsilon = -2.0").replace("creators =", "creatures =")
        with pytest.raises(PlanError) as caught:
            scenario(tmp_path, spoilt)
        message = str(caught.value)
        assert "scenario.toml: simulation.creatures: unknown key; did you mean 'creators'?" in message
        assert "scenario.toml: privacy.epsilon = -2.0" in message

    @pytest.mark.parametrize(
        ("old", "new", "said"),
        [
            ("[simulation]", "[simulations]", "simulation: missing"),
            ('"equal"', '"halves"', "simulation.partition = 'halves'"),
            ('"equal"', '"quantity"', "alpha belongs to the partitions 'quantity' and 'label-skew', which need it"),
            ('"equal"', '"equal"\nalpha = 1.0', "alpha belongs to"),
            ('"equal"', '"label-skew"\nalpha = 0', "simulation.alpha = 0"),
            ('"synthetic"', '"uci"', "creators and creators_seed belong to the data sets 'synthetic' and 'world'"),
            ("[simulation]", "simulation = ", "not valid TOML"),
            ('"equal"', '"equal"\ncoverage = { lender = 1.5 }', "simulation.coverage.lender = 1.5"),
            (
                '"equal"',
                '"equal"\ncoverage = { lenders = 0.5 }',
                "simulation.coverage.lenders: the plan has no such group",
            ),
            (
                '"equal"',
                '"quantity"\nalpha = 2.0\ncoverage = { lender = 0.5 }',
                "deals nothing where lenders have coverage",
            ),
        ],
    )
    def test_settings_that_are_refused(self, tmp_path, text, old, new, said):
        with pytest.raises(PlanError) as caught:
            scenario(tmp_path, text.replace(old, new))
        assert said in str(caught.value)

    def test_signals_of_an_earlier_plan_are_for_parties_that_were_told_some(self, tmp_path):
        data = load_toml(resolve("creators_eps2"))
        platforms = [name for name, group in data["groups"].items() if group["role"] == "platform"]
        del data["privacy"]["label_epsilon"]
        data["evaluation"]["groups"] = {}
        data["signals_from"] = {"plan": "0" * 64, "meanings": dict.fromkeys(platforms, "0" * 64)}
        with pytest.raises(PlanError, match="signals_from: a simulation"):
            scenario(tmp_path, tomli_w.dumps(data))

    def test_another_seed_is_another_plan_on_the_same_creators(self, tmp_path, text):
        one = scenario(tmp_path, text)
        other = one.with_seed(99)
        assert other.plan.seed == other.seed == 99
        assert other.plan.hash != one.plan.hash
        assert other.dataset().frame.equals(one.dataset().frame)


class TestMaterialise:
    def test_each_party_gets_a_file_that_its_node_can_load(self, tmp_path, text):
        made = scenario(tmp_path, text)
        files = made.materialise(tmp_path / "parties")
        assert [path.name for path in files.values()] == [f"lender-{n}.parquet" for n in (1, 2, 3)]
        records = [load_records(path, made.plan, party, tmp_path / "parties") for party, path in files.items()]
        assert [len(part) for part in records] == [500, 500, 500]
        persons = [set(part.person) for part in records]
        assert len(set.union(*persons)) == 1500
        held = pl.read_parquet(files["lender-1"])
        assert not {f.name for f in synthetic.PLATFORM_TABLE.features} & set(held.columns)

    def test_the_plans_seed_deals_unless_the_settings_have_one(self, tmp_path, text):
        def first(made: Scenario, name: str) -> list[str]:
            return pl.read_parquet(made.materialise(tmp_path / name)["lender-1"])["application_id"].to_list()

        made = scenario(tmp_path, text)
        assert first(made, "a") == first(made, "b") != first(made.with_seed(2), "c")
        fixed = scenario(tmp_path, text + "seed = 5\n")
        assert first(fixed, "d") == first(fixed.with_seed(2), "e") != first(made, "f")

    def test_the_plan_of_the_synthetic_set_has_its_schema(self, tmp_path, text):
        assert scenario(tmp_path, text).plan.groups["lender"].table == synthetic.LENDER_TABLE

    def test_platforms_get_their_columns_of_the_same_persons(self, tmp_path, text):
        lender = scenario(tmp_path, text)
        video = {"role": "platform", "min_parties": 2, "max_colluding": 0}
        table = synthetic.PLATFORM_TABLE.model_dump(mode="json")
        names = [{"name": f"app-{n}", "group": "video", "nominal_records": 750} for n in (1, 2)]
        parties = [*lender.plan.model_dump(mode="json")["parties"], *names]
        plan = lender.plan.replace(groups__video=video | {"table": table}, parties=parties, privacy__label_epsilon=2.0)
        both = Scenario(plan, lender.settings, lender.path)
        files = both.materialise(tmp_path / "parties")
        records = {party: load_records(path, both.plan, party, tmp_path) for party, path in files.items()}
        creators = [set(part.person) for name, part in records.items() if name.startswith("app")]
        applicants = [set(part.person) for name, part in records.items() if name.startswith("lender")]
        assert set.union(*creators) == set.union(*applicants)
        assert all(a & c for a in applicants for c in creators)
        for name, part in records.items():
            assert (part.label is None) == name.startswith("app")

    def test_a_path_and_a_list_of_ids_beside_it(self, tmp_path, text):
        synthetic.generate(1500, 1).write_csv(tmp_path / "mine.csv")
        ids = "\n".join(f"C{n:08d}" for n in range(0, 1500, 5))
        digest = hashlib.sha256(ids.encode()).hexdigest()
        own = (
            text.replace('dataset = "synthetic"', 'dataset = "mine.csv"')
            .replace("creators = 1_500\n", "")
            .replace(
                '{ kind = "hash", test_fraction = 0.2, key = "synthetic test persons" }',
                f'{{ kind = "ids", test_fraction = 0.2, file = "ids.txt", sha256 = "{digest}" }}',
            )
        )
        made = scenario(tmp_path, own)
        with pytest.raises(DataError, match=r"ids\.txt: the file of evaluation\.split\.file is not there; fix: "):
            made.materialise(tmp_path / "parties")
        (tmp_path / "ids.txt").write_text(ids)
        files = made.materialise(tmp_path / "parties")
        records = [load_records(path, made.plan, party) for party, path in files.items()]
        assert sum(int(part.test.sum()) for part in records) == 300

    def test_a_set_that_does_not_fit_the_plan_is_not_dealt_out(self, tmp_path, text):
        made = scenario(tmp_path, text.replace("upper = 850", "upper = 700"))
        with pytest.raises(DataError, match=r"synthetic data, column 'bureau_score', rows .* outside its bounds"):
            made.materialise(tmp_path / "parties")
        assert not (tmp_path / "parties").exists()


@pytest.fixture(scope="module")
def made() -> Scenario:
    found = Scenario.load(resolve("synthetic_vertical_eps2"))
    return dataclasses.replace(found, settings=found.settings.model_copy(update={"creators": 4000}))


@pytest.fixture(scope="module")
def frames(made, tmp_path_factory) -> dict[str, pl.DataFrame]:
    files = made.materialise(tmp_path_factory.mktemp("parties"))
    return {party: pl.read_parquet(path) for party, path in files.items()}


@pytest.fixture(scope="module")
def records(made) -> dict[str, Records]:
    return load_parties(made)


class TestOverlap:
    """Two lenders, two short-video platforms and a wallet, from the packaged plan and its settings alone."""

    def test_people_overlap_everywhere(self, records):
        persons = {party: set(part.person) for party, part in records.items()}
        lenders, platforms = ("lender-1", "lender-2"), ("video-1", "video-2", "wallet")
        for names in (lenders, platforms[:2]):
            one, other = (persons[name] for name in names)
            assert one & other
            assert one - other
            assert other - one
        applicants = set.union(*(persons[name] for name in lenders))
        on_platforms = set.union(*(persons[name] for name in platforms))
        assert len(applicants & on_platforms) > 1000
        assert len(applicants - on_platforms) > 100  # known to no platform
        assert on_platforms - applicants  # creators who never borrowed

    def test_who_borrows_twice_has_a_loan_of_its_own_at_each(self, frames):
        both = (
            frames["lender-1"]
            .with_columns(person=pl.col("creator_id").str.to_lowercase())
            .join(frames["lender-2"].with_columns(person=pl.col("creator_id")), on="person", suffix="_2")
        )
        assert both.height > 800
        assert (both["application_id"] != both["application_id_2"]).all()
        assert (both["loan_amount"] != both["loan_amount_2"]).mean() > 0.9
        assert (both["bureau_score"] == both["bureau_score_2"]).fill_null(True).all()
        assert 0.1 < (both["defaulted"] != both["defaulted_2"]).mean() < 0.4

    def test_every_party_writes_identifiers_in_its_own_way(self, frames, records):
        written = {party: frame["creator_id"][0] for party, frame in frames.items()}
        assert len({text[:1] for text in written.values()}) == 4  # C, c, full-width C and a blank
        assert all(person == f"c{person[1:]:0>8}" for part in records.values() for person in part.person)

    def test_both_sides_of_a_pair_hold_the_same_consents(self, records):
        def consenting(party: str, recipient: str) -> set[str]:
            return set(records[party].consenting(recipient, "credit-scoring"))

        for lender in ("lender-1", "lender-2"):
            for platform in ("video-1", "wallet"):
                shared = set(records[lender].person) & set(records[platform].person)
                here = consenting(lender, platform)
                assert shared & here == shared & consenting(platform, lender)
                assert 0.9 < len(shared & here) / len(shared) < 0.99
        # A consent names parties, and may name one and not the other.
        assert consenting("lender-1", "video-1") ^ consenting("lender-1", "video-2")

    def test_a_person_is_in_the_same_part_at_every_party(self, records):
        part: dict[str, bool] = {}
        for held in records.values():
            for person, test in zip(held.person, held.test.tolist(), strict=True):
                assert part.setdefault(person, test) == test
        assert 0.17 < sum(part.values()) / len(part) < 0.23

    def test_nobody_is_at_more_parties_of_a_phase_than_the_plan_says(self, made):
        single = dataclasses.replace(made, plan=made.plan.replace(privacy__max_parties_per_person=1))
        records = load_parties(single)
        assert not set(records["lender-1"].person) & set(records["lender-2"].person)
        assert not set(records["video-1"].person) & set(records["video-2"].person)
        assert set(records["video-1"].person) & set(records["wallet"].person)  # other kinds are other phases

    def test_a_consent_column_of_the_set_is_left_as_it_is(self, tmp_path, made):
        frame = synthetic.generate(1500, 1).with_columns(consent=pl.lit("video-1;lender-2"))
        frame.write_parquet(tmp_path / "mine.parquet")
        settings = made.settings.model_copy(update={"dataset": "mine.parquet", "creators": None, "rewrite_ids": False})
        files = dataclasses.replace(made, settings=settings, path=tmp_path / "mine.toml").materialise(tmp_path)
        assert set(pl.read_parquet(files["lender-1"])["consent"]) == {"video-1;lender-2"}
