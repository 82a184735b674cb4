"""The node's door: what it refuses and by which code, that it pays before it reads, and that answers tell nothing."""

from __future__ import annotations

import itertools
from typing import Any

import msgpack
import pytest
from builders import (
    BIN,
    CALIBRATE,
    EVALUATE,
    LENDERS,
    RUN,
    TRAIN,
    phase_of,
    small_plan,
    weights_of,
)
from doubles import Talk
from hypothesis import given, settings
from hypothesis import strategies as st

from sealscore.clients.node.node import MAX_PART, MAX_PARTS
from sealscore.clients.roles.errors import Refused
from sealscore.shared.dp.events import Event
from sealscore.shared.messages.codec import Address, decode, digest, encode
from sealscore.shared.messages.messages import PairRequest, Ready, Refusal, Stored, SumAnswer
from sealscore.shared.phases.order import phases
from sealscore.shared.plan.plan import Plan

QUIET = small_plan(privacy__noise="none")
ANSWERS = (Ready, Stored, SumAnswer, Refusal)


def ready(plan: Plan | None = None, **more: Any) -> Talk:
    """An talk whose node has the bins; from here on every look at a column is noted."""
    talk = Talk(plan or small_plan(), **more)
    assert isinstance(talk.publish(), Stored)
    talk.watch()
    return talk


def expect_free(talk: Talk, code: str, expected: str) -> None:
    assert code == expected
    assert talk.charged == []
    assert talk.looks == []


