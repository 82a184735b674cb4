"""Scores are kept and calibrated again: what is asked of whom, what it costs, what comes out, what is refused."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from plans_again import FIRST, FIRST_AUTO, agreed, meanings
from vertical_builders import LENDERS, REQUESTS, Wire, carry_out, federation_of

from sealscore.clients.node.plan_ledger import approve
from sealscore.server.run.coordinator import RunOutcome
from sealscore.server.run.kept_scores import KeptScore, kept_scores
from sealscore.shared.dp.mechanisms import Mechanisms
from sealscore.shared.ledger.earlier_signals import earlier_score_problems
from sealscore.shared.ledger.state import LedgerFault, PlanState
from sealscore.shared.messages.codec import decode, digest, encode
from sealscore.shared.messages.messages import Publish, Refusal, Stored, SumAnswer, SumRequest
from sealscore.shared.model.additive.table_score import TableScore
from sealscore.shared.phases.kind import Kind
from sealscore.shared.phases.order import phases
from sealscore.shared.plan.errors import PlanError
from sealscore.shared.plan.plan import FALLBACK, Plan


def recalibrating(plan: Plan, outcome: RunOutcome, **changes: Any) -> Plan:
    """A plan that keeps the scores of this one's run."""
    scores = {tower: score.digest for tower, score in outcome.scores.items()}
    return plan.replace(
        name="calibrated",
        signals_from={"plan": plan.hash, "meanings": meanings(plan, outcome)},
        scores_from={"plan": plan.hash, "towers": scores},
        privacy__label_epsilon=None,
        **changes,
    )


def kept_of(outcome: RunOutcome) -> dict[str, KeptScore]:
    models = {"lender": outcome.model, FALLBACK: outcome.fallback}
    return {
        tower: KeptScore(score, model)
        for tower, score in outcome.scores.items()
        if (model := models[tower]) is not None
    }


def worse(plan: Plan) -> dict[str, Any]:
    """The parties' records, with more bad loans at the lenders: of the good ones a fifth, whatever their score."""
    records = federation_of(plan)
    for lender in LENDERS:
        one = records[lender]
        assert one.label is not None
        turned = np.random.default_rng(3).random(len(one)) < 0.2
        records[lender] = dataclasses.replace(one, label=np.where(turned, 1, one.label).astype(np.int8))
    return records


def test_a_plan_without_it_keeps_its_hash_and_one_with_it_is_read_back():
    assert b"scores_from" not in FIRST.canonical()
    source = {"plan": FIRST.hash, "meanings": {"video": "1" * 64, "wallet": "2" * 64}}
    scores = {"plan": FIRST.hash, "towers": {"lender": "3" * 64}}
    plan = FIRST.replace(signals_from=source, scores_from=scores, privacy__label_epsilon=None)
    assert Plan.from_canonical(plan.canonical()) == plan
    for changes, key in (
        ({"signals_from": None, "privacy__label_epsilon": 2.0}, "scores_from"),
        ({"scores_from__towers": {"lender": "3" * 64, "wallet": "4" * 64}}, "scores_from.towers"),
    ):
        with pytest.raises(PlanError, match=key):
            plan.replace(**changes)


