"""Decisions of a lender: what is promised, once and to no more than the limits, and what the log says of it."""

from __future__ import annotations

import json
import multiprocessing
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from policies import INPUTS, applicant, asked, counting, decider, lenient, page_policy, policy_data
from small_release import TODAY, Pair, known_at, small_release

from sealscore.clients.decision.evaluation import Evaluator
from sealscore.clients.decision.facts import LOAN_KEYS
from sealscore.clients.decision.loans import LoanBook
from sealscore.clients.decision.notice import Notices
from sealscore.clients.decision.policy.approved import ApprovedPolicies, NoPolicy, use_policy
from sealscore.clients.decision.policy.model import DecisionPolicy
from sealscore.clients.decision.register import DecisionError, Register, draw_of
from sealscore.clients.decision.replay import replay_decisions
from sealscore.clients.decision.reviews import PersonsWord, ReviewDesk
from sealscore.clients.scoring.application import ApplicationError
from sealscore.clients.scoring.log_days import close_days
from sealscore.clients.scoring.replay import Replayed, replay
from sealscore.clients.scoring.storage.batch import Batch
from sealscore.clients.scoring.storage.log_keys import LogKeys
from sealscore.shared.serving.release import CHAMPION, FALLBACK

PERSON = known_at()[0]
STARTER = "products__starter"


def decided(pair: Pair, person: str = PERSON, *tokens: bytes, **changes: Any) -> dict[str, Any]:
    return decider(pair).decide(asked(person, *tokens, **changes), "me", TODAY)


def exposure(pair: Pair, person: str = PERSON, days: int = 0) -> int:
    with pair.log.commit() as batch:
        return Register(batch, pair.log.keys).exposure(pair.log.keys.person(person), str(TODAY + timedelta(days=days)))


def replayed(pair: Pair) -> Replayed:
    return replay_decisions(pair.log.lines(), ApprovedPolicies.of(pair.log).policies, pair.log.keys)


def kinds(pair: Pair) -> list[str]:
    return [line.kind for line in pair.log.lines()]


def book(pair: Pair) -> LoanBook:
    return LoanBook(pair.log, str)


def test_an_approval_is_reserved_logged_and_replays(pair: Pair):
    answer = decided(pair)
    assert (answer["proposal"], answer["state"], answer["amount"]) == ("approve", "approved", 8000)
    assert answer["valid_until"] == str(TODAY + timedelta(days=14))
    assert kinds(pair) == ["policy", "score", "decision"]
    assert exposure(pair) == 8000
    assert exposure(pair, days=14) == 8000
    assert exposure(pair, days=15) == 0
    assert replayed(pair).same == 1
    assert replay(pair.log.lines(), {pair.release.hash: pair.release}).same == 1
    assert pair.log.check() == []


def test_the_same_application_gets_the_same_decision_and_is_promised_once(pair: Pair):
    first = decided(pair)
    assert decided(pair) == first
    assert exposure(pair) == 8000
    for change in ({"amount": 9000}, {"inputs": INPUTS | {"income": 9001}}, {"features": {"income": 50.0, "late": 1}}):
        with pytest.raises(DecisionError, match="approved-before"):
            decided(pair, **change)
    assert exposure(pair) == 8000
    # Nor is a score kept of what could not be decided: it is of one commit with the decision.
    assert kinds(pair) == ["policy", "score", "decision"]


def test_approvals_of_one_person_keep_to_the_exposure_together(pair: Pair):
    rich = INPUTS | {"income": 100_000}
    amounts = [decided(pair, application_id=f"a{number}", amount=20_000, inputs=rich)["amount"] for number in range(5)]
    # The lowest band lends 20,000, and the exposure is 80,000.
    assert amounts == [20_000] * 4 + [0]
    assert exposure(pair) == 80_000
    assert decided(pair, known_at()[1], application_id="other", amount=20_000, inputs=rich)["amount"] == 20_000
    assert (replayed(pair).same, replayed(pair).differ) == (6, [])


