"""From a policy and an applicant to exactly one proposal, whatever the inputs are."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from policies import applicant, page_policy, policy_data

from sealscore.clients.decision.evaluation import Evaluator, Proposal
from sealscore.clients.decision.facts import Applicant
from sealscore.clients.decision.limits import annuity
from sealscore.clients.decision.policy.model import DecisionPolicy, PolicyProduct
from sealscore.shared.serving.release import CHAMPION, FALLBACK

POLICY = page_policy()
PRODUCTS = POLICY.products
RANK = {"decline-proposed": 0, "review": 1, "counter": 2, "approve": 3}
RANDOM = {"series": "a", "start": 440, "propensity": 0.1, "largest": 5000}
REASONS = [{"code": "late", "points": 3.0, "en": "Late before.", "zh": "曾有逾期。"}]


def proposed(product: str, one: Applicant, role: str = CHAMPION) -> Proposal:
    return Evaluator(PRODUCTS[product]).propose(role, one, REASONS)


def cells(product: PolicyProduct) -> st.SearchStrategy[dict[str, Any]]:
    """Values of a product's inputs, good ones and others: missing, NaN, infinite, of another type, out of bounds."""
    anything = st.one_of(st.none(), st.floats(), st.booleans(), st.text(max_size=4), st.integers())
    found = {}
    for name, declared in product.inputs.items():
        good: st.SearchStrategy[Any] = st.booleans()
        if declared.kind == "choice":
            good = st.sampled_from(declared.levels)
        elif declared.numeric:
            good = st.floats(0, float(declared.upper or 0)) | st.integers(0, 60000).map(float)
        found[name] = st.one_of(good, good, anything)
    return st.fixed_dictionaries({}, optional=found)


@st.composite
def cases(draw: st.DrawFn) -> tuple[str, Applicant, str]:
    """A product, an applicant and a role."""
    name = draw(st.sampled_from(sorted(PRODUCTS)))
    product = PRODUCTS[name]
    facts = {
        "points": draw(st.integers(300, 800)),
        "pd": draw(st.floats(0, 1) | st.just(math.nan)),
        "capacity": draw(st.none() | st.floats(0, 200)),
        "events": draw(st.frozensets(st.sampled_from(["bought-traffic", "score-shopping"]))),
        "token_of_another": draw(st.booleans()),
        "amount": draw(st.integers(product.limits.smallest, 3_000_000)),
        "term": draw(st.sampled_from(product.limits.terms)),
        "exposure": draw(st.integers(0, 400_000)),
    }
    one = dataclasses.replace(applicant(**facts), inputs=draw(cells(product)))
    return name, one, draw(st.sampled_from([CHAMPION, FALLBACK]))


@settings(max_examples=150, deadline=None)
@given(cases())
def test_exactly_one_proposal_with_every_rule_and_never_an_approval_on_what_is_missing(case: Any):
    name, one, role = case
    product, made = PRODUCTS[name], proposed(*case)
    assert made.kind in RANK
    # Each rule of the policy, each input, each limit and the cut-offs, once.
    ids = [rule["id"] for rule in made.rules]
    assert len(set(ids)) == len(ids)
    assert {rule.id for rule in product.rules} | {f"input.{key}" for key in product.inputs} <= set(ids)
    assert {"score.decline", "score.review", "score.usable", "token.other-person", "limit.exposure"} <= set(ids)
    assert all(set(rule) == {"id", "hit", "value", "threshold", "effect"} for rule in made.rules)
    lacks = [
        key
        for key, declared in product.inputs.items()
        if declared.required and (one.inputs.get(key) is None or declared.fault(one.inputs[key]))
    ]
    if lacks or not math.isfinite(one.scored.pd):
        assert (made.kind, made.amount) == ("review", 0)
    if made.kind in ("approve", "counter"):
        assert made.limit is not None
        assert product.limits.smallest <= made.amount <= min(made.limit, one.amount)
        assert one.exposure + made.amount <= product.limits.exposure
        assert (made.amount == one.amount) == (made.kind == "approve")
        assert not any(rule["hit"] and rule["effect"] in ("decline", "review") for rule in made.rules)
        assert one.scored.points >= product.cutoffs(role).approve
    else:
        assert made.amount == 0
    assert (made.queue is not None) == (made.kind == "review")


