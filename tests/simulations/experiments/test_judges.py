"""Validation holds out training persons, test persons are in neither part, and the plan counts on who is left."""

from __future__ import annotations

from pathlib import Path

import pytest
from builders import NO_NOISE, small_scenario

from sealscore.simulations.data.scenario import Scenario
from sealscore.simulations.engine.federation import load_parties
from sealscore.simulations.experiments.judges import judged_parties


@pytest.fixture(scope="module")
def scenario(tmp_path_factory: pytest.TempPathFactory) -> Scenario:
    return Scenario.load(small_scenario(tmp_path_factory.mktemp("scenario"), noise=NO_NOISE))


def test_on_test_nothing_changes(scenario: Scenario):
    plan, records = judged_parties(scenario, "test")
    assert plan == scenario.plan
    assert {name: part.ids for name, part in records.items()} == {
        name: part.ids for name, part in load_parties(scenario).items()
    }


def test_no_test_person_is_in_either_part(scenario: Scenario):
    plan, held = judged_parties(scenario, "validation")
    for name, part in load_parties(scenario).items():
        assert set(held[name].person) == set(part.training_part().person)
        share = held[name].test.mean()
        assert abs(share - scenario.plan.evaluation.validation) < 0.1
        assert plan.party(name).nominal_records == pytest.approx(
            scenario.plan.party(name).nominal_records * (1 - scenario.plan.evaluation.split.test_fraction), abs=1
        )


def test_a_person_is_in_one_part_at_all_parties(scenario: Scenario):
    _, held = judged_parties(scenario.replace(evaluation__validation=0.5), "validation")
    test = {person for part in held.values() for person in part.test_part().person}
    assert test.isdisjoint(person for part in held.values() for person in part.training_part().person)


def test_by_date_those_who_applied_last_are_held_out(tmp_path: Path):
    path = tmp_path / "dated.toml"
    days = [f"2024-{1 + row // 28:02d}-{1 + row % 28:02d}" for row in range(300)]
    rows = [f"p{row},{row % 3 // 2},{row % 7},{day}" for row, day in enumerate(days)]
    (tmp_path / "loans.csv").write_text("\n".join(["id,bad,x,day", *rows]) + "\n")
    path.write_text(DATED)
    plan, held = judged_parties(Scenario.load(path), "validation")
    (part,) = held.values()
    assert len(part) == days.index("2024-08-01")
    numbers = sorted(int(name[1:]) for name in part.test_part().ids)
    assert numbers == list(range(numbers[0], len(part)))
    assert len(numbers) == pytest.approx(0.2 * len(part), abs=1)
    assert plan.evaluation.split.kind == "date"


DATED = """
name = "dated"
purpose = "a plan for tests"
seed = 1
outcome = { definition = "was not repaid", window_days = 1, cutoff = 2026-01-01 }
privacy = { epsilon = 8, delta = 1e-5 }
training = { rounds = 2, sample_rate = 1.0 }
evaluation = { split = { kind = "date", test_fraction = 0.3, first_test_day = 2024-08-01 } }
parties = [{ name = "lender-1", group = "lender", nominal_records = 300 }]
simulation = { dataset = "loans.csv" }
[groups.lender]
role = "lender"
min_parties = 1
max_colluding = 0
table = { id = "id", label = "bad", date = "day", features = [{ name = "x", lower = 0, upper = 6, integer = true }] }
"""