def test_a_loan_takes_the_place_of_its_approval_and_frees_it_when_it_is_over(pair: Pair):
    answer = decided(pair)
    with pytest.raises(DecisionError, match="too-much"):
        book(pair).start("L1", answer["decision_id"], 8001, TODAY)
    book(pair).start("L1", answer["decision_id"], 7000, TODAY)
    assert exposure(pair, days=100) == 7000
    for again in ("L1", "L2"):
        with pytest.raises(DecisionError, match="not-approved"):
            book(pair).start(again, answer["decision_id"], 1000, TODAY)
    with pytest.raises(DecisionError, match="approved-before"):
        decided(pair, amount=5000)
    book(pair).open("L3", PERSON, 500, TODAY)
    with pytest.raises(DecisionError, match="loan"):
        book(pair).open("L3", PERSON, 500, TODAY)
    book(pair).close("L1", TODAY)
    assert exposure(pair) == 500
    with pytest.raises(DecisionError, match="loan"):
        book(pair).close("L1", TODAY)
    assert decided(pair, application_id="next")["state"] == "approved"
    assert (replayed(pair).same, replayed(pair).differ) == (2, [])


def test_an_approval_that_is_over_starts_no_loan(pair: Pair):
    answer = decided(pair)
    with pytest.raises(DecisionError, match="not-approved"):
        book(pair).start("L1", answer["decision_id"], 8000, TODAY + timedelta(days=15))


def test_nothing_is_approved_on_a_score_that_is_over(pair: Pair):
    service = decider(pair)
    service.decide(asked(PERSON), "me", TODAY)
    head = pair.log.head
    for days, change, code in (
        (20, {}, "approval-over"),
        (31, {"amount": 5000}, "score-expired"),
        (100, {"inputs": INPUTS | {"income": 9001}}, "score-expired"),
    ):
        with pytest.raises(DecisionError, match=code):
            service.decide(asked(PERSON, **change), "me", TODAY + timedelta(days=days))
    assert pair.log.head == head
    # Until its last day a score carries another decision, and a new day makes a new score.
    last = service.decide(asked(PERSON, amount=5000), "me", TODAY + timedelta(days=30))
    assert (last["state"], last["valid_until"]) == ("approved", str(TODAY + timedelta(days=30)))
    later = TODAY + timedelta(days=100)
    again = service.decide(asked(PERSON, as_of=str(later)), "me", later)
    assert (again["state"], again["version"]) == ("approved", 3)
    assert (replayed(pair).same, replayed(pair).differ) == (3, [])


def test_a_policy_that_is_live_no_more_decides_nothing(pair: Pair):
    service, second = decider(pair), lenient(revision=2)
    use_policy(pair.log, second, "shadow", "me")
    # A shadow that came since decides beside it at once.
    assert service.decide(asked(PERSON, application_id="a0"), "me", TODAY)["state"] == "approved"
    (line,) = (line.content for line in pair.log.lines() if line.kind == "decision")
    assert line is not None
    assert set(line["shadows"]) == {second.hash}
    use_policy(pair.log, second, "live", "me")
    head = pair.log.head
    with pytest.raises(NoPolicy):
        service.decide(asked(PERSON, application_id="a1"), "me", TODAY)
    use_policy(pair.log, second, "retired", "me")
    with pytest.raises(NoPolicy):
        service.decide(asked(PERSON, application_id="a1"), "me", TODAY)
    assert head != pair.log.head
    assert kinds(pair).count("score") == 1
    assert (replayed(pair).same, replayed(pair).differ) == (1, [])


@pytest.mark.parametrize("lost", ["waits", "declined"])
def test_another_body_takes_no_application_from_a_person(pair: Pair, lost: str):
    service = decider(pair)
    stolen = service.decide(asked(PERSON, pair.token(known_at()[1])), "me", TODAY)
    assert (stolen["state"], stolen["queue"]) == ("waiting", "general")
    desk = ReviewDesk(pair.log, ApprovedPolicies.of(pair.log))
    if lost == "declined":
        word = PersonsWord("staff 17", "decline", "somebody else's consent")
        desk.take(stolen["decision_id"], word, "me", TODAY)
    for number, days in enumerate((1, 2), 2):
        day = TODAY + timedelta(days=days)
        again = service.decide(asked(PERSON, amount=8000 - number), "me", day)
        assert (again["proposal"], again["state"], again["queue"]) == ("approve", "waiting", "general")
        assert again["version"] == number
        # Nor does it win time.
        assert again["due"] == (stolen["due"] if lost == "waits" else str(TODAY + timedelta(days=3)))
    (row,) = desk.waiting()[0]
    assert row["held"] == again["held"]["decision_id"]
    assert exposure(pair) == 0
    desk.take(again["decision_id"], PersonsWord("staff 18", "decline", "somebody else's consent"), "me", TODAY)
    notice = Notices(pair.log, ApprovedPolicies.of(pair.log)).give(again["decision_id"], "en", "me", TODAY)
    assert f"- {stolen['reasons'][0]['en']}\n" in notice
    assert (replayed(pair).same, replayed(pair).differ) == (3, [])


