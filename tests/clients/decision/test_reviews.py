"""What persons decide: by name and reason, within the limits; notices, disputes, and a policy tried on the log."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from policies import BASIS, INPUTS, asked, decider, lenient
from small_release import TODAY, Pair, known_at

from sealscore.clients.decision.loans import LoanBook, LoanRow, read_loans
from sealscore.clients.decision.notice import Notices
from sealscore.clients.decision.policy.approved import ApprovedPolicies
from sealscore.clients.decision.policy.model import DecisionPolicy
from sealscore.clients.decision.register import DecisionError, Register
from sealscore.clients.decision.replay import replay_decisions
from sealscore.clients.decision.reviews import PersonsWord, ReviewDesk
from sealscore.clients.decision.service import shown
from sealscore.clients.decision.simulate import simulate

PERSON = known_at()[0]
REASON = "papers were looked at by hand"
BAD = INPUTS | {"debt_service": 70_000}
POOR = INPUTS | {"income": 100_000, "identity_verified": False}


def decided(pair: Pair, policy: DecisionPolicy | None = None, **changes: Any) -> dict[str, Any]:
    return decider(pair, policy).decide(asked(PERSON, **changes), "me", TODAY)


def desk(pair: Pair) -> ReviewDesk:
    return ReviewDesk(pair.log, ApprovedPolicies.of(pair.log))


def taken(pair: Pair, decision: str, outcome: Any, amount: int | None = None, **more: Any) -> dict[str, Any]:
    word = PersonsWord(more.get("reviewer", "staff 17"), outcome, REASON, amount)
    return desk(pair).take(decision, word, "me", TODAY + timedelta(days=more.get("days", 0)))


def exposure(pair: Pair) -> int:
    return promised(pair, PERSON)


def promised(pair: Pair, person: str) -> int:
    with pair.log.commit() as batch:
        return Register(batch, pair.log.keys).exposure(pair.log.keys.person(person), str(TODAY))


def replayed(pair: Pair) -> tuple[int, list[int]]:
    found = replay_decisions(pair.log.lines(), ApprovedPolicies.of(pair.log).policies, pair.log.keys)
    return found.same, found.differ


@pytest.mark.parametrize("name", ["", " ", "-", "nobody", "Nobody", "auto", "system", "?!", "x", "a\nb", "n/a"])
def test_a_review_by_nobody_is_refused(name: str):
    with pytest.raises(DecisionError, match="reviewer"):
        PersonsWord(name, "approve", REASON)
    with pytest.raises(DecisionError, match="reason"):
        PersonsWord("staff 17", "approve", name)


def test_a_review_promises_within_the_limits_and_only_once(pair: Pair):
    answer = decided(pair, inputs=POOR, amount=20_000)
    assert answer["state"] == "waiting"
    LoanBook(pair.log, str).open("L1", PERSON, 65_000, TODAY)
    with pytest.raises(DecisionError, match="above-limit"):
        taken(pair, answer["decision_id"], "approve")
    made = taken(pair, answer["decision_id"], "approve", 15_000)
    assert (made["amount"], made["override"], made["reversal"]) == (15_000, False, False)
    assert exposure(pair) == 80_000
    for outcome in ("approve", "decline"):
        with pytest.raises(DecisionError, match="not-waiting"):
            taken(pair, answer["decision_id"], outcome)
    with pytest.raises(DecisionError, match="unknown"):
        taken(pair, "0" * 32, "approve")
    with pytest.raises(DecisionError, match="approved-before"):
        decided(pair, amount=5000)
    LoanBook(pair.log, str).start("L2", answer["decision_id"], 15_000, TODAY)
    assert replayed(pair) == (1, [])
    assert pair.log.check() == []


def test_nothing_is_approved_whose_limit_is_not_known(pair: Pair):
    answer = decided(pair, inputs=INPUTS | {"debt_service": None})
    with pytest.raises(DecisionError, match="limit-unknown"):
        taken(pair, answer["decision_id"], "approve")
    # With what was missing it is a new version, and the old one waits no more.
    assert decided(pair)["state"] == "approved"
    with pytest.raises(DecisionError, match="not-waiting"):
        taken(pair, answer["decision_id"], "decline")
    assert desk(pair).waiting()[0] == []


def test_who_may_review_is_the_policys_to_say(pair: Pair):
    policy = lenient(queues__identity__reviewers=["staff 17"])
    answer = decided(pair, policy, inputs=POOR)
    with pytest.raises(DecisionError, match="reviewer"):
        taken(pair, answer["decision_id"], "approve", reviewer="staff 18")
    assert taken(pair, answer["decision_id"], "approve")["outcome"] == "approve"


def test_overrides_and_reversals_are_counted(pair: Pair):
    for number, outcome in enumerate(("decline", "approve", "decline")):
        answer = decided(pair, inputs=INPUTS | {"debt_service": 61_000, "income": 250_000}, application_id=f"a{number}")
        assert answer["proposal"] == "decline-proposed"
        taken(pair, answer["decision_id"], outcome)
    rows, counts = desk(pair).waiting()
    assert (rows, counts) == ([], {"taken": 3, "overrides": 1, "reversals": 0})
    # The last one objects, and is heard.
    told = desk(pair).dispute(answer["decision_id"], "the debt was paid back", "me", TODAY)
    assert (told["queue"], told["late"]) == ("disputes", False)
    assert [row["queue"] for row in desk(pair).waiting()[0]] == ["disputes"]
    assert taken(pair, answer["decision_id"], "approve")["reversal"]
    assert desk(pair).waiting()[1] == {"taken": 4, "overrides": 2, "reversals": 1}


def test_what_is_most_urgent_comes_first(pair: Pair):
    for number, inputs in enumerate((BAD, POOR, INPUTS | {"debt_service": None})):
        decided(pair, inputs=inputs, application_id=f"a{number}")
    rows, _ = desk(pair).waiting()
    assert [row["queue"] for row in rows] == ["identity", "general", "declines"]
    assert rows[0]["hits"] == ["identity"]


def test_a_dispute_is_scored_as_a_new_version_and_a_person_decides(pair: Pair):
    policy = lenient(automatic_declines=BASIS)
    answer = decided(pair, policy, inputs=BAD)
    assert answer["state"] == "declined"
    desk(pair).dispute(answer["decision_id"], "the debt is not mine", "me", TODAY)
    corrected = asked(PERSON, features={"income": 60.0, "late": 0})
    service = decider(pair, policy)
    (again,) = service.decide_many([corrected], "me", TODAY, answer["decision_id"])
    assert (again["proposal"], again["state"], again["queue"]) == ("approve", "waiting", "disputes")
    assert (again["version"], again["disputes"]) == (2, answer["decision_id"])
    assert again["score_id"] != answer["score_id"]
    assert exposure(pair) == 0
    assert taken(pair, again["decision_id"], "approve")["reversal"]
    assert exposure(pair) == 8000
    with pytest.raises(DecisionError, match="superseded"):
        desk(pair).dispute(answer["decision_id"], "and once more of it", "me", TODAY)
    assert replayed(pair) == (2, [])


def test_a_disputed_offer_stays_promised_until_another_takes_its_place(pair: Pair):
    poor = INPUTS | {"income": 2500}
    for number, (outcome, amount) in enumerate((("decline", None), ("approve", 5000))):
        person = known_at()[number]
        given = asked(person, application_id=f"a{number}", inputs=poor)
        offer = decider(pair).decide(given, "me", TODAY)
        assert (offer["proposal"], offer["amount"]) == ("counter", 5400)
        assert desk(pair).dispute(offer["decision_id"], "more is affordable", "me", TODAY)["queue"] == "disputes"
        assert promised(pair, person) == 5400
        taken(pair, offer["decision_id"], outcome, amount)
        assert promised(pair, person) == (5000 if outcome == "approve" else 5400)
        LoanBook(pair.log, str).start(f"L{number}", offer["decision_id"], 5000, TODAY)
    # What was corrected is a new version, whose approval takes the place of the old one.
    person = known_at()[2]
    offer = decider(pair).decide(asked(person, application_id="a2", inputs=poor), "me", TODAY)
    desk(pair).dispute(offer["decision_id"], "income was wrong", "me", TODAY)
    (again,) = decider(pair).decide_many([asked(person, application_id="a2")], "me", TODAY, offer["decision_id"])
    assert (again["state"], promised(pair, person)) == ("waiting", 5400)
    assert [row["decision_id"] for row in desk(pair).waiting()[0]] == [again["decision_id"]]
    taken(pair, again["decision_id"], "approve")
    assert promised(pair, person) == 8000
    assert replayed(pair) == (4, [])


def test_nobody_approves_on_a_score_that_is_over(pair: Pair):
    answers = [decided(pair, inputs=POOR, application_id=f"a{number}") for number in range(2)]
    made = taken(pair, answers[0]["decision_id"], "approve", days=30)
    assert made["valid_until"] == str(TODAY + timedelta(days=30))
    with pytest.raises(DecisionError, match="score-expired"):
        taken(pair, answers[1]["decision_id"], "approve", days=31)
    assert taken(pair, answers[1]["decision_id"], "decline", days=31)["amount"] == 0
    assert replayed(pair) == (2, [])


def test_who_withdrew_is_not_approved_on_what_was_locked(pair: Pair):
    service, token = decider(pair), pair.token(PERSON)
    waits = service.decide(asked(PERSON, token, inputs=POOR), "me", TODAY)
    offer = service.decide(asked(PERSON, application_id="offer", inputs=INPUTS | {"income": 2500}), "me", TODAY)
    (handle,) = pair.log._database.execute("SELECT handle FROM handles").fetchone()
    with pair.log.commit() as batch:
        assert batch.withdraw([bytes(handle)], "wallet", str(TODAY), "2035-01-01") == 1
    head = pair.log.head
    with pytest.raises(DecisionError, match="withdrawn"):
        taken(pair, waits["decision_id"], "approve")
    assert pair.log.head == head
    # Nor by way of a decline that is disputed.
    taken(pair, waits["decision_id"], "decline")
    desk(pair).dispute(waits["decision_id"], "it was my own consent", "me", TODAY)
    with pytest.raises(DecisionError, match="withdrawn"):
        taken(pair, waits["decision_id"], "approve")
    # What was decided before is put right.
    desk(pair).dispute(offer["decision_id"], "more is affordable", "me", TODAY)
    assert taken(pair, offer["decision_id"], "approve", 5000)["reversal"]
    assert replayed(pair) == (2, [])


def test_only_the_last_version_is_disputed_or_taken(pair: Pair):
    policy = lenient(automatic_declines=BASIS)
    old = decided(pair, policy, inputs=BAD)
    new = decided(pair, policy)
    assert (old["state"], new["state"]) == ("declined", "approved")
    with pytest.raises(DecisionError, match="superseded"):
        desk(pair).dispute(old["decision_id"], "the debt is not mine", "me", TODAY)
    assert desk(pair).waiting()[0] == []
    with pair.log.commit() as batch:
        Register(batch, pair.log.keys).move(old["decision_id"], "waiting", "disputes", str(TODAY))
    for outcome in ("approve", "decline"):
        with pytest.raises(DecisionError, match="superseded"):
            taken(pair, old["decision_id"], outcome)
    assert desk(pair).waiting()[0] == []
    assert exposure(pair) == 8000


def test_a_declined_dispute_leaves_the_offer_and_its_notice_says_so(pair: Pair):
    poor = INPUTS | {"income": 2500}
    offer = decided(pair, inputs=poor)
    notices = Notices(pair.log, ApprovedPolicies.of(pair.log))
    desk(pair).dispute(offer["decision_id"], "more is affordable", "me", TODAY)
    made = taken(pair, offer["decision_id"], "decline")
    assert made["stands"] == {"decision_id": offer["decision_id"], "amount": 5400}
    assert "5,400 CNY" in notices.give(offer["decision_id"], "en", "me", TODAY)
    # Of what was corrected, too: the first version is what can be lent.
    desk(pair).dispute(offer["decision_id"], "income was wrong", "me", TODAY)
    (again,) = decider(pair).decide_many([asked(PERSON)], "me", TODAY, offer["decision_id"])
    made = taken(pair, again["decision_id"], "decline")
    assert made["stands"] == {"decision_id": offer["decision_id"], "amount": 5400}
    for one in (offer, again):
        assert "5,400 CNY" in notices.give(one["decision_id"], "en", "me", TODAY)
    # And when its loan has started meanwhile.
    desk(pair).dispute(again["decision_id"], "and once more of it", "me", TODAY)
    LoanBook(pair.log, str).start("L1", offer["decision_id"], 5000, TODAY)
    assert taken(pair, again["decision_id"], "decline")["stands"] == made["stands"]
    assert "5,400 CNY" in notices.give(again["decision_id"], "en", "me", TODAY)
    assert replayed(pair) == (2, [])


def test_an_approval_of_all_is_not_disputed(pair: Pair):
    whole = decided(pair)
    by_person = decided(pair, application_id="b", inputs=POOR)
    taken(pair, by_person["decision_id"], "approve")
    for one in (whole, by_person):
        with pytest.raises(DecisionError, match="nothing-adverse"):
            desk(pair).dispute(one["decision_id"], "it is not enough", "me", TODAY)
    assert desk(pair).waiting()[0] == []


def test_a_notice_has_the_reasons_and_one_clock(pair: Pair):
    answer = decided(pair, inputs=BAD)
    notices = Notices(pair.log, ApprovedPolicies.of(pair.log))
    with pytest.raises(DecisionError, match="not-decided"):
        notices.give(answer["decision_id"], "zh", "me", TODAY)
    taken(pair, answer["decision_id"], "decline")
    until = str(TODAY + timedelta(days=30))
    reason = answer["reasons"][0]
    for language in ("en", "zh"):
        for days in (0, 3):
            text = notices.give(answer["decision_id"], language, "me", TODAY + timedelta(days=days))  # type: ignore[arg-type]
            assert until in text
            assert f"- {reason[language]}" in text
    late = desk(pair).dispute(answer["decision_id"], "too late, and heard", "me", TODAY + timedelta(days=31))
    assert late["late"]
    whole = decided(pair, application_id="whole")
    with pytest.raises(DecisionError, match="nothing-adverse"):
        notices.give(whole["decision_id"], "zh", "me", TODAY)
    less = decided(pair, application_id="less", amount=60_000)
    assert less["proposal"] == "counter"
    text = notices.give(less["decision_id"], "en", "me", TODAY)
    assert f"{less['amount']:,} CNY" in text
    assert all(one["en"] in text for one in less["reasons"])


def test_a_notice_of_a_program_names_its_basis(pair: Pair):
    answer = decided(pair, lenient(automatic_declines=BASIS), inputs=BAD)
    text = Notices(pair.log, ApprovedPolicies.of(pair.log)).give(answer["decision_id"], "en", "me", TODAY)
    assert BASIS["source"] in text


def test_open_loans_are_those_of_a_table(pair: Pair, tmp_path: Path):
    book, file = LoanBook(pair.log, str), tmp_path / "loans.csv"
    decider(pair)
    for rows, counts, owed in (
        (f"L1,{PERSON},100.2\nL2,{PERSON},50\nL3,other,7", {"new": 3, "changed": 0, "over": 0}, 151),
        (f"L1,{PERSON},80\nL3,other,7", {"new": 0, "changed": 1, "over": 1}, 80),
        (f"L1,other,80\nL3,other,7\nL4,{PERSON},1", {"new": 1, "changed": 1, "over": 0}, 1),
    ):
        file.write_text(f"loan,person,principal\n{rows}\n", encoding="utf-8")
        assert book.read(read_loans(file), TODAY) == counts
        assert exposure(pair) == owed
        head = pair.log.head
        assert book.read(read_loans(file), TODAY) == {"new": 0, "changed": 0, "over": 0}
        assert pair.log.head == head
    decided(pair)
    assert replayed(pair) == (1, [])
    for text in ("loan,person\nL1,x\n", "loan,person,principal\nL1,x,-1\n", "loan,person,principal\nL1,x,much\n"):
        file.write_text(text, encoding="utf-8")
        with pytest.raises(DecisionError):
            read_loans(file)
    for bad in ([LoanRow("L1", "a", 1), LoanRow("L1", "a", 1)], [LoanRow("", "a", 1)], [LoanRow("L1", " ", 1)]):
        head = pair.log.head
        with pytest.raises(DecisionError):
            book.read(bad, TODAY)
        assert pair.log.head == head


def test_an_older_table_closes_no_loan_that_started_since(pair: Pair):
    book, night = LoanBook(pair.log, str), TODAY - timedelta(days=1)
    answer = decided(pair)
    book.open("L0", PERSON, 30, night - timedelta(days=1))
    book.start("L1", answer["decision_id"], 8000, TODAY)
    old = [LoanRow("L9", PERSON, 5)]
    for day in (night, TODAY):
        assert book.read(old, TODAY, day)["over"] == (1 if day == night else 0)
        assert exposure(pair) == 8005
    # What a newer table has is not closed by an older one either.
    assert book.read([], TODAY, night - timedelta(days=1))["over"] == 0
    assert book.read([], TODAY + timedelta(days=1))["over"] == 2
    assert exposure(pair) == 0
    head = pair.log.head
    with pytest.raises(DecisionError, match="as-of"):
        book.read(old, TODAY, TODAY + timedelta(days=1))
    assert pair.log.head == head


def test_a_policy_is_tried_on_what_was_decided(pair: Pair):
    groups = {}
    for number in range(24):
        inputs = INPUTS | {"income": 1000 + 500 * number}
        decided(pair, application_id=f"a{number}", inputs=inputs)
        groups[f"a{number}"] = "one" if number % 2 else "two"
    keys, lines = pair.log.keys, lambda: pair.log.lines()
    same = simulate(lines(), lenient(), keys, groups)
    assert (same.changed, same.uncovered) == ({}, 0)
    assert same.logged == same.tried
    harsh = lenient(products__starter__limits__affordable__share=0.2)
    found = simulate(lines(), harsh, keys, groups)
    assert sum(found.tried.kinds.values()) == 24
    assert found.tried.amount < found.logged.amount
    assert 0 < found.tried.loss < found.logged.loss
    assert len(found.changed) > 0
    moved = set(found.changed.values())
    assert moved <= {("approve", "counter"), ("approve", "decline-proposed"), ("counter", "decline-proposed")}
    assert {name: all for name, (_, all) in found.tried.groups.items()} == {"one": 12, "two": 12}
    # Each of the logged book's losses is PD x loss given default x amount.
    contents = [line.content for line in lines() if line.kind == "decision" and line.content]
    expected = sum(one["scored"]["pd"] * 0.6 * one["amount"] for one in contents)
    assert found.logged.loss == pytest.approx(expected)
    other = lenient(products__starter__limits__terms=[3])
    assert simulate(lines(), other, keys).uncovered == 24


def test_of_a_locked_record_only_state_amounts_and_days_are_shown_to_who_may_not_review(pair: Pair):
    service = decider(pair)
    policies = ApprovedPolicies.of(pair.log)
    waits = service.decide(asked(PERSON, pair.token(PERSON), inputs=POOR), "me", TODAY)
    id = waits["decision_id"]
    assert shown(pair.log, policies, id, TODAY) == waits | {"reserved": 0}
    (handle,) = pair.log._database.execute("SELECT handle FROM handles").fetchone()
    with pair.log.commit() as batch:
        assert batch.withdraw([bytes(handle)], "wallet", str(TODAY), "2035-01-01") == 1
    less = {name: waits[name] for name in ("decision_id", "state", "amount", "valid_until", "due")}
    assert shown(pair.log, policies, id, TODAY) == less | {"reserved": 0, "locked": True}
    assert shown(pair.log, policies, id, TODAY, reads_locked=True) == waits | {"reserved": 0, "locked": True}
    taken(pair, id, "decline")
    desk(pair).dispute(id, "it was my own consent", "me", TODAY)
    now = shown(pair.log, policies, id, TODAY)
    assert (now["state"], now["review"]["outcome"], now["disputed"]) == ("waiting", "decline", str(TODAY))
    assert now.keys() == less.keys() | {"reserved", "locked", "review", "disputed"}
    # Another application of this person is under a key of its own.
    later = decided(pair, inputs=POOR, application_id="later")
    assert shown(pair.log, policies, later["decision_id"], TODAY) == later | {"reserved": 0}