class TestRefusals:
    """Each is refused by a code of its own, before anything is charged or read."""

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            ({"plan": "0" * 64}, "other-plan"),
            ({"plan": ""}, "other-plan"),
            ({"recipient": "lender-2"}, "misaddressed"),
            ({"recipient": "stranger"}, "misaddressed"),
            ({"sender": "lender-2"}, "misaddressed"),
            ({"round": 0}, "no-such-round"),
            ({"round": -1}, "no-such-round"),
            ({"round": 5}, "no-such-round"),
        ],
    )
    def test_headers(self, change: dict[str, Any], code: str):
        talk = ready()
        expect_free(talk, talk.code(TRAIN, **change), code)

    @pytest.mark.parametrize("phase", ["gossip:lender", "train_tower", "train_tower:platform", ""])
    def test_phases_that_the_plan_does_not_have(self, phase: str):
        talk = ready()
        expect_free(talk, talk.code(phase), "unknown-phase")

    def test_a_greeting_is_checked_too(self):
        talk = ready()
        assert isinstance(talk.hello(), Ready)
        assert talk.hello(plan="0" * 64).code == "other-plan"
        assert talk.hello(recipient="lender-2").code == "misaddressed"
        expect_free(talk, talk.hello(recipient="").code, "misaddressed")

    def test_a_second_run(self):
        talk = ready()
        assert isinstance(talk.ask(BIN), SumAnswer)
        assert talk.hello(run="run-2").code == "plan-has-run"
        spent = list(talk.charged)
        talk.looks.clear()
        assert talk.code(TRAIN, run="run-2") == "plan-has-run"
        assert isinstance(talk.ask(TRAIN), SumAnswer)
        assert len(talk.charged) == len(spent) + 1

    @pytest.mark.parametrize(
        ("cohort", "code"),
        [
            ((*LENDERS, "stranger"), "bad-cohort"),
            (("lender-1", "stranger"), "bad-cohort"),
            (("lender-1", "lender-1", "lender-2"), "bad-cohort"),
            (("lender-1", "lender-1"), "bad-cohort"),
            (("lender-2", "lender-3"), "bad-cohort"),
            ((), "bad-cohort"),
            (("lender-1",), "cohort-too-small"),
        ],
    )
    def test_cohorts(self, cohort: tuple[str, ...], code: str):
        talk = ready()
        expect_free(talk, talk.code(BIN, cohort=cohort), code)

    def test_a_cohort_below_what_the_plan_needs_although_it_could_be_summed(self):
        groups = small_plan().model_dump(mode="json")["groups"]
        groups["lender"] |= {"min_parties": 3, "max_colluding": 1}
        talk = ready(small_plan(groups=groups))
        expect_free(talk, talk.code(BIN, cohort=LENDERS[:2]), "cohort-too-small")

    @pytest.mark.parametrize(
        ("phase", "parts", "code"),
        [
            (TRAIN, {}, "wrong-parts"),
            (TRAIN, {"tower": "bins"}, "wrong-parts"),
            (TRAIN, {"bins": "bins", "more": "bins"}, "wrong-parts"),
            (BIN, {"bins": "bins"}, "wrong-parts"),
            (TRAIN, {"bins": "0" * 64}, "part-missing"),
            (EVALUATE, {"bins": ""}, "part-missing"),
        ],
    )
    def test_parts(self, phase: str, parts: dict[str, str], code: str):
        talk = ready()
        named = {name: digest(talk.bins) if key == "bins" else key for name, key in parts.items()}
        expect_free(talk, talk.code(phase, parts=named), code)

    def test_a_part_above_the_limit(self):
        talk = ready()
        expect_free(talk, talk.publish(bytes(MAX_PART + 1)).code, "part-too-large")
        assert isinstance(talk.publish(bytes(1000)), Stored)

    def test_more_parts_than_any_plan_needs(self):
        """What is published costs nothing and is kept, so it is bounded; parts that are there may come again."""
        talk = ready()
        found = [talk.publish(number.to_bytes(2, "big")) for number in range(MAX_PARTS - 1)]
        assert all(isinstance(reply, Stored) for reply in found)
        expect_free(talk, talk.publish(b"one more").code, "too-many-parts")
        assert isinstance(talk.publish(), Stored)

    def test_a_payload_where_there_is_no_platform(self):
        talk = ready()
        for phase, peer in ((BIN, "lender-2"), (TRAIN, "lender-1"), (BIN, "stranger")):
            request = encode(PairRequest(talk.header(phase), peer, b"", {}))
            expect_free(talk, talk.send(request).code, "no-such-pair")
        request = encode(PairRequest(talk.header("align:app"), "app-1", b"", {}))
        expect_free(talk, talk.send(request).code, "unknown-phase")

    @pytest.mark.parametrize("body", [b"", b"bins", b"\xc1", bytes(1000)])
    def test_a_part_that_is_no_bins(self, body: bytes):
        talk = ready()
        assert talk.publish(body).digest == digest(body)
        expect_free(talk, talk.code(TRAIN, parts={"bins": digest(body)}), "bad-part")

    def test_bytes_that_are_no_message(self):
        talk = ready()
        request = talk.request(TRAIN)
        for spoilt in (b"", b"\xc1", request[:-1], request + b"\0", request.replace(b"cohort", b"kohort"), bytes(100)):
            expect_free(talk, talk.send(spoilt).code, "malformed")

    def test_a_message_that_only_parties_send(self):
        talk = ready()
        reply = encode(Ready(talk.header(BIN)))
        expect_free(talk, talk.send(reply).code, "malformed")

    @pytest.mark.parametrize(
        "array",
        [
            {"data": b"123", "dtype": "<f8", "shape": [0]},
            {"data": b"", "dtype": ["<f8"], "shape": [0]},
            {"data": b"", "dtype": "<f8", "shape": [0, 2**63]},
            {"data": b"", "dtype": "<f8", "shape": [2**40, 2**40]},
            {"data": bytes(8), "dtype": "<f8", "shape": [-1]},
            {"data": bytes(8), "dtype": "<f4", "shape": [2]},
            {"data": bytes(8), "dtype": "|O", "shape": [1]},
        ],
    )
    def test_arrays_that_are_none(self, array: dict[str, Any]):
        talk = ready()
        name, fields = msgpack.unpackb(talk.request(TRAIN))
        reply = talk.send(msgpack.packb([name, fields | {"parameters": array}], use_bin_type=True))
        expect_free(talk, reply.code, "malformed")

    @settings(max_examples=60)
    @given(data=st.binary(max_size=80), place=st.integers(0, 10_000), insert=st.booleans())
    def test_spoilt_requests_are_refused_and_free(self, data: bytes, place: int, insert: bool):
        talk = _shared()
        request = talk.request(TRAIN)
        place %= len(request)
        spoilt = request[:place] + data + request[place if insert else place + len(data) :]
        if spoilt == request:
            return
        reply = decode(talk.node.answer(spoilt), *ANSWERS)
        # Another cohort or other weights may be as good a request as the one that was spoilt; all else is refused.
        assert isinstance(reply, Refusal | SumAnswer)
        if isinstance(reply, Refusal):
            assert reply.code != "unavailable"
            assert reply.header.sender == "lender-1"


