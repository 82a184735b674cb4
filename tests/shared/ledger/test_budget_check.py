"""What is spent composes as the parts of persons do, and every ceiling holds."""

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from builders import EVALUATE, TRAIN, small_plan
from counted_loans import counts_plan
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st
from ledger_entries import answer, approval, disclosed, folded, opening, reserve
from vertical_builders import vertical_plan

from sealscore.shared.dp.accountant import PldAccountant
from sealscore.shared.dp.events import Disclosure, Event, Gaussian, NoNoise, RandomizedResponse, SampledGaussian
from sealscore.shared.dp.noise_calibration import UnreachableBudget
from sealscore.shared.ledger.budget_check import (
    BudgetCheck,
    Spent,
    Used,
    bits_by_recipient,
    composed_epsilon,
    label_epsilon,
)
from sealscore.shared.ledger.entries import PARTS, Ceilings, Part
from sealscore.shared.ledger.state import UNDIVIDED, Division
from sealscore.shared.plan.plan import Plan

DELTA = 1e-5
PLD = PldAccountant()
TRAINED = SampledGaussian(noise_multiplier=2.0, sample_rate=0.1, count=1)
COUNTED = Gaussian(noise_multiplier=10.0, sensitivity=2.0, count=1)
HASHED = small_plan()
# The least distance that is counted for a plan's noise.
DISTANCE = 1e-9
DIVISION = Division("by hash", "exact", "id")


def times(event, count):
    return event.model_copy(update={"count": count})


def dated(**changes):
    table = HASHED.groups["lender"].table.model_dump(mode="json") | {"date": "applied"}
    split = {"kind": "date", "first_test_day": "2020-01-01", "test_fraction": 0.25}
    return small_plan(groups__lender__table=table, evaluation__split=split, **changes)


def listed(**changes):
    split = {"kind": "ids", "file": "test.txt", "sha256": "0" * 64, "test_fraction": 0.25}
    return small_plan(evaluation__split=split, **changes)


def answered(plan, part_of_evaluation="test"):
    """A plan's approval, three training rounds and two evaluations."""
    rounds = [reserve(plan, TRAIN, round, event=TRAINED) for round in (1, 2, 3)]
    tests = [reserve(plan, EVALUATE, 1, attempt, event=COUNTED, part=part_of_evaluation) for attempt in (1, 2)]
    return [approval(plan), *rounds, *tests]


def spent(plans, ceilings=None, **given):
    entries = [opening(ceilings=ceilings or Ceilings(epsilon=4.0, delta=DELTA))]
    for plan in plans:
        entries += answered(plan, **given)
    return BudgetCheck().epsilon(folded(entries))


def by_hand(events, plans, epsilon=4.0):
    return PLD.epsilon(events, DELTA - (1 + math.exp(epsilon)) * plans * DISTANCE)


def test_parts_of_a_plan_compose_in_parallel():
    training, test = by_hand([times(TRAINED, 3)], 1), by_hand([times(COUNTED, 2)], 1)
    assert spent([HASHED]) == pytest.approx(max(training, test), rel=1e-9)


def test_by_date_a_plan_composes_in_sequence_whatever_its_entries_say():
    together = by_hand([times(TRAINED, 3), times(COUNTED, 2)], 1)
    for part in ("test", "all"):
        assert spent([dated()], part_of_evaluation=part) == pytest.approx(together, rel=1e-9)


def test_everybody_is_in_the_part_that_is_everybodys():
    together = by_hand([times(TRAINED, 3), times(COUNTED, 2)], 1)
    assert spent([HASHED], part_of_evaluation="all") == pytest.approx(together, rel=1e-9)


@pytest.mark.parametrize("make", [small_plan, listed])
def test_plans_that_divide_persons_alike_compose_part_by_part(make):
    plans = [make(seed=seed) for seed in (1, 2)]
    parts = [by_hand([event], 2) for event in (times(TRAINED, 6), times(COUNTED, 4))]
    assert spent(plans) == pytest.approx(max(parts), rel=1e-9)


@pytest.mark.parametrize(
    "plans",
    [
        [HASHED, small_plan(evaluation__split__key="another")],
        [HASHED, small_plan(evaluation__split__test_fraction=0.3)],
        [HASHED, listed()],
        [listed(), listed().replace(evaluation__split__sha256="1" * 64)],
        [dated(seed=1), dated(seed=2)],
        [HASHED, dated()],
        [HASHED, small_plan(alignment__identifier="creator-id")],
        [HASHED, small_plan(groups__lender__table__person="who")],
    ],
    ids=["key", "fraction", "kind", "list", "date", "date-and-hash", "form", "column"],
)
def test_plans_that_divide_persons_otherwise_compose_in_sequence(plans):
    everything = [times(TRAINED, 6), times(COUNTED, 4)]
    assert spent(plans) == pytest.approx(by_hand(everything, 2), rel=1e-9)
    assert spent(plans) > max(by_hand([event], 2) for event in everything)


def test_a_plan_without_answers_divides_nobody():
    entries = [opening(), *answered(HASHED), approval(dated())]
    assert BudgetCheck().epsilon(folded(entries)) == BudgetCheck().epsilon(folded(entries[:-1]))


