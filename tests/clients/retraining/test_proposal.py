"""A draft's price is what the ledger says once the plan is approved, and the draft is a plan."""

from __future__ import annotations

import tomllib
from datetime import date

import pytest
from plans_again import OWN_BANDS, meanings
from vertical_builders import Wire, carry_out, vertical_plan

from sealscore.clients.node.plan_ledger import approve
from sealscore.clients.retraining.proposal import Price, RetrainingProposal, next_commands, price_of
from sealscore.clients.retraining.remedy import Remedy
from sealscore.clients.setup.bits_review import Bits
from sealscore.shared.ledger.budget_check import BudgetCheck
from sealscore.shared.plan.derived import RECALIBRATED, NewPlan, calibration_plan, head_plan, towers_plan
from sealscore.shared.plan.plan import Plan

# With everybody in every sample noise is solved in no time.
FIRST = vertical_plan(privacy__epsilon=3.0, training__sample_rate=1.0, **OWN_BANDS)
NEW = NewPlan("next", 5, date(2099, 1, 1))


@pytest.fixture(scope="module")
def wire() -> tuple[Wire, dict[str, str], dict[str, str]]:
    """A wire of the first plan, carried out; what its levels mean, and digests of its scores."""
    found = Wire(FIRST)
    outcome, _ = carry_out(found)
    return found, meanings(FIRST, outcome), {name: score.digest for name, score in outcome.scores.items()}


def test_prices_are_those_of_the_ledger_after_the_approval(wire: tuple[Wire, dict[str, str], dict[str, str]]):
    parties, told, scores = wire
    ledger = parties.nodes["lender-1"].plan_ledger.ledger
    plans = {
        "recalibrate": Plan.parse(calibration_plan(FIRST, NEW, told, scores)),
        "head": Plan.parse(head_plan(FIRST, NEW, told)),
        "tower": Plan.parse(towers_plan(FIRST, NEW, FIRST.privacy.label_epsilon)),
    }
    prices = {name: price_of(plan, ledger.state) for name, plan in plans.items()}
    spent = BudgetCheck().epsilon(ledger.state)
    assert {price.spent for price in prices.values()} == {spent}
    assert prices["recalibrate"].epsilon <= RECALIBRATED * FIRST.privacy.epsilon < prices["head"].epsilon
    assert spent < prices["recalibrate"].after < prices["head"].after
    bits = FIRST.model.signal_bits
    for name, price in prices.items():
        needed = bits if name == "tower" else 0
        assert {kind: (one.used, one.needed) for kind, one in price.bits.items()} == {
            "video": (bits, needed),
            "wallet": (bits, needed),
        }
    assert [bool(price.obstacles()) for price in prices.values()] == [
        False,
        False,
        2 * bits > prices["tower"].bits_limit,
    ]
    approve(ledger, plans["recalibrate"])
    assert BudgetCheck().outlook(ledger.state) == pytest.approx(prices["recalibrate"].after)


@pytest.mark.parametrize(
    ("after", "labels", "told", "obstacles"),
    [
        (2.0, 0.0, 4, 0),
        (3.1, 0.0, 4, 1),
        (float("inf"), 0.0, 4, 1),
        (2.0, 1.5, 4, 1),
        (2.0, 0.0, 5, 1),
        (4.0, 2.0, 5, 3),
    ],
)
def test_what_does_not_fit_is_named(after: float, labels: float, told: int, obstacles: int):
    price = Price(1.0, 1e-5, 1.0, after, 3.0, labels, 1.0, 2.0, {"wallet": Bits(told, 0, 4)}, 8)
    assert len(price.obstacles()) == obstacles
    assert price.lines()
    assert (price.plain()["after"] is None) == (after == float("inf"))


@pytest.mark.parametrize("kind", ["recalibrate", "head", "tower"])
def test_the_draft_is_a_plan_and_the_commands_make_it(wire: tuple[Wire, dict[str, str], dict[str, str]], kind: str):
    parties, told, scores = wire
    data = {
        "recalibrate": calibration_plan(FIRST, NEW, told, scores, retraining="more"),
        "head": head_plan(FIRST, NEW, told, retraining="more"),
        "tower": towers_plan(FIRST, NEW, 1.0),
    }[kind]
    plan = Plan.parse(data)
    price = price_of(plan, parties.nodes["lender-1"].plan_ledger.ledger.state)
    proposal = RetrainingProposal(Remedy(kind, "code", "words"), plan, data, price)  # type: ignore[arg-type]
    assert Plan.parse(tomllib.loads(proposal.toml())) == plan
    steps = next_commands(proposal, "first", "draft.toml", "live")
    command = {"recalibrate": "plan recalibrate", "head": "plan retrain", "tower": "plan new"}[kind]
    assert command in steps[0]
    assert ("--retraining more" in steps[0]) == (kind != "tower")
    assert "release compare live next" in steps[-1]
