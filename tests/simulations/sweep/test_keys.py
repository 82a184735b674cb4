"""Which keys a sweep can change, and what a count of parties does to a plan."""

from __future__ import annotations

import pytest
from builders import NO_NOISE, small_scenario
from hypothesis import given, settings
from hypothesis import strategies as st

from sealscore.shared.plan.errors import PlanError
from sealscore.simulations.data.scenario import Scenario, resolve
from sealscore.simulations.sweep.keys import applied, counted_group, effective
from sealscore.simulations.tracking.settings import flat


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Scenario:
    return Scenario.load(small_scenario(tmp_path_factory.mktemp("tiny"), noise=NO_NOISE))


def test_tables_become_dotted_keys():
    table = {"privacy": {"epsilon": [1, 2]}, "training.rounds": [5], "evaluation": {"groups": {}}}
    assert dict(flat(table)) == {"privacy.epsilon": [1, 2], "training.rounds": [5], "evaluation.groups": {}}


def test_keys_of_the_plan_and_of_the_settings(tiny: Scenario):
    changed = applied(tiny, {"training.rounds": 7, "simulation.partition": "label-skew", "simulation.alpha": 2.0})
    assert changed.plan.training.rounds == 7
    assert (changed.settings.partition, changed.settings.alpha) == ("label-skew", 2.0)
    assert changed.path == tiny.path
    assert applied(tiny, {}) is tiny
    assert tiny.plan.training.rounds == 5


def test_what_is_in_force_is_told_also_where_it_was_not_changed(tiny: Scenario):
    assert effective(tiny, "training.rounds") == 5
    assert effective(tiny, "simulation.partition") == "equal"
    assert effective(tiny, "training.local.steps") is None
    assert effective(tiny, "privacy.shares.fallback") == 0.2  # stands in no plan, since it came later
    assert effective(tiny, "evaluation.validation") == tiny.plan.evaluation.validation
    assert effective(tiny, "parties.lender") == 3
    assert effective(tiny, "parties.0.name") == "lender-1"
    assert effective(tiny, "privacy.shares") == '{"bins": 0.05, "signal": 0.01, "calibration": 0.05, "evaluation": 1.0}'


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("privacy.epsilom", 1.0, "privacy.epsilom: unknown key; did you mean 'epsilon'?"),
        ("privacy.epsilon", -1.0, "privacy.epsilon = -1.0: input should be greater than"),
        ("simulation.alpha", 1.0, "alpha belongs to the partitions"),
        ("simulation.partitions", "equal", "simulation.partitions: unknown key; did you mean 'partition'?"),
        ("simulation.partition.kind", "equal", "simulation.partition.kind: the settings have no such key"),
        ("simulation.coverage.shop", 0.5, "simulation.coverage.shop: the plan has no such group; its groups: lender"),
        ("parties.shop", 2, "parties.shop: the plan has no such group; its groups: lender"),
        ("parties.lender", 0, "parties.lender = 0: must be a whole number from 1 to 1000"),
        ("parties.lender", 2.5, "parties.lender = 2.5: must be a whole number"),
        ("parties.lender", True, "parties.lender = True: must be a whole number"),
    ],
)
def test_keys_and_values_that_are_refused(tiny: Scenario, key: str, value: object, said: str):
    with pytest.raises(PlanError) as caught:
        applied(tiny, {key: value})
    assert said in str(caught.value)


@given(count=st.integers(1, 40))
@settings(max_examples=25)
@pytest.mark.parametrize("name", ["uci_horizontal_eps1", "synthetic_vertical_eps2"])
def test_any_number_of_parties_shares_the_same_records(name: str, count: int):
    before = Scenario.load(resolve(name))
    for group in before.plan.groups:
        after = applied(before, {f"parties.{group}": count}).plan
        members = after.members(group)
        assert len(members) == count
        sizes = [party.nominal_records for party in members]
        assert sum(sizes) == sum(party.nominal_records for party in before.plan.members(group))
        assert max(sizes) - min(sizes) <= 1
        assert after.groups[group].max_colluding <= before.plan.groups[group].max_colluding
        others = [party for party in before.plan.parties if party.group != group]
        assert [party for party in after.parties if party.group != group] == others


def test_as_many_parties_as_before_change_nothing(tiny: Scenario):
    assert applied(tiny, {"parties.lender": 3}).plan == tiny.plan


def test_the_group_of_a_count():
    assert counted_group("parties.lender") == "lender"
    assert counted_group("parties.0.nominal_records") is None
    assert counted_group("privacy.epsilon") is None
