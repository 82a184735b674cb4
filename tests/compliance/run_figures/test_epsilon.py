"""Epsilon by phase and round is the claim's own arithmetic."""

from __future__ import annotations

from itertools import pairwise

import pytest
from builders import mechanisms, small_plan
from vertical_builders import vertical_plan

from sealscore.compliance.run_figures.epsilon import moments, phase_costs
from sealscore.shared.plan.plan import Plan

PLANS = [small_plan(), vertical_plan(training__sample_rate=1.0)]


def answered(plan: Plan, missing: int = 1):
    """One attempt less than the budget holds, at each phase with several."""
    most = {phase.name: phase.attempts for phase in mechanisms(plan).phases if not phase.paired}
    return lambda phase: max(1, most[phase] - missing)


@pytest.mark.parametrize("plan", PLANS, ids=["horizontal", "vertical"])
class TestCosts:
    def test_the_last_total_is_the_claim(self, plan: Plan):
        count = answered(plan)
        costs = phase_costs(mechanisms(plan), count)
        assert costs[-1].total == mechanisms(plan).claim(lambda phase: count(phase.name))
        assert [cost.phase for cost in costs] == [p for p in mechanisms(plan).phases if not p.paired]
        assert all(cost.answers == count(cost.phase.name) for cost in costs)

    def test_totals_never_fall_and_are_at_most_the_sum(self, plan: Plan):
        costs = phase_costs(mechanisms(plan), answered(plan))
        totals = [cost.total for cost in costs]
        assert totals == sorted(totals)
        assert costs[0].total == costs[0].alone > 0
        assert all(cost.alone <= cost.total for cost in costs)
        assert totals[-1] < sum(cost.alone for cost in costs)

    def test_a_phase_that_nobody_answered_is_free(self, plan: Plan):
        costs = phase_costs(mechanisms(plan), lambda phase: 0)
        assert [(cost.alone, cost.total) for cost in costs] == [(0, 0)] * len(costs)

    def test_moments_end_where_the_costs_do(self, plan: Plan):
        count = answered(plan)
        found = moments(mechanisms(plan), count)
        costs = phase_costs(mechanisms(plan), count)
        assert (found[0].answers, found[0].epsilon) == (0, 0)
        assert found[-1].epsilon == costs[-1].total
        assert found[-1].answers == sum(cost.answers for cost in costs)
        for one, other in pairwise(found):
            assert one.answers <= other.answers
            assert one.epsilon <= other.epsilon
        for cost in costs:
            last = [moment for moment in found if moment.phase == cost.phase.name][-1]
            assert last.epsilon == cost.total


def test_against_a_platform_labels_count_from_their_release_on():
    plan = PLANS[1]
    count = answered(plan)
    found = moments(mechanisms(plan), count)
    told = [moment for moment in found if moment.platform is not None]
    assert told[0].phase == "release_labels:video"
    assert found[1].platform is None
    assert found.index(told[0]) == 2
    assert found[2:] == told
    assert all(moment.platform > moment.epsilon for moment in told)
    assert told[-1].platform == mechanisms(plan).platform_claim(lambda phase: count(phase.name))


def test_without_platforms_there_is_no_figure_against_them():
    assert all(moment.platform is None for moment in moments(mechanisms(PLANS[0]), answered(PLANS[0])))


def test_a_phase_of_many_rounds_is_looked_at_a_few_times():
    plan = small_plan(training__rounds=400)
    found = moments(mechanisms(plan), lambda phase: 400 if phase.startswith("train") else 1, about=5)
    assert [moment.answers for moment in found] == [0, 1, 17, 65, 145, 257, 401, 402, 403]