def test_blocks_count_in_full_and_aborts_do_not():
    block = reserve(HASHED, TRAIN, count=4, event=TRAINED)
    entries = [opening(ceilings=Ceilings(epsilon=4.0, delta=DELTA)), approval(HASHED), block]
    assert BudgetCheck().epsilon(folded(entries)) == pytest.approx(by_hand([times(TRAINED, 4)], 1), rel=1e-9)
    entries += [answer(block, 3)]
    assert BudgetCheck().epsilon(folded(entries)) == pytest.approx(by_hand([times(TRAINED, 4)], 1), rel=1e-9)


def test_chosen_plans_only():
    entries = [opening(), *answered(HASHED), *answered(small_plan(seed=8))]
    one = BudgetCheck().epsilon(folded(entries), lambda plan: plan.seed == 8)
    assert one == BudgetCheck().epsilon(folded(entries[:1] + entries[7:]))
    assert BudgetCheck().epsilon(folded(entries), lambda plan: False) == 0.0


used = st.builds(
    lambda division, training, test, everybody, distance: Used(
        division,
        {
            "training": Counter({TRAINED: training}),
            "test": Counter({COUNTED: test}),
            "all": Counter({COUNTED: everybody}),
        },
        distance,
    ),
    st.sampled_from([None, DIVISION, DIVISION._replace(form="phone")]),
    st.integers(1, 100),
    st.integers(0, 20),
    st.integers(0, 5),
    st.floats(0, 3e-8),
)


def counts(column: str = "", **changes: Any) -> Plan:
    """A plan of counts whose persons are named as in HASHED, or by another column."""
    named = {"groups__lender__table__person": column or HASHED.groups["lender"].table.person_column}
    return counts_plan(**(named | {"alignment__identifier": HASHED.alignment.identifier} | changes))


def counted(plan: Plan, part: Part = "all") -> list[Any]:
    """Its approval, and one sum."""
    return [approval(plan), reserve(plan, "count_passages:lender", 1, event=COUNTED, part=part)]


def test_counts_of_everybody_add_to_each_part_and_let_the_parts_be_parts():
    entries = [opening(), *answered(HASHED), *counted(counts()), *answered(small_plan(seed=8))]
    training, test = [times(TRAINED, 6), times(COUNTED, 1)], [times(COUNTED, 4), times(COUNTED, 1)]
    found = BudgetCheck().epsilon(folded(entries))
    # The distance of the counts' noise is larger than the round figure.
    assert found == pytest.approx(max(by_hand(training, 3), by_hand(test, 3)), rel=2e-3)
    assert found < by_hand([*training, times(COUNTED, 4)], 3) * 0.99


@pytest.mark.parametrize(
    ("plans", "part"),
    [
        ([HASHED, counts(column="who")], "all"),
        ([HASHED, counts(alignment__identifier="creator-id")], "all"),
        ([HASHED, dated(), counts()], "all"),
        ([HASHED, small_plan(evaluation__split__key="another"), counts()], "all"),
        # No node writes such an entry.
        ([HASHED, counts()], "test"),
    ],
    ids=["column", "form", "date", "keys", "part"],
)
def test_counts_of_persons_who_may_be_others_add_up_with_everything(plans: list[Plan], part: Part):
    *others, last = plans
    entries = [opening(), *(entry for plan in others for entry in answered(plan)), *counted(last, part)]
    everything = [times(TRAINED, 3 * len(others)), times(COUNTED, 2 * len(others) + 1)]
    assert BudgetCheck().epsilon(folded(entries)) == pytest.approx(by_hand(everything, len(plans)), rel=2e-3)


class SumsMet(PldAccountant):
    """In the place of epsilon how many sums a person is in, which grows with it."""

    def epsilon(self, events: Sequence[Event], delta: float) -> float:
        return float(sum(event.count for event in events))


PARTS_OF = st.tuples(st.integers(0, 6), st.integers(0, 6), st.integers(0, 6))
RULES = [DIVISION, DIVISION._replace(split="another key"), DIVISION._replace(split=UNDIVIDED), None]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(RULES), PARTS_OF), min_size=1, max_size=4))
def test_no_person_is_in_more_than_the_figure_says(plans: list[tuple[Division | None, tuple[int, int, int]]]):
    """By brute force: all ways in which rules can put one person, who is in one part by a rule that never moves
    anybody, in any by one that does, and only counted by plans that divide nobody.
    """
    made = []
    for rule, (training, test, everybody) in plans:
        apart = (0, 0) if rule is not None and rule.split == UNDIVIDED else (training, test)
        numbers = {"training": apart[0], "test": apart[1], "all": everybody}
        events: Spent = {part: Counter({COUNTED: numbers[part]}) for part in PARTS}
        made.append(Used(rule, events, 0.0))
    rules = [rule for rule in dict.fromkeys(one.division for one in made) if rule is not None and rule.split]
    worst = 0
    for parts in itertools.product(("training", "test"), repeat=len(rules)):
        of = dict(zip(rules, parts, strict=True))
        met = 0
        for one in made:
            moved = one.division is None
            mine = ("training", "test") if moved else (of.get(one.division, "training"),)
            met += sum(one.events[part][COUNTED] for part in (*mine, "all"))
        worst = max(worst, met)
    found = composed_epsilon(made, DELTA, 4.0, SumsMet())
    assert found >= worst
    if len(rules) <= 1 and None not in {one.division for one in made}:
        assert found == worst


