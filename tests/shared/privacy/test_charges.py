"""What a party has charged, composed: the same figure as the coordinator's, and never above the plan's."""

from __future__ import annotations

import math

import pytest
from builders import BIN, CALIBRATE, EVALUATE, LENDERS, TRAIN, mechanisms, phase_of, small_plan
from doubles import Talk

from shared.messages import Header
from shared.phases import phases
from shared.privacy.accountant import PldAccountant
from shared.privacy.budget import accounting_delta
from shared.privacy.charges import Charges
from shared.privacy.events import Gaussian, SampledGaussian

DELTA = 1e-5


def header(phase: str, round: int = 1, attempt: int = 1) -> Header:
    return Header("plan", "run", phase, round, attempt, "server", "lender-1")


def charges() -> Charges:
    return Charges(frozenset({EVALUATE}))


def test_nothing_was_charged():
    assert charges().epsilon(PldAccountant(), DELTA) == 0.0
    assert charges().events(test=False) == charges().events(test=True) == []


def test_equal_events_are_counted_and_steps_multiplied():
    kept = charges()
    event = SampledGaussian(noise_multiplier=2.0, sample_rate=0.1, count=3)
    for round in range(1, 6):
        kept(header(TRAIN, round), event)
    assert kept.events(test=False) == [event.model_copy(update={"count": 15})]


def test_a_charge_of_one_phase_twice_costs_twice():
    once, twice = charges(), charges()
    event = Gaussian(noise_multiplier=1.0, sensitivity=1.0, count=1)
    once(header(BIN), event)
    for attempt in (1, 2):
        twice(header(BIN, 1, attempt), event)
    doubled = Gaussian(noise_multiplier=1 / math.sqrt(2), sensitivity=1.0, count=1)
    assert twice.epsilon(PldAccountant(), DELTA) > once.epsilon(PldAccountant(), DELTA)
    assert twice.epsilon(PldAccountant(), DELTA) == pytest.approx(PldAccountant().epsilon([doubled], DELTA), rel=1e-3)


def test_training_and_test_persons_are_kept_apart_and_the_larger_counts():
    event = Gaussian(noise_multiplier=1.0, sensitivity=1.0, count=1)
    apart, together = charges(), charges()
    for place in (BIN, EVALUATE):
        apart(header(place), event)
    for place in (BIN, CALIBRATE):
        together(header(place), event)
    single = PldAccountant().epsilon([event], DELTA)
    assert apart.epsilon(PldAccountant(), DELTA) == pytest.approx(single)
    assert together.epsilon(PldAccountant(), DELTA) > single
    assert [e.count for e in apart.events(test=True)] == [1]
    more = charges()
    more(header(EVALUATE), event.model_copy(update={"noise_multiplier": 0.5}))
    more(header(BIN), event)
    assert more.epsilon(PldAccountant(), DELTA) > single


@pytest.mark.parametrize(
    "changes",
    [{}, {"training__algorithm": "fedavg", "training__local": {"steps": 3, "learning_rate": 0.2}}],
    ids=["one-step", "local"],
)
def test_whatever_a_server_asks_of_a_node_it_stays_within_the_plan(changes):
    """Every attempt of the budget in every phase, which is all that a node answers: at most the plan's epsilon."""
    plan = small_plan(**changes)
    kept = Charges(frozenset(phase.name for phase in phases(plan) if phase.test))
    talk = Talk(plan, charge=kept)
    talk.publish()
    answered = 0
    for phase in (BIN, TRAIN, CALIBRATE, EVALUATE):
        for round in range(1, 6):
            for attempt in range(1, 8):
                cohort = LENDERS if attempt % 2 else LENDERS[:2]
                answered += type(talk.ask(phase, round, attempt, cohort=cohort)).__name__ == "SumAnswer"
    assert answered == sum(phase_of(plan, name).attempts for name in (BIN, TRAIN, CALIBRATE, EVALUATE))
    delta = accounting_delta(plan.privacy.epsilon, plan.privacy.delta, 1e-9)
    epsilon = kept.epsilon(PldAccountant(), delta)
    assert 0.99 * plan.privacy.epsilon <= epsilon <= plan.privacy.epsilon
    assert epsilon == pytest.approx(mechanisms(plan).claim(), rel=1e-6)


def test_a_node_that_answered_as_planned_has_what_the_coordinator_claims():
    plan = small_plan()
    kept = Charges(frozenset(phase.name for phase in phases(plan) if phase.test))
    talk = Talk(plan, charge=kept)
    talk.publish()
    for phase, rounds in ((BIN, 1), (TRAIN, 4), (CALIBRATE, 1), (EVALUATE, 1)):
        for round in range(1, rounds + 1):
            talk.vector(phase, round)
            talk.vector(phase, round)  # the stored answer, for nothing
    delta = accounting_delta(plan.privacy.epsilon, plan.privacy.delta, 1e-9)
    claimed = mechanisms(plan).claim(lambda phase: phase.rounds)
    assert kept.epsilon(PldAccountant(), delta) == pytest.approx(claimed, rel=1e-6)
