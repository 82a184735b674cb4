"""Policies: what is refused in one, with its line; what a rule can name; and what differs between two."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from policies import page_policy, policy_data, policy_text
from small_release import Pair

from sealscore.clients.decision.facts import Applicant, ScoredFacts
from sealscore.clients.decision.policy.approved import ApprovedPolicies, NoPolicy, use_policy
from sealscore.clients.decision.policy.faults import faults
from sealscore.clients.decision.policy.file import PolicyError, differences, load_policy
from sealscore.clients.decision.policy.model import DecisionPolicy
from sealscore.shared.plan.errors import PlanError
from sealscore.shared.plan.toml import TomlError

WORDS = {"en": "A reason.", "zh": "原因。"}
STARTER = "products__starter"
MANY = {"id": "often", "event": "many-applications", "within_days": 30, "at_least": 3, "effect": "review",
        "reason": {"en": "There are several.", "zh": "近期有多次申请。"}}  # fmt: skip


def rule(**given: Any) -> dict[str, Any]:
    return {"id": "new", "input": "income", "below": 100, "effect": "review", "reason": WORDS, **given}


def with_rules(*rules: dict[str, Any]) -> dict[str, Any]:
    """The policy with more rules for the starter loan."""
    return {f"{STARTER}__rules": [*policy_data()["products"]["starter"]["rules"], *rules]}


def test_the_policy_of_the_page_has_no_fault_and_one_hash(tmp_path: Path):
    file = tmp_path / "policy.toml"
    file.write_text(policy_text(), encoding="utf-8")
    policy = load_policy(file)
    assert policy == page_policy()
    assert DecisionPolicy.parse(policy.model_dump(mode="json")).hash == policy.hash
    file.write_text(policy_text().replace("# of this format", "# another comment"), encoding="utf-8")
    assert load_policy(file).hash == policy.hash
    file.write_text(policy_text().replace("share = 0.4", "share = 0.41"), encoding="utf-8")
    assert load_policy(file).hash != policy.hash


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        # Contradictions, doubles, what never and what always hits.
        (with_rules(rule(), rule(id="other", effect="decline")), "products.starter.rules.5"),
        (with_rules(rule(), rule(id="other")), "products.starter.rules.5"),
        (with_rules(rule(id="identity")), "products.starter.rules.4.id"),
        (with_rules(rule(below=0)), "products.starter.rules.4"),
        (with_rules(rule(below=2_000_000)), "products.starter.rules.4"),
        (with_rules(rule(input="identity_verified", below=None, equals=True)), "products.starter.inputs.identity"),
        # What a rule names.
        (with_rules(rule(input="incom")), "products.starter.rules.4"),
        (with_rules(rule(input=None)), "products.starter.rules.4"),
        (with_rules(rule(event="bought-traffic")), "products.starter.rules.4"),
        (with_rules(rule(input=None, event="score-shopping")), "products.starter.rules.4"),
        (with_rules(rule(at_most=5)), "products.starter.rules.4"),
        (with_rules(rule(below=None)), "products.starter.rules.4"),
        (with_rules(rule(input="identity_verified")), "products.starter.rules.4"),
        (with_rules(rule(queue="nowhere")), "products.starter.rules.4.queue"),
        (with_rules(rule(effect="decline", queue="general")), "products.starter.rules.4"),
        # More debt must not help, nor less income.
        (with_rules(rule(below=None, above=500_000)), "products.starter.rules.4"),
        (with_rules(rule(input="debt_service", below=10)), "products.starter.rules.4"),
        # Inputs.
        ({f"{STARTER}__inputs__income__neutral": None}, "products.starter.inputs.income"),
        ({f"{STARTER}__inputs__shared_phone__neutral": -1}, "products.starter.inputs.shared_phone"),
        ({f"{STARTER}__inputs__shared_phone__neutral": 0.5}, "products.starter.inputs.shared_phone"),
        ({f"{STARTER}__inputs__debt_service__neutral": 0}, "products.starter.inputs.debt_service"),
        ({f"{STARTER}__inputs__debt_service__lower": 2e6}, "products.starter.inputs.debt_service"),
        ({f"{STARTER}__inputs__identity_verified__upper": 1}, "products.starter.inputs.identity_verified"),
        ({f"{STARTER}__inputs__unread": {"kind": "yes-no"}}, "products.starter.inputs.unread"),
        ({f"{STARTER}__inputs__income": None}, "products.starter.limits.affordable.income"),
        ({f"{STARTER}__inputs__income__required": True, f"{STARTER}__inputs__income__neutral": None}, "products.st"),
        # Cut-offs and bands.
        ({f"{STARTER}__champion__review": 541}, "products.starter.champion.review"),
        ({f"{STARTER}__bands__1__start": 581}, "products.starter.bands.1"),
        ({f"{STARTER}__bands__1__start": 579}, "products.starter.bands.1"),
        ({f"{STARTER}__bands__0__end": None}, "products.starter.bands.1"),
        ({f"{STARTER}__bands__1__end": 900}, "products.starter.bands.1.end"),
        ({f"{STARTER}__bands__0__start": 501}, "products.starter.bands.0.start"),
        ({f"{STARTER}__bands__1__largest": 1000}, "products.starter.bands.1"),
        ({f"{STARTER}__bands__1__annual_rate": 0.2}, "products.starter.bands.1"),
        ({f"{STARTER}__bands__0__annual_rate": 0.25}, "products.starter.bands.0.annual_rate"),
        # Limits.
        ({f"{STARTER}__limits__smallest": 60_000}, "products.starter.limits.smallest"),
        ({f"{STARTER}__limits__exposure": 40_000}, "products.starter.limits.exposure"),
        ({f"{STARTER}__limits__step": 2000}, "products.starter.limits.step"),
        ({f"{STARTER}__limits__terms": [3, 3]}, "products.starter.limits.terms"),
        ({f"{STARTER}__limits__statutory__0__principal": None, f"{STARTER}__limits__statutory__0__annual_rate": None},
         "products.starter.limits.statutory.0"),
        ({f"{STARTER}__random": {"series": "a", "start": 505, "propensity": 0.1, "largest": 5000}},
         "products.starter.random.start"),
        # Events that count.
        *[({f"{STARTER}__rules": [MANY | wrong]}, "products.starter.rules.0")
          for wrong in ({"at_least": 1}, {"at_least": 2.5}, {"at_least": 21}, {"above": 2}, {"effect": "decline"},
                        {"event": "score-shopping"}, {"event": "bought-traffic", "at_least": None})],
        *[({f"{STARTER}__rules": [{name: value for name, value in MANY.items() if name != gone}]},
           "products.starter.rules.0") for gone in ("within_days", "at_least")],
        ({f"{STARTER}__rules": [MANY, MANY | {"id": "same"}]}, "products.starter.rules.1"),
        # Queues.
        ({"declines": "nowhere"}, "declines"),
        ({"notice__queue": "nowhere"}, "notice.queue"),
        ({f"{STARTER}__queue": "nowhere"}, "products.starter.queue"),
    ],
)  # fmt: skip
def test_what_its_values_say_together_is_refused(changes: dict[str, Any], place: str):
    found = faults(page_policy(**changes))
    assert any(at.startswith(place) for at, _ in found), found


@pytest.mark.parametrize(
    "changes",
    [
        {f"{STARTER}__limits__largest": -1},
        {f"{STARTER}__limits__exposure": 0},
        {f"{STARTER}__limits__affordable__share": -0.1},
        {f"{STARTER}__limits__affordable__share": float("nan")},
        {f"{STARTER}__bands__0__annual_rate": -0.1},
        {f"{STARTER}__bands": []},
        {f"{STARTER}__limits__statutory__0__source": None},
        {f"{STARTER}__fallback": None},
        {f"{STARTER}__fallback__approve": 10**6},
        {"currency": "yuan"},
        {"version": 2},
        {"automatic_declines": {"basis": ""}},
        {f"{STARTER}__random": {"series": "a", "start": 400, "propensity": 0.5, "largest": 5000}},
        with_rules(rule(reason=None)),
        with_rules(rule(effect="approve")),
    ],
)
def test_a_value_that_is_not_allowed_is_refused(changes: dict[str, Any]):
    with pytest.raises(PlanError):
        page_policy(**changes)


def test_two_windows_are_two_rules_and_a_policy_without_one_has_its_hash():
    inputs = dict.fromkeys(("shared_phone", "identity_verified"))
    few = {f"{STARTER}__inputs__{name}": gone for name, gone in inputs.items()}
    policy = page_policy(
        **few, **{f"{STARTER}__rules": [MANY, MANY | {"id": "year", "within_days": 365, "at_least": 9}]}
    )
    assert faults(policy) == []
    assert "within_days" in policy.canonical()
    assert "within_days" not in page_policy().canonical()


def test_a_policy_that_would_punish_who_does_not_consent_cannot_be_written():
    """Whatever it tries: the status of a signal, the role, an event's absence, an own input of that name."""
    for given in (
        {"signal": "none"},
        {"status": "none"},
        {"role": "fallback"},
        {"event": "no-token", "input": None, "below": None},
        {"event": "none", "input": None, "below": None},
        {"event": "bought-traffic", "equals": False, "input": None, "below": None},
        {"input": "signals.status", "below": None, "equals": "none"},
    ):
        changes = with_rules(rule(**given))
        try:
            assert faults(page_policy(**changes)), given
        except PlanError:
            continue
    for name in ("signal", "role", "consent", "tokens"):
        declared = {f"{STARTER}__inputs__{name}": {"kind": "yes-no"}}
        against = with_rules(rule(input=name, below=None, equals=False))
        assert any(
            place == f"products.starter.inputs.{name}" for place, _ in faults(page_policy(**declared, **against))
        )
    # Bands and limits have no role to differ by, and an evaluation has nothing of it to read.
    for place in ("bands__0__role", "limits__role", "limits__affordable__fallback"):
        with pytest.raises(PlanError):
            page_policy(**{f"{STARTER}__{place}": "fallback"})
    read = {*Applicant.__dataclass_fields__, *ScoredFacts.__dataclass_fields__}
    assert not read & {"role", "signals", "signal", "status", "tokens", "consent"}