_kept: list[Talk] = []


def _shared() -> Talk:
    if not _kept:
        _kept.append(ready(QUIET))
    return _kept[0]


class TestOrder:
    def test_every_phase_in_turn(self):
        talk = ready(QUIET)
        for phase, round in [(BIN, 1), (TRAIN, 1), (TRAIN, 2), (TRAIN, 3), (TRAIN, 4), (CALIBRATE, 1), (EVALUATE, 1)]:
            assert isinstance(talk.ask(phase, round), SumAnswer)
        assert len(talk.charged) == 7

    @pytest.mark.parametrize(
        ("answered", "then"),
        [
            ((TRAIN, 2, 1), (TRAIN, 1, 1)),
            ((TRAIN, 2, 1), (TRAIN, 1, 9)),
            ((TRAIN, 2, 2), (TRAIN, 2, 1)),
            ((TRAIN, 1, 1), (BIN, 1, 1)),
            ((CALIBRATE, 1, 1), (TRAIN, 4, 1)),
            ((EVALUATE, 1, 1), (CALIBRATE, 1, 2)),
        ],
    )
    def test_nothing_at_or_below_the_last(self, answered: tuple[str, int, int], then: tuple[str, int, int]):
        talk = ready(QUIET)
        assert isinstance(talk.ask(*answered), SumAnswer)
        talk.charged.clear()
        talk.looks.clear()
        expect_free(talk, talk.code(*then), "out-of-order")

    def test_the_same_attempt_with_other_weights_or_another_cohort(self):
        talk = ready(QUIET)
        assert isinstance(talk.ask(TRAIN), SumAnswer)
        talk.charged.clear()
        talk.looks.clear()
        expect_free(talk, talk.code(TRAIN, cohort=LENDERS[:2]), "out-of-order")
        weights = weights_of(talk.plan, talk.binning) + 1
        expect_free(talk, talk.code(TRAIN, parameters=weights), "out-of-order")

    @pytest.mark.parametrize("attempt", [0, -1, -(2**62)])
    def test_attempts_count_from_one(self, attempt: int):
        talk = ready(QUIET)
        reply = talk.ask(BIN, 1, attempt)
        assert isinstance(reply, Refusal)
        assert talk.charged == []
        assert talk.looks == []

    def test_the_attempts_of_the_budget_and_not_one_more(self):
        talk = ready(QUIET)
        budget = phase_of(talk.plan, TRAIN).attempts
        assert budget == 6
        for attempt in range(1, budget + 1):
            assert isinstance(talk.ask(TRAIN, 1, attempt), SumAnswer)
        talk.charged.clear()
        talk.looks.clear()
        expect_free(talk, talk.code(TRAIN, 1, budget + 1), "attempts-spent")
        expect_free(talk, talk.code(TRAIN, 2, 1), "attempts-spent")
        assert isinstance(talk.ask(CALIBRATE), SumAnswer)

    @settings(max_examples=30)
    @given(st.lists(st.tuples(st.sampled_from([BIN, TRAIN, CALIBRATE]), st.integers(1, 4), st.integers(1, 4))))
    def test_whatever_is_asked_answers_rise_and_stay_in_the_budget(self, asked: list[tuple[str, int, int]]):
        talk = ready(QUIET)
        order = [phase.name for phase in phases(QUIET)]
        answered = []
        for place in asked:
            before = len(talk.charged)
            if isinstance(talk.ask(*place), SumAnswer) and len(talk.charged) > before:
                answered.append((order.index(place[0]), *place[1:]))
        assert all(one < other for one, other in itertools.pairwise(answered))
        for index, name in enumerate(order):
            spent = [place for place in answered if place[0] == index]
            assert len(spent) <= phase_of(QUIET, name).attempts


class TestStoredAnswers:
    def test_a_byte_identical_request_gets_the_byte_identical_answer_for_nothing(self):
        talk = ready()
        request = talk.request(TRAIN, 1)
        first = talk.node.answer(request)
        later = [talk.node.answer(talk.request(TRAIN, round)) for round in (2, 3)]
        talk.charged.clear()
        talk.looks.clear()
        assert talk.node.answer(request) == first
        assert later[0] != later[1]
        assert talk.charged == []
        assert talk.looks == []

    def test_a_refusal_is_not_kept(self):
        talk = Talk(QUIET)
        request = talk.request(TRAIN)
        assert talk.send(request).code == "part-missing"
        talk.publish()
        assert isinstance(talk.send(request), SumAnswer)