def test_deciding_again_and_again_on_one_score_is_an_event(pair: Pair):
    rule = {"id": "shopping", "event": "score-shopping", "effect": "review"}
    rule["reason"] = {"en": "The application was sent again and again.", "zh": "多次提交申请。"}  # type: ignore[assignment]
    rules = [*policy_data()["products"]["starter"]["rules"], rule]
    service = decider(pair, lenient(products__starter__rules=rules))
    made = [
        service.decide(asked(PERSON, inputs=INPUTS | {"debt_service": None}, amount=5000 + number), "me", TODAY)
        for number in range(3)
    ]
    assert len({one["score_id"] for one in made}) == 1
    assert [one.get("alarm") for one in made] == [None, None, "score-shopping"]
    assert [rule["id"] for rule in made[2]["rules"] if rule["hit"]] == ["input.debt_service", "shopping"]
    assert (replayed(pair).same, replayed(pair).differ) == (3, [])


def test_many_applications_of_one_person_wait_and_replay(pair: Pair):
    """Whatever the application, the product and the body; those of other days and of other persons do not count."""
    policy, shadow = counting(least=3), counting(days=1, least=2, revision=2)

    def asks(name: str, day: int = 0, person: str = PERSON, **more: Any) -> dict[str, Any]:
        data = asked(person, application_id=name, amount=1000, **more)
        return decider(pair, policy, shadow).decide(data, "me", TODAY + timedelta(days=day))

    first = asks("a0")
    assert [first["state"], asks("a1")["state"], asks("b0", person="p2")["state"]] == ["approved"] * 3
    assert asks("a0") == first  # again, and no further one
    third = asks("a2", day=29)
    assert rule(third, "asks-often") == (True, "yes", "at_least 3 in 30 days")
    assert (third["state"], third["queue"]) == ("waiting", "general")
    # The third day of the window is over for the first two.
    assert asks("a3", day=31)["state"] == "approved"
    # What was corrected after an objection is none; the one that is disputed is.
    desk = ReviewDesk(pair.log, ApprovedPolicies.of(pair.log))
    service, day = decider(pair, policy, shadow), TODAY + timedelta(days=32)
    service.dispute(
        desk, third["decision_id"], "it was not me who asked", asked(PERSON, application_id="a2"), "me", day
    )
    assert [line.content["recent"] for line in decisions(pair)][-2:] == [[2, 31, 31], [1, 3, 32, 32]]
    assert asks("a4", day=33)["state"] == "waiting"
    assert (replayed(pair).same, replayed(pair).differ) == (7, [])
    # The shadow has a window of its own; its days count from each line.
    found = [line.content["shadows"][shadow.hash]["proposal"] for line in decisions(pair)]
    assert found.count("review") == 1


def decisions(pair: Pair) -> list[Any]:
    return [line for line in pair.log.lines() if line.kind == "decision"]


def rule(answer: dict[str, Any], id: str) -> tuple[Any, ...]:
    (found,) = (one for one in answer["rules"] if one["id"] == id)
    return found["hit"], found["value"], found["threshold"]


def test_a_line_that_counts_otherwise_is_found(pair: Pair, monkeypatch: pytest.MonkeyPatch):
    service = decider(pair, counting())
    with monkeypatch.context() as patch:
        patch.setattr(Register, "recent", lambda self, person, today: [0, 0])
        assert service.decide(asked(PERSON), "me", TODAY)["state"] == "waiting"
    (line,) = decisions(pair)
    assert replayed(pair).differ == [line.seq]