def test_a_fault_has_its_file_and_line(tmp_path: Path):
    file = tmp_path / "policy.toml"
    lines = policy_text().splitlines()
    for old, new in (
        ("share = 0.4", "share = -0.4"),
        ('input = "shared_phone"', 'input = "shared_fone"'),
        ('queue = "disputes"', 'queue = "nowhere"'),
        ("capacity_unit = 100.0", "capacity_units = 100.0"),
        ('advances = [{ input = "invoice", share = 0.8 }]', 'advances = [{ input = "invoice", share = 80 }]'),
    ):
        number = next(at for at, line in enumerate(lines, 1) if line.split("#")[0].strip() == old)
        file.write_text("\n".join([*lines[: number - 1], new, *lines[number:]]), encoding="utf-8")
        with pytest.raises(PolicyError) as refused:
            load_policy(file)
        # A fault of a whole rule is at the head of the rule.
        head = next(at for at in range(number, 0, -1) if lines[at - 1].startswith("["))
        told = [f"{file}: line {at}:" for at in (number, head)]
        assert any(line.startswith(tuple(told)) for line in refused.value.lines), refused.value.lines
    for text in ("version = ", "a = 1\n" * 2, "\xff"):
        file.write_bytes(text.encode("latin-1"))
        with pytest.raises(TomlError):
            load_policy(file)
    with pytest.raises(TomlError):
        load_policy(tmp_path / "none.toml")


