"""One sum with its attempts: who fails is left out and counted, who comes back is asked again, and there is an end."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from builders import (
    BIN,
    LENDERS,
    TRAIN,
    binning_of,
    length_of,
    mechanisms,
    no_weights,
    phase_of,
    small_federation,
    small_plan,
    small_records,
    weights_of,
)
from doubles import DirectExchange, Quiet, nodes_of

from sealscore.server.run.cohort_sums import AskedSums
from sealscore.server.run.rounds import STRIKES, AttemptsSpent, Rounds
from sealscore.server.transport.exchange import ClearMessenger, Delivered, Failure, PartyClient, PhaseFailed
from sealscore.shared.crypto.aggregation import PlainSum
from sealscore.shared.messages.codec import decode, digest, encode
from sealscore.shared.messages.messages import Hello, Publish, Ready, Refusal, Stored, SumAnswer, SumRequest
from sealscore.shared.model.bins import histogram
from sealscore.shared.plan.plan import Plan

PLAN = small_plan(privacy__noise="none", training__rounds=20, privacy__spare_attempts=0.5)
KINDS = (Hello, Publish, SumRequest)
Spoil = Callable[[str, bytes, bytes], Delivered]


class Bench:
    """Rounds over three nodes, and the phases that are asked for."""

    def __init__(self, plan: Plan = PLAN, spoil: Spoil | None = None, away: set[str] | None = None) -> None:
        self.plan = plan
        self.records = small_federation()
        self.nodes, self.charges = nodes_of(plan, self.records)
        self.exchange = DirectExchange(self.nodes, spoil, away)
        self.asker = PartyClient(plan, "run-1", ClearMessenger(self.exchange), None)
        self.rounds = Rounds(plan, "run-1", self.asker, AskedSums(self.asker, PlainSum()), Quiet())
        self.binning = binning_of(plan, small_records(seed=1))

    def publish(self) -> dict[str, str]:
        return {"bins": self.asker.publish(phase_of(self.plan, BIN), "bins", self.binning.to_bytes())}

    def ask(self, name: str = BIN, round: int = 1, parts: dict[str, str] | None = None) -> Any:
        phase = phase_of(self.plan, name)
        mechanism = mechanisms(self.plan).mechanism(phase, length_of(self.plan, phase, self.binning))
        weights = no_weights() if name == BIN else weights_of(self.plan, self.binning)
        return self.rounds.ask(phase, round, mechanism, weights, parts or {})

    def sums(self) -> list[dict[str, SumRequest]]:
        """The requests for sums that went out, by send."""
        return [
            {party: message for party, message in read.items() if isinstance(message, SumRequest)}
            for sent in self.exchange.log
            if (read := {party: decode(raw, *KINDS) for party, raw in sent.items()})
            and any(isinstance(message, SumRequest) for message in read.values())
        ]


def is_sum(request: bytes) -> bool:
    return isinstance(decode(request, *KINDS), SumRequest)


def failing(party: str, reply: Delivered | Callable[[bytes, bytes], Delivered], times: int = 10**6) -> Spoil:
    """One party's answers to requests for sums are replaced, the first `times` of them."""
    left = [times]

    def spoil(who: str, request: bytes, answer: bytes) -> Delivered:
        if who != party or not is_sum(request) or left[0] <= 0:
            return answer
        left[0] -= 1
        return reply(request, answer) if callable(reply) else reply

    return spoil


def reheaded(**changes: Any) -> Callable[[bytes, bytes], bytes]:
    def change(request: bytes, answer: bytes) -> bytes:
        message = decode(answer, SumAnswer)
        return encode(dataclasses.replace(message, header=dataclasses.replace(message.header, **changes)))

    return change


def resized(step: int) -> Callable[[bytes, bytes], bytes]:
    def change(request: bytes, answer: bytes) -> bytes:
        message = decode(answer, SumAnswer)
        body = message.contribution[:step] if step < 0 else message.contribution + bytes(step)
        return encode(dataclasses.replace(message, contribution=body))

    return change