def test_who_was_erased_or_is_over_counts_from_the_start(pair: Pair):
    service = decider(pair, counting(least=2))
    assert service.decide(asked(PERSON, application_id="a"), "me", TODAY)["state"] == "approved"
    with pair.log.commit() as batch:
        batch.erase(PERSON, "asked for it")
        Register(batch, pair.log.keys).forget(pair.log.keys.person(PERSON))
    assert service.decide(asked(PERSON, application_id="b"), "me", TODAY)["state"] == "approved"
    assert service.decide(asked(PERSON, application_id="c"), "me", TODAY)["state"] == "waiting"
    assert (replayed(pair).same, replayed(pair).differ) == (2, [])
    rows = pair.log._database.execute("SELECT COUNT(*) FROM decision_days").fetchone()
    assert rows == (2,)


def test_what_cannot_be_decided_costs_nothing(pair: Pair):
    service = decider(pair)
    before = pair.log.head
    for code, change in (
        ("product", {"product": "stater"}),
        ("product", {"product": None}),
        ("inputs", {"amount": 999}),
        ("inputs", {"amount": 5000.5}),
        ("inputs", {"amount": True}),
        ("inputs", {"amount": -5000}),
        ("inputs", {"term_months": 5}),
        ("inputs", {"inputs": []}),
        ("inputs", {"inputs": INPUTS | {"incom": 1}}),
        ("inputs", {"inputs": INPUTS | {"income": "4711"}}),
        ("inputs", {"inputs": INPUTS | {"income": -4711}}),
        ("inputs", {"inputs": INPUTS | {"income": float("inf")}}),
        ("inputs", {"inputs": INPUTS | {"identity_verified": 1}}),
        ("inputs", {"inputs": INPUTS | {"shared_phone": 0.5}}),
        ("features", {"features": {"income": 4711}}),
        ("purpose", {"purpose": "marketing"}),
        ("malformed", {"person": 4711}),
    ):
        with pytest.raises(ApplicationError) as refused:
            service.decide_many([asked(known_at()[1]), asked(PERSON) | change], "me", TODAY)
        assert refused.value.code == code, change
        assert "4711" not in str(refused.value)
    with pytest.raises(ApplicationError):
        service.decide("nothing", "me", TODAY)
    assert pair.log.head == before
    assert exposure(pair) == 0


@pytest.mark.parametrize("value", [None, float("nan")])
def test_a_required_input_without_a_value_goes_to_a_person(pair: Pair, value: Any):
    answer = decided(pair, inputs=INPUTS | {"debt_service": value})
    assert (answer["proposal"], answer["state"], answer["queue"]) == ("review", "waiting", "general")
    assert exposure(pair) == 0
    assert replayed(pair).same == 1


def test_the_capacity_band_and_the_flag_of_a_token_are_read(pair: Pair):
    token = pair.token(PERSON, kinds=frozenset({"signal", "capacity"}))
    answer = decided(pair, PERSON, token, inputs=INPUTS | {"income": None})
    told = next(line for line in pair.log.lines() if line.kind == "score").content["signals"][0]["told"]  # type: ignore[index]
    assert answer["proposal"] in ("approve", "counter", "decline-proposed")
    kept = next(line for line in pair.log.lines() if line.kind == "decision").content["scored"]  # type: ignore[index]
    assert kept["capacity"] == (told["capacity"]["above"] or 0.0)
    # A token of somebody else is none for this person, and a person looks at it.
    other = pair.token(known_at()[1], "k2")
    bought = decided(pair, PERSON, other, application_id="bought")
    assert bought["proposal"] == "review"
    assert "token.other-person" in {rule["id"] for rule in bought["rules"] if rule["hit"]}
    assert decided(pair, PERSON, application_id="without")["proposal"] == "approve"


def test_a_decline_without_a_lawful_basis_waits_for_a_person(pair: Pair):
    bad = INPUTS | {"debt_service": 70_000}
    answer = decided(pair, inputs=bad)
    assert (answer["proposal"], answer["state"], answer["queue"]) == ("decline-proposed", "waiting", "declines")
    assert answer["due"] == str(TODAY + timedelta(days=3))
    basis = {"basis": "the words of counsel on it", "source": "the provision"}
    service = decider(pair, lenient(automatic_declines=basis, revision=2))
    answer = service.decide(asked(PERSON, application_id="b", inputs=bad), "me", TODAY)
    assert (answer["state"], answer["queue"], answer["basis"]) == ("declined", None, "the provision")


