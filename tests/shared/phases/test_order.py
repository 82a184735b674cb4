"""The phases of a plan: their order, their names, and how many answers the budget holds for each."""

from __future__ import annotations

import math

import pytest
from builders import BIN, CALIBRATE, EVALUATE, TRAIN, small_plan
from counted_loans import counts_plan
from hypothesis import given
from hypothesis import strategies as st
from vertical_builders import auto_vertical_plan, vertical_plan

from sealscore.shared.dp.mechanisms import Mechanisms
from sealscore.shared.phases.kind import Kind
from sealscore.shared.phases.order import KINDS, phases, spare_attempts
from sealscore.shared.plan.plan import Plan

# With so many records the recipe plans every release that it has.
BIG_AUTO = auto_vertical_plan(
    model__fallback=True,
    parties=[party | {"nominal_records": 50_000} for party in vertical_plan().model_dump(mode="json")["parties"]],
)


def test_order_and_names():
    assert [phase.name for phase in phases(small_plan())] == [BIN, TRAIN, CALIBRATE, EVALUATE]
    assert [BIN, TRAIN, CALIBRATE, EVALUATE] == [
        "bin:lender",
        "train_tower:lender",
        "calibrate:lender",
        "evaluate:lender",
    ]


def test_a_function_of_every_phases_name_stands_in_the_coordinator_and_at_the_party():
    from sealscore.clients.roles.lender import Lender
    from sealscore.server.run.coordinator import Coordinator

    for phase in phases(small_plan()):
        assert callable(getattr(Coordinator, phase.kind.value))
        assert callable(getattr(Lender, phase.kind.value))


def test_only_evaluation_reads_test_persons():
    assert {phase.name for phase in phases(small_plan()) if phase.test} == {EVALUATE}
    assert Kind.EVALUATE.value == "evaluate"


@given(rounds=st.integers(1, 2000), spare=st.sampled_from([0.0, 0.01, 0.05, 0.5, 1.0]))
def test_attempts_are_the_rounds_and_the_spare_ones(rounds: int, spare: float):
    plan = small_plan(training__rounds=rounds, privacy__spare_attempts=spare)
    for phase in phases(plan):
        expected = rounds if phase.kind is Kind.TRAIN else 1
        assert phase.rounds == expected
        assert phase.attempts == expected + math.ceil(round(spare * expected, 9))
        assert phase.steps == 1


@pytest.mark.parametrize("algorithm", ["fedavg", "fedprox"])
def test_local_steps_are_steps_of_one_answer(algorithm: str):
    local = {"steps": 6, "learning_rate": 0.1, "proximal": 0.3 if algorithm == "fedprox" else 0.0}
    plan = small_plan(training__algorithm=algorithm, training__local=local)
    assert {phase.name: phase.steps for phase in phases(plan)} == {BIN: 1, TRAIN: 6, CALIBRATE: 1, EVALUATE: 1}


def test_every_phase_is_of_the_lenders_whatever_their_group_is_called():
    plan = small_plan()
    data = plan.model_dump(mode="json")
    data["groups"] = {"banks": data["groups"]["lender"]}
    data["parties"] = [party | {"group": "banks"} for party in data["parties"]]
    renamed = type(plan).parse(data)
    assert {phase.group for phase in phases(renamed)} == {"banks"}
    assert phases(renamed)[0].name == "bin:banks"


@pytest.mark.parametrize("plan", [vertical_plan(model__fallback=True), counts_plan()], ids=["trains", "counts"])
def test_every_kind_says_what_it_is(plan: Plan):
    """A kind is paired or summed; a summed one has a share, a length and a sensitivity under any plan."""
    assert set(KINDS) == set(Kind)
    for phase in phases(plan):
        if phase.paired:
            assert set(phase.of.gives) == {"lender", "platform"}
            with pytest.raises(TypeError, match="has no sum"):
                _ = phase.summed
            continue
        found = phase.summed
        assert 0 < found.shortest(plan, phase.tower) <= found.longest(plan, phase.tower)
        assert 0 < found.share(plan, phase.tower) <= 1
        assert found.sensitivity(plan, phase.tower) >= 1
    assert len({found.title for found in KINDS.values()}) == len(Kind)


FALLBACKS = pytest.mark.parametrize(
    ("plan", "last"),
    [
        (vertical_plan(model__fallback=True), ["train_tower", "calibrate", "evaluate"]),
        (BIG_AUTO, ["fit_features", "sum_pairs", "fit_tables", "sum_residuals", "evaluate"]),
    ],
    ids=["tuned", "auto"],
)


@FALLBACKS
def test_the_fallback_comes_last_and_counts_nothing_of_its_own(plan: Plan, last: list[str]):
    order = phases(plan)
    assert [phase.name for phase in order[-len(last) :]] == [f"{kind}:fallback" for kind in last]
    assert order[: -len(last)] == phases(plan.replace(model__fallback=False))
    assert {phase.group for phase in order if phase.tower == "fallback"} == {"lender"}


@FALLBACKS
@pytest.mark.parametrize("moves", [False, True])
def test_what_phases_share_is_the_whole_budget_of_a_person(plan: Plan, last: list[str], moves: bool):
    del last
    if moves:
        data = plan.model_dump(mode="json")
        for group in data["groups"].values():
            group["table"]["date"] = "day"
        data["evaluation"]["split"] = {"kind": "date", "test_fraction": 0.25, "first_test_day": "2019-01-01"}
        plan = Plan.parse(data)
    made = Mechanisms(plan.replace(privacy__shares__evaluation=0.4))
    sums = [sum(phase.summed.share(made.plan, phase.tower) for phase in part) for part in made.composed]
    assert sums == pytest.approx([1.4] if moves else [1.0, 0.4])
    judged = [p.summed.share(made.plan, p.tower) for p in made.phases if p.kind is Kind.EVALUATE]
    assert judged == pytest.approx([0.36, 0.04])


def test_the_fallback_is_evaluated_by_one_table():
    plan = vertical_plan(model__fallback=True)
    by_name = {phase.name: phase.summed for phase in phases(plan) if not phase.paired}
    assert by_name["evaluate:fallback"].longest(plan, "fallback") == 2 * plan.evaluation.judged_cells
    assert by_name["evaluate:fallback"].sensitivity(plan, "fallback") == 1.0
    assert by_name["evaluate:lender"].sensitivity(plan, "lender") == math.sqrt(3)


@pytest.mark.parametrize(
    ("rounds", "fraction", "spare"),
    [(300, 0.05, 15), (1, 0.05, 1), (0, 0.05, 0), (100, 0.0, 0), (301, 0.05, 16), (10, 1.5, 15)],
)
def test_spare_attempts(rounds, fraction, spare):
    assert spare_attempts(rounds, fraction) == spare


@pytest.mark.parametrize(("rounds", "fraction"), [(-1, 0.05), (10, -0.1), (10, math.nan), (10, math.inf)])
def test_bad_spare_attempts_are_refused(rounds, fraction):
    with pytest.raises(ValueError, match="at least 0"):
        spare_attempts(rounds, fraction)


def test_a_plan_of_counts_has_one_phase_of_everybody():
    plan = counts_plan()
    (phase,) = phases(plan)
    assert (phase.name, phase.parts, phase.paired) == ("count_passages:lender", frozenset(), False)
    assert Mechanisms(plan).composed == ((phase,),)