class TestASum:
    def test_is_the_sum_of_what_the_parties_hold(self):
        bench = Bench()
        found = bench.ask()
        features = PLAN.groups["lender"].table.scored
        expected = sum(
            histogram(r.training_part().columns, features, PLAN.model.grid_cells) for r in bench.records.values()
        )
        assert np.array_equal(found.values, expected)
        assert found.cohort == LENDERS
        assert (found.attempts, found.failures) == (1, {})

    def test_all_parties_are_told_the_same_cohort_and_weights(self):
        bench = Bench()
        bench.ask(TRAIN, parts=bench.publish())
        (asked,) = bench.sums()
        assert set(asked) == set(LENDERS)
        assert {message.cohort for message in asked.values()} == {LENDERS}
        assert len({message.parameters.tobytes() for message in asked.values()}) == 1
        for party, message in asked.items():
            assert (message.header.recipient, message.header.attempt) == (party, 1)


RUBBISH = {
    "gone": (Failure("lender-2", "unavailable"), "unavailable"),
    "late": (Failure("lender-2", "timeout"), "timeout"),
    "nothing": (b"", "malformed"),
    "noise": (b"\xc1" * 300, "malformed"),
    "a greeting": (lambda request, answer: encode(Ready(decode(answer, SumAnswer).header)), "invalid reply"),
    "a part": (lambda request, answer: encode(Stored(decode(answer, SumAnswer).header, "0" * 64)), "invalid reply"),
    "its request back": (lambda request, answer: request, "malformed"),
    "too short": (resized(-1), "invalid reply"),
    "far too short": (resized(-50), "invalid reply"),
    "too long": (resized(1), "invalid reply"),
    "as another party": (reheaded(sender="lender-3"), "invalid reply"),
    "of another round": (reheaded(round=2), "invalid reply"),
    "of another attempt": (reheaded(attempt=2), "invalid reply"),
    "of another run": (reheaded(run="run-2"), "invalid reply"),
    "of another plan": (reheaded(plan="0" * 64), "invalid reply"),
    "of another phase": (reheaded(phase=TRAIN), "invalid reply"),
    "a refusal": (
        lambda request, answer: encode(Refusal(decode(answer, SumAnswer).header, "budget-spent")),
        "refused: budget-spent",
    ),
}


@pytest.mark.parametrize(("reply", "reason"), RUBBISH.values(), ids=RUBBISH)
def test_whoever_answers_no_contribution_is_left_out_of_a_new_attempt(reply: Any, reason: str):
    bench = Bench(spoil=failing("lender-2", reply))
    found = bench.ask()
    assert found.cohort == ("lender-1", "lender-3")
    assert (found.attempts, found.failures) == (2, {"lender-2": reason})
    first, second = bench.sums()
    assert set(first) == set(LENDERS)
    assert set(second) == {"lender-1", "lender-3"}
    assert {m.cohort for m in second.values()} == {("lender-1", "lender-3")}
    assert {m.header.attempt for m in second.values()} == {2}
    # The others answered twice and have charged twice; the coordinator counts no less than they do.
    assert bench.rounds.answered(phase_of(bench.plan, BIN)) == Counter({"lender-1": 2, "lender-2": 1, "lender-3": 2})
    for party in ("lender-1", "lender-3"):
        assert len(bench.charges[party]) == 2


def test_a_reason_is_short_and_comes_from_no_party_at_length():
    text = "x" * 10_000
    bench = Bench(
        spoil=failing("lender-2", lambda request, answer: encode(Refusal(decode(answer, SumAnswer).header, text)))
    )
    assert len(bench.ask().failures["lender-2"]) < 60


def test_two_at_once_are_too_many():
    def spoil(party: str, request: bytes, answer: bytes) -> Delivered:
        return answer if party == "lender-1" else b"rubbish"

    with pytest.raises(PhaseFailed) as caught:
        Bench(spoil=spoil).ask()
    message = str(caught.value)
    assert "bin:lender" in message
    assert "needs 2" in message
    assert "lender-2 (malformed)" in message
    assert "lender-3 (malformed)" in message
    assert "lender-1" not in message