def test_a_shadow_changes_nothing(pair: Pair):
    harsh = page_policy(name="harsh", **{f"{STARTER}__limits__affordable__share": 0.06})
    plain, beside = Pair(small_release(kinds=True)), pair
    answers = []
    for one, shadows in ((plain, ()), (beside, (harsh,))):
        service = decider(one, lenient(), *shadows)
        made = [
            service.decide(asked(person, application_id=f"a{number}"), "me", TODAY)
            for number, person in enumerate(known_at()[:3])
        ]
        answers.append([{k: v for k, v in answer.items() if k not in ("decision_id", "score_id")} for answer in made])
    assert answers[0] == answers[1]
    assert exposure(plain) == exposure(beside) > 0
    lines = [line.content for line in beside.log.lines() if line.kind == "decision"]
    assert all(line["shadows"][harsh.hash]["proposal"] == "decline-proposed" for line in lines if line)
    assert replayed(beside).same == 3


def test_random_approvals_come_as_often_as_they_say_and_are_the_same_again():
    random = {"series": "a", "start": 300, "propensity": 0.1, "largest": 5000}
    changes = {f"{STARTER}__random": random, f"{STARTER}__bands__0__start": 300}
    evaluator, keys = Evaluator(page_policy(**changes).products["starter"]), LogKeys.of(b"k" * 96)
    persons = [keys.person(f"p{number}") for number in range(4000)]
    draws = [draw_of(keys, person, "a", "starter") for person in persons]
    chosen = [
        evaluator.propose(CHAMPION, applicant(points=400, draw=draw)).kind != "decline-proposed" for draw in draws
    ]
    # 4000 draws at 0.1: a deviation of 19; five of them.
    assert abs(sum(chosen) - 400) < 95
    assert [draw_of(keys, person, "a", "starter") for person in persons] == draws
    other = [draw_of(keys, person, "b", "starter") < 0.1 for person in persons]
    assert 10 <= sum(one and two for one, two in zip(chosen, other, strict=True)) <= 80
    assert draws != [draw_of(LogKeys.of(b"x" * 96), person, "a", "starter") for person in persons]


def test_a_random_approval_replays_with_its_propensity(pair: Pair):
    random = {"series": "a", "start": -1000, "propensity": 0.2, "largest": 5000}
    top = {"approve": 2000, "review": 2000}
    changes = {f"{STARTER}__champion": top, f"{STARTER}__fallback": top, f"{STARTER}__random": random}
    service = decider(pair, page_policy(**changes, **{f"{STARTER}__bands__0__start": -1000}))
    people = [f"stranger-{number}" for number in range(60)]
    made = service.decide_many([asked(one, application_id=one) for one in people], "me", TODAY)
    assert {one["random"]["propensity"] for one in made} == {0.2}
    assert {one["proposal"] for one in made} == {"counter", "decline-proposed"}
    assert [one["random"]["chosen"] for one in made] == [one["proposal"] == "counter" for one in made]
    # Another application of the same person draws nothing new.
    again = service.decide_many([asked(one, application_id=f"{one}-2") for one in people], "me", TODAY)
    assert [one["random"] for one in again] == [one["random"] for one in made]
    assert replayed(pair).same == 120


def forged(change: dict[str, Any], of: str = "decision") -> Any:
    """A `Batch.add` that writes something else into lines of a kind."""
    write = Batch.add

    def add(self: Batch, kind: str, content: dict[str, Any], person: bytes) -> int:
        return write(self, kind, content | change if kind == of else content, person)

    return add


def test_a_line_that_says_otherwise_is_found_by_a_replay(pair: Pair, monkeypatch: pytest.MonkeyPatch):
    retired, later = lenient(revision=2), str(TODAY + timedelta(days=15))
    use_policy(pair.log, retired, "live", "me")
    scored = {"points": 900, "pd": 0.01, "capacity": None, "events": [], "token_of_another": False}
    changes: tuple[dict[str, Any], ...] = (
        {"amount": 7999},
        {"exposure": 5},
        {"scored": scored},
        {"rules": []},
        {"limit": 10**6},
        {"role": FALLBACK},
        {"inputs": INPUTS | {"debt_service": 70_000.0}},
        {"state": "waiting"},
        {"valid_until": later},
        {"due": later},
        {"queue": "general"},
        {"basis": "the provision"},
        {"shadows": {retired.hash: {"proposal": "approve", "amount": 8000, "limit": 20_000}}},
        {"policy": retired.hash},
        {"held": {"decision_id": "0" * 32, "queue": "general", "due": None}},
        {"form": 1},
    )
    decided(pair, "s98", application_id="before")
    for number, change in enumerate(changes):
        with monkeypatch.context() as patch:
            patch.setattr(Batch, "add", forged(change))
            decided(pair, f"s{number}", application_id=f"a{number}")
    assert pair.log.check() == []
    assert len(replayed(pair).differ) == len(changes)
    decided(pair, "s99", application_id="good")
    assert replayed(pair).same == 2
    assert replay_decisions(pair.log.lines(), {}, pair.log.keys).unknown != []