@settings(max_examples=20, phases=[Phase.generate])
@given(st.lists(used, min_size=1, max_size=4), st.sampled_from([0.05, 1.0, 5.0, 1000.0]))
def test_the_figure_bears_out_the_distance_that_it_allows_for(some, guess):
    """(f, d) and a distance t from it give (f, d + (1 + e^f) t): that must be within delta at the figure itself."""
    try:
        found = composed_epsilon(some, DELTA, guess, PLD)
    except UnreachableBudget:
        assume(False)
    left = DELTA - (1 + math.exp(found)) * sum(one.distance for one in some)
    assert left > 0
    parts = [["training", "all"], ["test", "all"]]
    if None in (divisions := {one.division for one in some}) or len(divisions) > 1:
        parts = [["training", "test", "all"]]
    for together in parts:
        counts = sum((one.events[part] for one in some for part in together), Counter())
        assert PLD.epsilon([times(event, count) for event, count in counts.items()], left) <= found * (1 + 1e-9)


@pytest.mark.parametrize("guess", [0.05, 5.0, 1000.0])
def test_a_distance_beyond_delta_leaves_nothing_to_claim(guess):
    with pytest.raises(UnreachableBudget):
        composed_epsilon([Used(None, {"training": Counter({TRAINED: 100})}, 6e-6)], DELTA, guess, PLD)


def test_years_of_small_plans_are_not_refused_for_their_distance_alone():
    event = times(TRAINED, 1).model_copy(update={"noise_multiplier": 50.0})
    many = [Used(DIVISION, {"training": Counter({event: 300})}, DISTANCE) for _ in range(165)]
    # At a ceiling of 5, 165 distances exceed delta; at what is really spent they do not.
    assert 149 * 165 * DISTANCE > DELTA
    figure = composed_epsilon(many, DELTA, 5.0, PLD)
    assert PLD.epsilon([times(event, 165 * 300)], DELTA) < figure < 5.0


def test_no_noise_costs_everything():
    entries = [opening(), approval(HASHED), reserve(HASHED, event=NoNoise(count=1, what="bins"))]
    assert BudgetCheck().epsilon(folded(entries)) == math.inf


def test_labels_count_once_for_each_outcome_and_epsilon():
    plan, phase, coin = vertical_plan(), "release_labels:video", RandomizedResponse(epsilon=1.0, count=1)
    plans = [
        plan,
        plan.replace(seed=8),
        plan.replace(outcome__definition="fraud"),
        plan.replace(outcome__window_days=9),
    ]
    told = [
        (plan, {"event": coin}),
        (plan, {"event": coin, "peer": "video-2"}),
        (plan, {"event": coin.model_copy(update={"epsilon": 2.0}), "round": 2}),
        (plans[1], {"event": coin}),
        (plans[2], {"event": coin}),
        (plans[3], {"event": coin, "fresh": 0}),
        (plans[3], {"event": coin, "round": 2}),
    ]
    # Whatever the entries call it: a text that was cut may be that of two outcomes.
    entries = [opening(), *map(approval, plans), *(disclosed(one, phase, what="default", **of) for one, of in told)]
    assert [label_epsilon(folded(entries[:count])) for count in range(5, 13)] == [0, 1, 1, 3, 3, 4, 4, 5]


def test_bits_add_up_for_each_recipient():
    plan = vertical_plan()
    told = [
        {"peer": "video-1"},
        {"peer": "video-1", "round": 2, "event": Disclosure(bits=2, recipient="video-1", count=2)},
        {"peer": "video-1", "round": 3, "fresh": 0},
        {"peer": "video-2"},
    ]
    entries = [opening(), approval(plan), *(disclosed(plan, "disclose_signal:video", **one) for one in told)]
    assert bits_by_recipient(folded(entries)) == {"video-1": 7, "video-2": 3}
    assert bits_by_recipient(folded(entries[:2])) == {}


def test_ten_thousand_events_compose_as_the_few_that_they_are():
    assert PLD.epsilon([TRAINED, COUNTED] * 5_000, DELTA) == PLD.epsilon(
        [times(TRAINED, 5_000), times(COUNTED, 5_000)], DELTA
    )
    rounds = [reserve(HASHED, TRAIN, round, event=TRAINED) for round in range(1, 7)]
    one = folded([opening(), approval(HASHED), *rounds])
    # However many entries there are, an accountant is given one event for each kind.
    given = []

    class Listening:
        name, version = "listening", "0"

        def epsilon(self, events, delta):
            given.append(events)
            return PLD.epsilon(events, delta)

    BudgetCheck(Listening()).epsilon(one)
    assert [times(TRAINED, 6)] in given
    assert max(len(events) for events in given) == 1