@pytest.mark.parametrize("first", [FIRST, FIRST_AUTO], ids=["tuned", "auto"])
def test_scores_stay_and_pds_follow_the_new_outcomes(first: Plan):
    plan_1 = first.replace(model__fallback=True, privacy__noise="none")
    wire = Wire(plan_1)
    outcome, _ = carry_out(wire)
    plan = recalibrating(plan_1, outcome)
    second = Wire(plan, worse(plan), wire.lifetimes, run="run-2")
    found, exchange = carry_out(second, kept=kept_of(outcome))
    asked = {
        decode(raw, *REQUESTS).header.phase
        for requests in exchange.log
        for raw in requests.values()
        if isinstance(decode(raw, *REQUESTS), SumRequest)
    }
    kind = "sum_residuals" if plan.training.auto else "calibrate"
    assert asked == {f"{kind}:lender", "evaluate:lender", f"{kind}:fallback", "evaluate:fallback"}
    assert found.fallback is not None
    assert outcome.fallback is not None
    for before, after in ((outcome.model, found.model), (outcome.fallback, found.fallback)):
        assert after.card["plan"] == plan.hash
        records = [second.nodes[name].role.scored_records() for name in LENDERS]  # type: ignore[attr-defined]
        columns = {name: np.concatenate([one.columns[name] for one in records]) for name in records[0].columns}
        columns = {feature.name: columns[feature.name] for feature in after.features}
        old, new = before.pd(columns), after.pd(columns)
        # One curve over the same score: no pair of applicants changes places.
        order = np.argsort(old, kind="stable")
        assert (np.diff(new[order]) >= -1e-12).all()
        bad = np.concatenate([one.label[~one.test] for one in records])
        train = np.concatenate([~one.test for one in records])
        assert abs(new[train].mean() - bad.mean()) < 0.02 < abs(old[train].mean() - bad.mean())
        if isinstance(before.weights, TableScore) and isinstance(after.weights, TableScore):
            assert before.weights.tables.constant == after.weights.tables.constant
            assert before.weights.curve != after.weights.curve
    # And once more from there.
    assert {name: score.digest for name, score in found.scores.items()} == dict(plan.scores_from.towers)  # type: ignore[union-attr]


def test_it_has_the_whole_budget_and_adds_to_it():
    source = {"plan": FIRST.hash, "meanings": {"video": "1" * 64, "wallet": "2" * 64}}
    scores = {"plan": FIRST.hash, "towers": {"lender": "3" * 64, FALLBACK: "4" * 64}}
    for first in (FIRST, FIRST_AUTO):
        plan = first.replace(
            model__fallback=True,
            signals_from=source,
            scores_from=scores,
            privacy__label_epsilon=None,
            privacy__epsilon=0.5,
        )
        found = [phase for phase in phases(plan) if not phase.paired]
        assert len(found) == 4
        shares = [phase.summed.share(plan, phase.tower) for phase in found if not phase.test]
        assert sum(shares) == pytest.approx(1)
        assert 0.45 < Mechanisms(plan).claim() <= 0.5


@pytest.fixture
def trained() -> tuple[Wire, Plan, RunOutcome]:
    """A wire of the first plan, carried out, and a plan that keeps its score."""
    wire = Wire(FIRST)
    outcome, _ = carry_out(wire)
    return wire, recalibrating(FIRST, outcome), outcome


@pytest.mark.parametrize("kind", [Kind.CALIBRATE, Kind.EVALUATE])
def test_a_lender_sums_at_no_other_score(trained: tuple[Wire, Plan, RunOutcome], kind: Kind):
    wire, plan, outcome = trained
    second = Wire(plan, wire.records, wire.lifetimes, run="run-2")
    agreed(second)
    score = outcome.scores["lender"]
    header = second.header(Kind.CALIBRATE, "lender", 0, "lender-1", 0)
    node = second.nodes["lender-1"]
    assert isinstance(decode(node.answer(encode(Publish(header, "bins", score.bins))), Stored, Refusal), Stored)
    parts = {"bins": digest(score.bins)}

    def said(weights: np.ndarray) -> str:
        request = encode(SumRequest(second.header(kind, "lender", 1, "lender-1"), LENDERS, weights, parts))
        reply = decode(second.nodes["lender-1"].answer(request), SumAnswer, Refusal)
        return reply.code if isinstance(reply, Refusal) else ""

    other = score.weights.copy()
    other[0] += 2.0**-10
    assert said(other) == "bad-parameters"
    assert not [event for party, _, event in second.charged if party == "lender-1"]
    assert said(score.weights) == ""