@pytest.mark.parametrize("change", [{"amount": 8001}, {"amount": 20_000}, {"valid_until": "2031-01-01"}])
def test_an_approval_by_a_person_beyond_its_limit_is_found(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
):
    service = decider(pair)
    book(pair).open("L1", PERSON, 72_000, TODAY)
    answer = service.decide(asked(PERSON, inputs=INPUTS | {"identity_verified": False}), "me", TODAY)
    desk = ReviewDesk(pair.log, ApprovedPolicies.of(pair.log))
    with monkeypatch.context() as patch:
        patch.setattr(Batch, "add", forged(change, "review"))
        desk.take(answer["decision_id"], PersonsWord("staff 17", "approve", "papers were seen"), "me", TODAY)
    (seq,) = (line.seq for line in pair.log.lines() if line.kind == "review")
    assert (replayed(pair).same, replayed(pair).differ) == (1, [seq])


def test_a_loan_beyond_its_approval_is_found(pair: Pair, monkeypatch: pytest.MonkeyPatch):
    answer = decided(pair)
    with monkeypatch.context() as patch:
        patch.setattr(Batch, "add", forged({"principal": 8001}, "loan"))
        book(pair).start("L1", answer["decision_id"], 8000, TODAY)
    (seq,) = (line.seq for line in pair.log.lines() if line.kind == "loan")
    assert (replayed(pair).same, replayed(pair).differ) == (1, [seq])


def test_decisions_end_with_the_term_of_their_lines(pair: Pair):
    first = decided(pair, PERSON, pair.token(PERSON))
    handle = pair.log._database.execute("SELECT handle FROM handles").fetchone()[0]
    with pair.log.commit() as batch:
        batch.withdraw([bytes(handle)], "wallet", str(TODAY), str(TODAY))
    # What is decided after the withdrawal is under another key, and stays.
    second = decided(pair, application_id="next")
    close_days(pair.lender_ledger, pair.log, TODAY + timedelta(days=1))
    with pair.log.commit() as batch:
        register = Register(batch, pair.log.keys)
        with pytest.raises(DecisionError, match="unknown"):
            register.decision(first["decision_id"])
        assert register.decision(second["decision_id"]).state == "approved"
    assert exposure(pair) == 8000
    assert (replayed(pair).same, len(replayed(pair).erased)) == (1, 1)


def test_versions_go_on_after_the_first_ones_are_gone(pair: Pair):
    missing = INPUTS | {"debt_service": None}
    decided(pair, PERSON, pair.token(PERSON), inputs=missing)
    handle = pair.log._database.execute("SELECT handle FROM handles").fetchone()[0]
    with pair.log.commit() as batch:
        batch.withdraw([bytes(handle)], "wallet", str(TODAY), str(TODAY))
    assert decided(pair, inputs=missing)["version"] == 2
    close_days(pair.lender_ledger, pair.log, TODAY + timedelta(days=1))
    last = decided(pair, inputs=INPUTS | {"identity_verified": False})
    assert last["version"] == 3
    desk = ReviewDesk(pair.log, ApprovedPolicies.of(pair.log))
    assert [row["decision_id"] for row in desk.waiting()[0]] == [last["decision_id"]]
    assert replayed(pair).differ == []


def test_an_erased_person_has_no_decision_and_no_promise(pair: Pair):
    decided(pair)
    book(pair).open("L9", PERSON, 700, TODAY)
    with pair.log.commit() as batch:
        assert batch.erase(PERSON, "asked for it")
        Register(batch, pair.log.keys).forget(pair.log.keys.person(PERSON))
    assert len(replayed(pair).erased) == 1
    assert exposure(pair) == 700
    assert pair.log.check() == []