class TestComingBack:
    def test_a_party_that_failed_once_is_in_the_next_round_again(self):
        bench = Bench(spoil=failing("lender-2", Failure("lender-2", "timeout"), times=1))
        parts = bench.publish()
        first, second = (bench.ask(TRAIN, round, parts) for round in (1, 2))
        assert (first.cohort, first.attempts) == (("lender-1", "lender-3"), 2)
        assert (second.cohort, second.attempts) == (LENDERS, 1)

    def test_one_that_is_needed_is_asked_again_in_the_same_round(self):
        """Three parties, all of them needed: a short fault costs an attempt and not the phase."""
        groups = PLAN.model_dump(mode="json")["groups"]
        groups["lender"] |= {"min_parties": 3, "max_colluding": 1}
        plan = PLAN.replace(groups=groups)
        bench = Bench(plan, failing("lender-2", Failure("lender-2", "timeout"), times=1))
        found = bench.ask()
        assert (found.cohort, found.attempts, found.failures) == (LENDERS, 2, {"lender-2": "timeout"})

    def test_a_party_that_is_away_costs_one_attempt_and_then_none(self):
        """It is greeted before each round, which is free, and asked for a sum only when it greets back."""
        bench = Bench()
        parts = bench.publish()
        assert bench.ask(TRAIN, 1, parts).attempts == 1
        bench.exchange.away.add("lender-2")
        assert bench.ask(TRAIN, 2, parts).attempts == 2
        for round in range(3, 8):
            found = bench.ask(TRAIN, round, parts)
            assert (found.cohort, found.attempts) == (("lender-1", "lender-3"), 1), f"round {round}"
        bench.exchange.away.clear()
        assert bench.ask(TRAIN, 8, parts).cohort == LENDERS
        assert bench.ask(TRAIN, 9, parts).attempts == 1

    def test_a_party_that_greets_and_never_answers_is_given_up(self):
        bench = Bench(spoil=failing("lender-2", Failure("lender-2", "timeout")))
        parts = bench.publish()
        attempts = [bench.ask(TRAIN, round, parts).attempts for round in range(1, 11)]
        assert attempts[0] == 2
        assert attempts[-3:] == [1, 1, 1]
        assert sum(attempts) <= 13
        asked = sum("lender-2" in sent for sent in bench.sums())
        assert asked == sum(attempts) - 10

    def test_a_party_that_missed_a_part_gets_it_when_it_is_back(self):
        bench = Bench(away={"lender-2"})
        parts = bench.publish()
        assert bench.ask(TRAIN, 1, parts).cohort == ("lender-1", "lender-3")
        bench.exchange.away.clear()
        cohorts = [bench.ask(TRAIN, round, parts).cohort for round in (2, 3, 4)]
        assert cohorts[-1] == LENDERS


class TestAbsence:
    """A party without which a phase cannot go on, and that is started again meanwhile."""

    @pytest.fixture
    def bench(self, monkeypatch: pytest.MonkeyPatch) -> Bench:
        bench, now = Bench(away={"lender-1", "lender-2"}), [0.0]
        bench.asker = PartyClient(PLAN, "run-1", ClearMessenger(bench.exchange), None, 60.0)
        bench.rounds = Rounds(PLAN, "run-1", bench.asker, AskedSums(bench.asker, PlainSum()), Quiet())
        bench.back = 30.0  # type: ignore[attr-defined]

        def sleep(seconds: float) -> None:
            now[0] += seconds
            if now[0] >= bench.back:  # type: ignore[attr-defined]
                bench.exchange.away.discard("lender-2")

        monkeypatch.setattr("sealscore.server.transport.exchange.time.sleep", sleep)
        monkeypatch.setattr("sealscore.server.transport.exchange.time.monotonic", lambda: now[0])
        return bench

    def test_is_borne_for_the_time_that_was_said(self, bench: Bench):
        found = bench.ask()
        assert (found.cohort, found.attempts) == (("lender-2", "lender-3"), 2)
        # It was waited for with greetings, which are free: nobody was asked for a sum in vain but once.
        assert [set(asked) for asked in bench.sums()] == [set(LENDERS), {"lender-2", "lender-3"}]

    def test_and_for_no_longer(self, bench: Bench):
        bench.back = 61.0  # type: ignore[attr-defined]
        with pytest.raises(PhaseFailed, match="1 parties are left and the plan needs 2"):
            bench.ask()