def test_what_differs_is_named_by_id_and_not_by_place():
    changed = page_policy(**with_rules(rule()), revision=2)
    found = {place: (before, after) for place, before, after in differences(page_policy(), changed)}
    assert found.pop("revision") == ("1", "2")
    assert all(place.startswith("products.starter.rules.new.") for place in found)
    assert differences(page_policy(), page_policy()) == []


def test_policies_of_two_hashes_never_say_the_same():
    data = policy_data()["products"]["starter"]
    first = page_policy()
    for name in ("rules", "bands"):
        turned = page_policy(**{f"{STARTER}__{name}": data[name][::-1]})
        assert turned.hash != first.hash
        (found,) = differences(first, turned)
        assert found[0] == f"products.starter.{name}.order"
        assert found[1].split(", ") == found[2].split(", ")[::-1]
    # An order is told beside what changed, too, and a yes is not the word.
    changed = page_policy(**{f"{STARTER}__rules": [rule(), *data["rules"][::-1]]})
    assert "products.starter.rules.order" in {place for place, _, _ in differences(first, changed)}
    yes, word = (page_policy(**{f"{STARTER}__rules__0__equals": value}) for value in (True, "True"))
    assert [place for place, _, _ in differences(yes, word)] == ["products.starter.rules.identity.equals"]


def test_one_policy_is_live_and_the_log_says_since_when(pair: Pair):
    first, second, third = (page_policy(revision=number) for number in (1, 2, 3))
    with pytest.raises(NoPolicy):
        _ = ApprovedPolicies.of(pair.log).live
    for policy, use in ((first, "live"), (second, "shadow"), (third, "live")):
        use_policy(pair.log, policy, use, "me")  # type: ignore[arg-type]
    known = ApprovedPolicies.of(pair.log)
    assert known.live == third
    assert set(known.shadows) == {second.hash}
    assert known.uses[first.hash] == "retired"
    assert known.found(first.hash[:8]) == first
    with pytest.raises(NoPolicy):
        known.found(first.hash[:7])
    use_policy(pair.log, third, "retired", "me")
    with pytest.raises(NoPolicy):
        _ = ApprovedPolicies.of(pair.log).live
    assert pair.log.check() == []