@pytest.mark.parametrize("party", ["lender-1", "wallet"])
def test_nobody_approves_the_score_of_a_plan_that_its_ledger_does_not_have(
    trained: tuple[Wire, Plan, RunOutcome], party: str
):
    wire, plan, _ = trained
    ledger = wire.nodes[party].plan_ledger.ledger
    for changes, key in (
        ({"scores_from__plan": "0" * 64}, r"scores_from\.plan"),
        ({"outcome__window_days": 30}, "outcome"),
        ({"training__rounds": 2}, "training"),
    ):
        with pytest.raises(LedgerFault, match=key):
            approve(ledger, plan.replace(**changes))
    approve(ledger, plan)


BY_DATE = {"kind": "date", "test_fraction": 0.25, "key": None, "first_test_day": "2019-06-01"}
DAYS = {f"groups__{group}__table__date": "day" for group in ("lender", "video", "wallet")}
DATED: dict[str, Any] = {"evaluation__split": BY_DATE, **DAYS}
"""A split by the day of the application, which needs a column of days."""


def keeping(first: Plan, **changes: Any) -> Plan:
    """A plan that says it keeps the score of this one, of which no run is needed."""
    return first.replace(
        name="calibrated",
        signals_from={"plan": first.hash, "meanings": {"video": "1" * 64, "wallet": "2" * 64}},
        scores_from={"plan": first.hash, "towers": {"lender": "3" * 64}},
        privacy__label_epsilon=None,
        **changes,
    )


def problem_keys(first: Plan, plan: Plan) -> list[str]:
    """The keys of a plan that are in the way at a party whose ledger has the first one."""
    known = {first.hash: PlanState(first, 1, first.hash, "lender-1")}
    return [problem.split(":")[0] for problem in earlier_score_problems(plan, "lender-1", known)]


@pytest.mark.parametrize(
    ("first", "changes", "keys"),
    [
        ({}, {}, []),
        ({}, {"purpose_code": "fraud"}, ["purpose_code"]),
        ({}, {"groups__lender__crosses": [["income", "late"]]}, ["groups.lender"]),
        ({}, {"evaluation__split__key": "other persons"}, ["evaluation.split"]),
        ({}, {"evaluation__split__test_fraction": 0.5}, ["evaluation.split"]),
        ({}, DATED, ["groups.lender", "evaluation.split"]),
        (DATED, {}, []),
        (DATED, {"evaluation__split__first_test_day": "2019-07-01"}, []),
        (DATED, {"evaluation__split__first_test_day": "2019-05-31"}, ["evaluation.split"]),
        ({}, {"signals_from__plan": "0" * 64}, ["signals_from.plan"]),
    ],
)
def test_a_score_is_kept_by_a_plan_of_the_same_purpose_features_split_and_levels(
    first: dict[str, Any], changes: dict[str, Any], keys: list[str]
):
    before = FIRST.replace(**first)
    assert problem_keys(before, keeping(before).replace(**changes)) == keys


def test_levels_are_those_that_the_kept_score_read_and_not_those_of_its_own_plan():
    """A score of a head that was trained again reads levels of the plan before that."""
    before = FIRST.replace(
        name="again",
        signals_from={"plan": FIRST.hash, "meanings": {"video": "1" * 64, "wallet": "2" * 64}},
        privacy__label_epsilon=None,
    )
    assert problem_keys(before, keeping(before)) == ["signals_from.plan"]
    assert problem_keys(before, keeping(before, signals_from__plan=FIRST.hash)) == []


def test_a_score_of_lenders_under_another_name_is_not_kept():
    text = keeping(FIRST).model_dump(mode="json")
    text["groups"]["bank"] = text["groups"].pop("lender")
    text["scores_from"]["towers"] = {"bank": "3" * 64}
    for party in text["parties"]:
        party["group"] = "bank" if party["group"] == "lender" else party["group"]
    assert problem_keys(FIRST, Plan.parse(text)) == ["groups.bank"]


def test_a_server_without_the_run_says_so(trained: tuple[Wire, Plan, RunOutcome]):
    _, plan, _ = trained
    with pytest.raises(PlanError, match=r"scores_from\.plan"):
        kept_scores(plan, None)
    assert kept_scores(FIRST, None) == {}
