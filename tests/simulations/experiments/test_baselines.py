"""What a run is compared with: plans of one lender, pooled models, and that none of them sees what it must not."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from builders import LENDERS, mechanisms, small_federation, small_plan, with_columns

from sealscore.shared.plan.plan import Plan
from sealscore.shared.randomness.noise import grid_scale
from sealscore.simulations.experiments import baselines
from sealscore.simulations.experiments.baselines import BASELINES, alone, baselines_of
from sealscore.simulations.experiments.oracle import Oracle

PLAN = small_plan(training__rounds=20)
NAMES = (
    *("lender_alone", "lender_alone_dp", "pooled_xgboost", "pooled_additive"),
    *("pooled_logistic_bins", "no_noise", "fedavg_local_noise"),
)


@pytest.fixture(scope="module")
def oracle() -> Oracle:
    return Oracle(PLAN, small_federation())


@pytest.fixture(scope="module")
def honest(oracle: Oracle) -> Callable[[str], float]:
    """A baseline's AUC on the records as they are, trained once."""
    return cache(lambda name: BASELINES[name](PLAN, oracle))


def test_a_plan_without_platforms_is_compared_with_all_but_theirs():
    assert set(baselines_of(PLAN)) == set(NAMES)
    assert set(NAMES) < set(BASELINES)


@pytest.mark.parametrize("name", NAMES)
def test_each_learns_something(name: str, honest: Callable[[str], float]):
    assert 0.5 < honest(name) < 0.95


@pytest.mark.parametrize("name", NAMES)
def test_none_reads_protected_columns_and_all_repeat(name: str, oracle: Oracle, honest: Callable[[str], float]):
    """Were the label itself written into age and sex, no baseline would be the better for it."""
    telling = {
        party: with_columns(part, age=20 + 60.0 * part.label, sex=part.label.astype(np.float64))
        for party, part in oracle.records.items()
    }
    assert BASELINES[name](PLAN, Oracle(PLAN, telling)) == honest(name)


@pytest.mark.parametrize("name", NAMES)
def test_none_is_trained_on_test_rows(name: str, oracle: Oracle):
    """With the labels of the training rows turned round, every model must be on the wrong side on the test rows."""
    turned = {
        party: dataclasses.replace(part, label=np.where(part.test, part.label, 1 - part.label).astype(np.int8))
        for party, part in oracle.records.items()
    }
    assert BASELINES[name](PLAN, Oracle(PLAN, turned)) < 0.5


class TestAlone:
    def test_one_lender_under_the_same_budget(self):
        plan = alone(PLAN, "lender-2")
        assert [party.name for party in plan.parties] == ["lender-2"]
        assert plan.privacy.model_dump(exclude={"max_parties_per_person"}) == PLAN.privacy.model_dump(
            exclude={"max_parties_per_person"}
        )
        assert plan.groups["lender"].min_parties == 1
        assert plan.groups["lender"].max_colluding == 0
        assert plan.training == PLAN.training
        assert plan.evaluation == PLAN.evaluation

    def test_it_carries_all_of_the_noise(self):
        phase = mechanisms(PLAN).phases[1]
        together = mechanisms(PLAN).mechanism(phase, 14)
        by_itself = mechanisms(alone(PLAN, "lender-2")).mechanism(phase, 14)
        assert by_itself.own_scale(1) == grid_scale(together.noise_std)
        assert by_itself.own_scale(1) > 1.4 * together.own_scale(3)

    @pytest.mark.parametrize("party", LENDERS)
    def test_every_lender_has_its_own_plan(self, party: str):
        assert alone(PLAN, party).hash != PLAN.hash
        assert party in alone(PLAN, party).name


class TestWhatIsTrained:
    @pytest.fixture
    def plans(self, monkeypatch: pytest.MonkeyPatch) -> list[Plan]:
        """The plans that a baseline has trained, in the place of training them."""
        kept: list[Plan] = []

        def trained(plan: Plan, oracle: Oracle) -> float:
            kept.append(plan)
            return 0.5

        monkeypatch.setattr(baselines, "trained", trained)
        return kept

    def test_lender_alone_has_no_noise_and_lender_alone_dp_the_plans(self, plans: list[Plan], oracle: Oracle):
        BASELINES["lender_alone"](PLAN, oracle)
        assert [plan.parties[0].name for plan in plans] == list(LENDERS)
        assert {plan.privacy.noise for plan in plans} == {"none"}
        plans.clear()
        BASELINES["lender_alone_dp"](PLAN, oracle)
        assert {plan.privacy.noise for plan in plans} == {"discrete-gaussian"}
        assert {plan.privacy.epsilon for plan in plans} == {PLAN.privacy.epsilon}

    def test_no_noise_changes_the_noise_alone(self, plans: list[Plan], oracle: Oracle):
        BASELINES["no_noise"](PLAN, oracle)
        assert plans == [PLAN.replace(privacy__noise="none")]

    def test_fedavg_takes_as_many_steps_at_the_same_budget(self, plans: list[Plan], oracle: Oracle):
        BASELINES["fedavg_local_noise"](PLAN, oracle)
        (plan,) = plans
        assert plan.training.algorithm == "fedavg"
        assert plan.training.rounds * plan.training.local.steps == PLAN.training.rounds
        assert plan.privacy == PLAN.privacy
        assert plan.training.sample_rate == PLAN.training.sample_rate
