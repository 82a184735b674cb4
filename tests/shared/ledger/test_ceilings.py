"""Every ceiling refuses what would exceed it, and what fits as a whole is composed once."""

import pytest
from builders import TRAIN, small_plan
from ledger_entries import AT, approval, folded, opening, reserve

from sealscore.shared.dp.accountant import PldAccountant
from sealscore.shared.dp.events import Gaussian, NoNoise, SampledGaussian
from sealscore.shared.ledger.budget_check import BudgetCheck, Overdrawn
from sealscore.shared.ledger.entries import Ceilings, Limit, Settle

DELTA = 1e-5
PLD = PldAccountant()
TRAINED = SampledGaussian(noise_multiplier=2.0, sample_rate=0.1, count=1)
COUNTED = Gaussian(noise_multiplier=10.0, sensitivity=2.0, count=1)
HASHED = small_plan()


class Counting:
    """An accountant that counts how often it composes."""

    name, version = "counting", "0"

    def __init__(self):
        self.calls = 0

    def epsilon(self, events, delta):
        self.calls += 1
        return PLD.epsilon(events, delta)


def fits(entries, more, plan=HASHED, spending=None):
    """The ceiling that refuses a reservation more, or "" where all hold it."""
    try:
        (spending or BudgetCheck()).check(folded(entries), plan.hash, more)
    except Overdrawn as error:
        return error.ceiling
    return ""


def test_the_plan_s_own_epsilon_is_a_ceiling():
    plan = small_plan(privacy__epsilon=1.0)
    entries = [opening(), approval(plan)]
    dear = Gaussian(noise_multiplier=5.0, count=1)
    assert fits(entries, reserve(plan, event=dear), plan) == ""
    assert fits([*entries, reserve(plan, event=dear)], reserve(plan, round=2, event=dear), plan) == "plan"
    # All of a block counts.
    assert fits(entries, reserve(plan, count=2, event=dear), plan) == "plan"


def test_ceilings_of_purpose_and_data_set():
    marketing = small_plan(seed=8, purpose_code="marketing")
    one = PLD.epsilon([COUNTED], DELTA)
    purposes = Ceilings(epsilon=None, delta=DELTA, purposes={"credit-scoring": one * 1.01})
    entries = [opening(ceilings=purposes), approval(HASHED), approval(marketing)]
    first, second = (reserve(HASHED, round=round, event=COUNTED) for round in (1, 2))
    assert fits(entries, first) == ""
    assert fits([*entries, first], second) == "purpose"
    # A plan of another purpose has no ceiling there and takes nothing from this one's.
    others = [reserve(marketing, round=round, event=COUNTED) for round in (1, 2)]
    assert fits([*entries, first, others[0]], others[1], marketing) == ""
    assert fits([*entries, *others], first) == ""
    whole = Ceilings(epsilon=one * 1.01, delta=DELTA)
    entries = [opening(ceilings=whole), approval(HASHED), approval(marketing)]
    assert fits([*entries, others[0]], first) == "data-set"


def test_the_ceiling_counts_plans_that_have_ended():
    one = PLD.epsilon([COUNTED], DELTA)
    other = small_plan(seed=8)
    entries = [opening(ceilings=Ceilings(epsilon=one * 1.01, delta=DELTA)), approval(other)]
    entries += [reserve(other, event=COUNTED), Settle(plan=other.hash, why="finished"), approval(HASHED)]
    assert fits(entries, reserve(HASHED, event=COUNTED)) == "data-set"


def run_of(plan, spending, entries, rounds):
    """Reserve training rounds at the plan's own noise, each after a check."""
    state = folded(entries)
    own = state.plans[plan.hash]
    event = own.mechanisms.event(own.phases[TRAIN][1])
    for round in rounds:
        more = reserve(plan, TRAIN, round, event=event)
        spending.check(state, plan.hash, more)
        entries.append(more)
        state.apply(len(entries), AT, more)