def test_a_withdrawal_leaves_a_decision_to_be_replayed(pair: Pair):
    token = pair.token(PERSON)
    decided(pair, PERSON, token)
    handle = pair.log._database.execute("SELECT handle FROM handles").fetchone()[0]
    with pair.log.commit() as batch:
        assert batch.withdraw([bytes(handle)], "wallet", str(TODAY), "2035-01-01") == 1
    assert replayed(pair).same == 1
    with pytest.raises(ApplicationError, match="locked"):
        decided(pair, PERSON, token)


def _race(folder: Path, number: int, start: Any, results: Any) -> None:
    pair = Pair(small_release(kinds=True), folder=folder)
    service = decider(pair)
    start.wait()
    found = []
    for turn in range(6):
        # Each process has applications of its own, and one that both decide.
        for name in (f"a{number}-{turn}", "both"):
            data = asked(PERSON, application_id=name, amount=20_000, inputs=INPUTS | {"income": 100_000})
            try:
                found.append(service.decide(data | {"features": {"income": 40.0 + number, "late": 1}}, "me", TODAY))
            except DecisionError:
                found.append({})
    results.put([(one.get("application_id"), one.get("amount")) for one in found])
    pair.close()


@pytest.mark.slow
def test_two_processes_promise_no_more_than_one_would(tmp_path: Path):
    first = Pair(small_release(kinds=True), folder=tmp_path)
    decider(first)
    first.close()
    context = multiprocessing.get_context("fork")
    start, results = context.Event(), context.Queue()
    children = [context.Process(target=_race, args=(tmp_path, number, start, results)) for number in range(2)]
    for child in children:
        child.start()
    start.set()
    made = [one for _ in children for one in results.get(timeout=120)]
    for child in children:
        child.join(60)
    granted = {one for one in made if one[1]}
    pair = Pair(small_release(kinds=True), folder=tmp_path)
    assert sum(amount for _, amount in granted) == exposure(pair) == 80_000
    assert len({name for name, _ in granted}) == len(granted) == 4
    assert replayed(pair).differ == []
    assert pair.log.check() == []
    pair.close()


def _without_loan(data: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in data.items() if key not in LOAN_KEYS}


def _killed(folder: Path, policy: DecisionPolicy, at: str) -> None:
    pair = Pair(small_release(kinds=True), folder=folder)
    service = decider(pair, policy)
    target: Any = Register if at == "reserve" else Batch
    whole = getattr(target, at)

    def then_die(self: Any, *given: Any) -> Any:
        whole(self, *given)
        if at != "add" or given[0] == "decision":
            os._exit(9)

    setattr(target, at, then_die)
    service.decide(asked(PERSON), "me", TODAY)


@pytest.mark.slow
@pytest.mark.parametrize("at", ["add", "reserve", "sign"])
def test_a_crash_between_line_and_reservation_leaves_neither(tmp_path: Path, at: str):
    first = Pair(small_release(kinds=True), folder=tmp_path)
    decider(first)
    first.service().score(_without_loan(asked(PERSON)), "me", TODAY)
    first.close()
    child = multiprocessing.get_context("fork").Process(target=_killed, args=(tmp_path, lenient(), at))
    child.start()
    child.join(60)
    assert child.exitcode == 9
    pair = Pair(small_release(kinds=True), folder=tmp_path)
    assert kinds(pair) == ["policy", "score"]
    assert exposure(pair) == 0
    assert pair.log.check() == []
    answer = decided(pair)
    assert (answer["state"], exposure(pair)) == ("approved", 8000)
    assert json.dumps(decided(pair)) == json.dumps(answer)
    pair.close()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=80, deadline=None)
@given(st.one_of(JSON, st.fixed_dictionaries({}, optional=dict.fromkeys(asked(PERSON), JSON))), st.booleans())
def test_whatever_is_sent_is_decided_or_refused(given_data: Any, whole: bool):
    pair = Pair(small_release(kinds=True))
    service = decider(pair)
    data = asked(PERSON) | given_data if whole and isinstance(given_data, dict) else given_data
    try:
        answer = service.decide(data, "me", TODAY)
    except ApplicationError:
        assert kinds(pair) == ["policy"]
        return
    assert answer["proposal"] in ("approve", "counter", "review", "decline-proposed")
    assert replayed(pair).same == 1