@settings(max_examples=150, deadline=None)
@given(cases(), st.integers(0, 300), st.floats(0, 1))
def test_more_debt_fewer_points_or_less_capacity_never_make_it_better(case: Any, less: int, share: float):
    name, one, role = case
    before, scored = proposed(*case), one.scored
    worse = [
        dataclasses.replace(one, exposure=one.exposure + less * 100),
        dataclasses.replace(one, scored=dataclasses.replace(scored, points=scored.points - less)),
    ]
    if scored.capacity is not None:
        edge = scored.capacity * share
        worse.append(dataclasses.replace(one, scored=dataclasses.replace(scored, capacity=edge)))
    for key, more in (("debt_service", True), ("income", False), ("monthly_sales", False), ("invoice", False)):
        declared = PRODUCTS[name].inputs.get(key)
        value = one.inputs.get(key)
        if declared is None or value is None or declared.fault(value):
            continue
        moved = value + (float(declared.upper or 0) - value) * share if more else value * share
        worse.append(dataclasses.replace(one, inputs={**one.inputs, key: moved}))
    for other in worse:
        after = proposed(name, other, role)
        assert RANK[after.kind] <= RANK[before.kind]
        assert after.amount <= before.amount
        assert (after.limit is None) == (before.limit is None)
        if after.limit is not None and before.limit is not None:
            assert after.limit <= before.limit


@settings(max_examples=60, deadline=None)
@given(cases())
def test_whether_a_signal_was_told_changes_nothing_but_by_the_cut_off(case: Any):
    """With one cut-off for both roles, who consents and who does not get the same."""
    name, one, _ = case
    same = PRODUCTS[name].model_copy(update={"fallback": PRODUCTS[name].champion})
    assert Evaluator(same).propose(CHAMPION, one) == Evaluator(same).propose(FALLBACK, one)


def test_a_good_applicant_is_approved_and_each_fault_has_its_effect():
    assert proposed("starter", applicant()).kind == "approve"
    for change, kind, rule in (
        ({"points": 505}, "review", "score.review"),
        ({"points": 499}, "decline-proposed", "score.decline"),
        ({"events": frozenset({"bought-traffic"})}, "review", "bought-traffic"),
        ({"token_of_another": True}, "review", "token.other-person"),
        ({"exposure": 79_500}, "decline-proposed", "limit.exposure"),
        ({"exposure": 75_000}, "counter", "limit.exposure"),
        ({"amount": 50_000, "points": 560}, "counter", "limit.band"),
    ):
        made = proposed("starter", applicant(**change))
        assert (made.kind, rule in hits(made)) == (kind, True), change
    for inputs, kind, rule in (
        ({"identity_verified": False}, "review", "identity"),
        ({"identity_verified": None}, "review", "input.identity_verified"),
        ({"debt_service": math.nan}, "review", "input.debt_service"),
        ({"debt_service": 60_001}, "decline-proposed", "debt"),
        ({"shared_phone": 3}, "review", "shared-phone"),
        ({"income": 1400}, "decline-proposed", "limit.affordable"),
        ({"income": 2500}, "counter", "limit.affordable"),
        ({"income": None}, "review", "input.monthly-income"),
    ):
        made = proposed("starter", applicant(inputs))
        assert (made.kind, rule in hits(made)) == (kind, True), inputs


def hits(made: Proposal) -> set[str]:
    return {rule["id"] for rule in made.rules if rule["hit"]}


def test_every_hit_is_reported_and_not_the_first_alone():
    made = proposed("starter", applicant({"identity_verified": False, "debt_service": 70_000}, points=400))
    assert {"identity", "debt", "score.decline", "limit.affordable"} <= hits(made)
    assert made.kind == "decline-proposed"
    codes = [reason["code"] for reason in made.reasons]
    assert codes == ["identity", "debt", "late", "limit.affordable"]


def test_an_optional_input_that_is_missing_has_its_neutral_value():
    made = proposed("starter", applicant({"shared_phone": None}))
    assert made.kind == "approve"
    assert made == dataclasses.replace(proposed("starter", applicant({"shared_phone": 0})), rules=made.rules)