@pytest.mark.parametrize("lower", [Ceilings(epsilon=0.5, delta=DELTA), Ceilings(epsilon=9.0, delta=1e-12)])
def test_a_lowered_ceiling_refuses_the_next_round(lower):
    """Also where the whole plan was found to fit before."""
    spending, entries = BudgetCheck(), [opening(ceilings=Ceilings(epsilon=9.0, delta=DELTA)), approval(HASHED)]
    run_of(HASHED, spending, entries, [1, 2])
    with pytest.raises(Overdrawn) as refused:
        run_of(HASHED, spending, [*entries, Limit(ceilings=lower, why="the board decided")], [3])
    assert refused.value.ceiling == "data-set"
    run_of(HASHED, spending, entries, [3])


def test_a_plan_without_noise_has_no_place_under_a_ceiling():
    plan = small_plan(privacy__noise="none")
    for ceilings, refused in (
        (Ceilings(epsilon=None, delta=DELTA), ""),
        (Ceilings(epsilon=4.0, delta=DELTA), "data-set"),
        (Ceilings(epsilon=None, delta=DELTA, purposes={"marketing": 1.0}), "data-set"),
    ):
        entries = [opening(ceilings=ceilings), approval(plan)]
        assert fits(entries, reserve(plan, event=NoNoise(count=1, what="bins")), plan) == refused


def test_a_plan_that_fits_as_a_whole_is_composed_once():
    accountant = Counting()
    entries = [opening(ceilings=Ceilings(epsilon=9.0, delta=DELTA)), approval(HASHED)]
    spending = BudgetCheck(accountant)
    run_of(HASHED, spending, entries, [1])
    calls = accountant.calls
    run_of(HASHED, spending, entries, [2, 3, 4, 5, 6])
    assert accountant.calls == calls


def test_two_plans_that_take_turns_are_composed_once_each():
    accountant, other = Counting(), small_plan(seed=8)
    entries = [opening(ceilings=Ceilings(epsilon=20.0, delta=1e-3)), approval(HASHED), approval(other)]
    spending = BudgetCheck(accountant)
    for plan in (HASHED, other):
        run_of(plan, spending, entries, [1])
    calls = accountant.calls
    for round in (2, 3, 4):
        for plan in (HASHED, other):
            run_of(plan, spending, entries, [round])
    assert accountant.calls == calls


def test_what_another_plan_spent_meanwhile_is_seen():
    other = small_plan(seed=8)
    entries = [opening(ceilings=Ceilings(epsilon=8.0, delta=DELTA)), approval(HASHED), approval(other)]
    spending = BudgetCheck()
    turns = [(plan, round) for round in range(1, 7) for plan in (HASHED, other)]

    def take_turns():
        for plan, round in turns:
            run_of(plan, spending, entries, [round])

    # Within its own budget each; more than the data set's together.
    with pytest.raises(Overdrawn, match="ceiling, 8") as refused:
        take_turns()
    assert refused.value.ceiling == "data-set"
    assert spending.epsilon(folded(entries)) <= 8.0


def test_a_plan_is_held_against_the_ceilings_as_a_whole_before_its_approval():
    other = small_plan(seed=8)
    for epsilon, refused in ((8.0, True), (20.0, False)):
        ceilings = Ceilings(epsilon=epsilon, delta=1e-3 if epsilon > 8 else DELTA)
        state = folded([opening(ceilings=ceilings), approval(HASHED)])
        spending = BudgetCheck()
        assert (spending.outlook(state, state.plans[HASHED.hash]) > epsilon) is refused
        if refused:
            with pytest.raises(Overdrawn, match="data set") as error:
                spending.check_whole(state, other)
            assert error.value.ceiling == "data-set"
        else:
            spending.check_whole(state, other)
    # What an ended plan did not use is free again.
    ended = [opening(ceilings=Ceilings(epsilon=8.0, delta=DELTA)), approval(HASHED)]
    ended += [Settle(plan=HASHED.hash, why="finished")]
    BudgetCheck().check_whole(folded(ended), other)