class TestCharging:
    def test_each_answer_is_charged_once_with_its_event(self):
        talk = ready()
        for phase in (BIN, TRAIN, CALIBRATE, EVALUATE):
            talk.ask(phase)
        assert [header.phase for header, _ in talk.charged] == [BIN, TRAIN, CALIBRATE, EVALUATE]
        assert [event for _, event in talk.charged] == [
            talk.mechanism(phase).event for phase in (BIN, TRAIN, CALIBRATE, EVALUATE)
        ]
        assert all(header.run == RUN and header.recipient == "lender-1" for header, _ in talk.charged)

    @pytest.mark.parametrize("phase", [BIN, TRAIN, CALIBRATE, EVALUATE])
    def test_the_charge_comes_before_data_is_read(self, phase: str):
        talk = ready()
        seen: list[int] = []
        talk.charge = lambda header, event: seen.append(len(talk.looks))
        assert isinstance(talk.ask(phase), SumAnswer)
        assert seen == [0]
        assert talk.looks != []

    @pytest.mark.parametrize("phase", [BIN, TRAIN, CALIBRATE, EVALUATE])
    def test_a_charge_that_is_refused_stops_everything(self, phase: str):
        talk = ready()

        def refuse(header: Address, event: Event) -> None:
            raise Refused("budget-spent")

        talk.charge = refuse
        expect_free(talk, talk.code(phase), "budget-spent")
        # Nothing was answered, so the same request is as good as new once there is a budget.
        talk.charge = None
        assert isinstance(talk.ask(phase), SumAnswer)

    def test_a_charge_that_fails_stops_everything_and_tells_nothing(self):
        talk = ready()

        def fail(header: Address, event: Event) -> None:
            raise OSError("disk of lender-1 is full")

        talk.charge = fail
        raw = talk.node.answer(talk.request(TRAIN))
        assert decode(raw, Refusal).code == "unavailable"
        assert b"disk" not in raw
        assert talk.looks == []


class TestFaultsInside:
    def failing(self, monkeypatch: pytest.MonkeyPatch) -> Talk:
        def fail(*args: Any) -> Any:
            raise ValueError("sector of applicant 4711")

        talk = Talk(QUIET)
        talk.publish()
        monkeypatch.setattr(talk.node.role, "_part", fail)
        return talk

    def test_an_exception_is_answered_without_its_text(self, monkeypatch: pytest.MonkeyPatch):
        talk = self.failing(monkeypatch)
        for phase in (BIN, TRAIN, CALIBRATE, EVALUATE):
            assert not talk.vector(phase).any()
        assert len(talk.charged) == 4
        # The party's own operator learns where it happened, and no value either.
        said = [f"lender-1 failed in {phase}, " for phase in (BIN, TRAIN, CALIBRATE, EVALUATE)]
        assert all(text.startswith(start) for text, start in zip(talk.told, said, strict=True))
        assert all("ValueError" in text and "4711" not in text for text in talk.told)

    def test_an_attempt_that_failed_inside_is_spent(self, monkeypatch: pytest.MonkeyPatch):
        talk = self.failing(monkeypatch)
        request = talk.request(TRAIN)
        assert talk.node.answer(request) == talk.node.answer(request)
        assert len(talk.charged) == 1
        assert isinstance(talk.ask(TRAIN, 1, 2), SumAnswer)
        assert len(talk.charged) == 2

    def test_the_node_lives_on(self):
        talk = ready(QUIET)
        for body in (b"", b"\xff" * 50, talk.request(TRAIN, plan="")):
            talk.node.answer(body)
        assert isinstance(talk.ask(TRAIN), SumAnswer)

    def test_interrupts_are_not_swallowed(self):
        talk = ready(QUIET)

        def interrupt(header: Address, event: Event) -> None:
            raise KeyboardInterrupt

        talk.charge = interrupt
        with pytest.raises(KeyboardInterrupt):
            talk.node.answer(talk.request(TRAIN))