def test_the_capacity_band_stands_in_for_a_missing_income_and_for_no_other():
    with_band = proposed("starter", applicant({"income": None}, capacity=45.0))
    # (4500 x 0.4 - 500) a month over 12 months at 12 % a year
    assert with_band.limit == math.floor(1300 * annuity(0.12, 12) / 100) * 100 == 14_600
    assert proposed("starter", applicant(capacity=0.0)) == proposed("starter", applicant(capacity=None))


def test_the_annuity_is_that_of_the_textbook():
    assert annuity(0.0, 12) == 12
    assert annuity(0.12, 12) == pytest.approx(sum(1.01**-month for month in range(1, 13)), rel=1e-14)


def test_a_reason_is_given_only_for_what_had_a_part_in_it():
    assert proposed("starter", applicant()).reasons == ()
    declined = proposed("starter", applicant({"debt_service": 70_000, "income": 1_000_000}))
    assert [reason["source"] for reason in declined.reasons] == ["rule"]
    low = proposed("starter", applicant(points=450))
    assert [reason["source"] for reason in low.reasons] == ["score"]


def test_sensitive_values_are_reported_as_bands():
    made = proposed("starter", applicant({"debt_service": 4711.0, "shared_phone": 2}))
    values = {rule["id"]: rule["value"] for rule in made.rules}
    assert (values["debt"], values["shared-phone"], values["identity"]) == ("up to 60000", "up to 3", "yes")
    assert "4711" not in str(made.rules)
    assert "4711" not in repr(made) + repr(applicant({"debt_service": 4711.0}))
    shop = applicant()
    shop = dataclasses.replace(shop, inputs={"monthly_sales": 9e4, "licence": "valid", "months_selling": 5}, term=3)
    assert {rule["id"]: rule["value"] for rule in proposed("traffic", shop).rules}["new-shop"] == 5


def test_products_by_configuration_alone_lend_a_share_of_an_invoice():
    one = dataclasses.replace(applicant(amount=9000, term=2), inputs={"invoice": 1e4, "confirmed_by_buyer": True})
    made = proposed("invoices", one)
    assert (made.kind, made.amount) == ("counter", 8000)
    one = dataclasses.replace(one, inputs={"invoice": 1e4, "confirmed_by_buyer": False})
    assert proposed("invoices", one).kind == "decline-proposed"


def random_product(**changes: Any) -> PolicyProduct:
    given = {"products__starter__random": RANDOM | changes, "products__starter__bands__0__start": 440}
    return page_policy(**given).products["starter"]


def test_random_approvals_are_of_those_whom_points_alone_decline():
    evaluator = Evaluator(random_product())
    for points, draw, kind in (
        (470, 0.09, "counter"),
        (470, 0.1, "decline-proposed"),
        (439, 0.0, "decline-proposed"),
        (520, 0.0, "review"),
    ):
        made = evaluator.propose(CHAMPION, applicant(points=points, draw=draw))
        assert made.kind == kind, (points, draw)
        recorded = None if points != 470 else {"series": "a", "propensity": 0.1, "chosen": draw < 0.1}
        assert made.random == recorded
        if made.kind == "counter":
            assert made.amount == 5000
    # Whom a rule or a review stops is never in the draw, nor is anybody where the band is off.
    for change in ({"debt_service": 70_000}, {"identity_verified": False}, {"debt_service": None}):
        made = evaluator.propose(CHAMPION, applicant(change, points=470, draw=0.0))
        assert made.kind in ("review", "decline-proposed")
        assert not (made.random or {}).get("chosen")
    assert proposed("starter", applicant(points=470, draw=0.0)).random is None


def test_policies_of_one_hash_propose_the_same():
    """Also where the file declares inputs in another order."""
    given = policy_data()
    inputs = given["products"]["starter"]["inputs"]
    given["products"]["starter"]["inputs"] = dict(reversed(inputs.items()))
    other = DecisionPolicy.parse(given)
    assert other.hash == POLICY.hash
    for one in (applicant(), applicant({"identity_verified": None}), applicant(points=400)):
        assert Evaluator(other.products["starter"]).propose(CHAMPION, one, REASONS) == proposed("starter", one)