class TestTheEnd:
    def test_attempts_are_those_of_the_budget(self):
        """A party that fails every other time uses the spare attempts up; then the phase says so."""
        plan = small_plan(privacy__noise="none", training__rounds=4, privacy__spare_attempts=0.5)
        turn = [0]

        def spoil(party: str, request: bytes, answer: bytes) -> Delivered:
            if party != "lender-2" or not is_sum(request):
                return answer
            turn[0] += 1
            return answer if turn[0] % 2 == 0 else Failure(party, "timeout")

        groups = plan.model_dump(mode="json")["groups"]
        groups["lender"] |= {"min_parties": 3, "max_colluding": 1}
        bench = Bench(plan.replace(groups=groups), spoil)
        parts = bench.publish()
        for round in (1, 2, 3):
            assert bench.ask(TRAIN, round, parts).attempts == 2
        with pytest.raises(AttemptsSpent, match=r"train_tower:lender: all 6 attempts are spent in round 4"):
            bench.ask(TRAIN, 4, parts)
        assert max(bench.rounds.answered(phase_of(bench.plan, TRAIN)).values()) == 6
        assert max(len(charged) for charged in bench.charges.values()) == 6

    def test_a_phase_of_one_round_that_never_works(self):
        groups = PLAN.model_dump(mode="json")["groups"]
        groups["lender"] |= {"min_parties": 3, "max_colluding": 1}
        bench = Bench(PLAN.replace(groups=groups), failing("lender-3", Failure("lender-3", "timeout")))
        with pytest.raises(AttemptsSpent, match=r"bin:lender: all 2 attempts are spent in round 1") as caught:
            bench.ask()
        assert "lender-3 (timeout)" in str(caught.value)
        assert "lender-1" not in str(caught.value)

    def test_one_that_went_away_where_all_are_needed(self):
        groups = PLAN.model_dump(mode="json")["groups"]
        groups["lender"] |= {"min_parties": 3, "max_colluding": 1}
        bench = Bench(PLAN.replace(groups=groups), away={"lender-3"})
        with pytest.raises(
            PhaseFailed, match=r"2 parties are left and the plan needs 3; lost: lender-3 \(unavailable\)"
        ):
            bench.ask()


class TestForGood:
    """A run that can go on when somebody comes back is told from one that never can."""

    @pytest.mark.parametrize(
        ("reason", "answered", "final"),
        [
            ("expired", False, True),
            ("plan-has-run", False, True),
            ("attempts-spent", False, True),
            ("not-approved", True, True),
            ("not-approved", False, False),
            ("budget", True, False),
            ("unavailable", True, False),
        ],
    )
    def test_by_what_a_party_says_and_whether_it_answered_before(self, reason: str, answered: bool, final: bool):
        groups = PLAN.model_dump(mode="json")["groups"]
        groups["lender"] |= {"min_parties": 3, "max_colluding": 1}

        def spoil(party: str, request: bytes, answer: bytes) -> Delivered:
            message = decode(request, *KINDS)
            if party != "lender-3" or not (isinstance(message, SumRequest) and message.header.phase == TRAIN):
                return answer
            return encode(Refusal(message.header.reply(), reason))

        bench = Bench(PLAN.replace(groups=groups), spoil)
        parts = bench.publish()
        if answered:
            bench.ask()
        # The party has failed three times in a row: it is not asked again, so this is not the attempts' end.
        bench.rounds._strikes["lender-3"] = STRIKES - 1
        with pytest.raises(PhaseFailed, match="lender-3") as caught:
            bench.ask(TRAIN, 1, parts)
        assert not isinstance(caught.value, AttemptsSpent)
        assert caught.value.final is final

    def test_attempts_that_are_spent_are_never_given_again(self):
        assert AttemptsSpent("x").final


class TestPublishing:
    def test_every_party_keeps_the_same_bytes(self):
        bench = Bench()
        parts = bench.publish()
        assert bench.ask(TRAIN, 1, parts).cohort == LENDERS

    def test_nobody_there(self):
        with pytest.raises(PhaseFailed, match=r"bin:lender: .*'bins'.*lender-1 \(unavailable\)"):
            Bench(away=set(LENDERS)).publish()

    def test_a_party_that_says_it_kept_something_else_ends_nothing(self):
        def spoil(party: str, request: bytes, answer: bytes) -> Delivered:
            if party == "lender-2" and isinstance(decode(request, *KINDS), Publish):
                return encode(Stored(decode(answer, Stored).header, "0" * 64))
            return answer

        bench = Bench(spoil=spoil)
        parts = bench.publish()
        assert parts == {"bins": digest(bench.binning.to_bytes())}
        assert {"lender-1", "lender-3"} <= set(bench.ask(TRAIN, 1, parts).cohort)
