"""The server as a carrier: it brings payloads from one party to the other as they are, counts them, and opens none."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from doubles import DirectExchange
from vertical_builders import LENDERS, REQUESTS, VIDEOS, Wire, vertical_plan

from sealscore.server.transport.exchange import ClearMessenger, Failure, PartyClient, PhaseFailed
from sealscore.server.transport.pairs import TRIES, PairExchange
from sealscore.shared.messages.codec import decode, encode
from sealscore.shared.messages.messages import PairAnswer, PairRequest, Refusal
from sealscore.shared.phases.kind import Kind
from sealscore.shared.phases.order import Phase

PLAN = vertical_plan()
ALIGN, LABELS, SIGNAL = (Phase(kind, "video", "video") for kind in (Kind.ALIGN, Kind.LABELS, Kind.SIGNAL))
ORDERS = {"align": ("lender", "platform", "lender", "platform"), "labels": ("lender", "platform")}
ALL_PAIRS = [(lender, video) for lender in LENDERS for video in VIDEOS]


class Echo:
    """A party that answers every step with words of its own, and keeps what it was asked."""

    def __init__(self, name: str, asked: list[tuple[str, PairRequest]]) -> None:
        self._name, self._asked = name, asked

    def answer(self, request: bytes) -> bytes:
        message = decode(request, *REQUESTS)
        assert isinstance(message, PairRequest)
        self._asked.append((self._name, message))
        header = message.header
        reply = type(header)(
            header.plan, header.run, header.phase, header.round, header.attempt, self._name, header.sender
        )
        body = f"{header.phase} {header.round}: {self._name} to {message.peer}".encode()
        return encode(PairAnswer(reply, body))


def carrying(
    spoil: Callable[[str, bytes, bytes], Any] | None = None,
) -> tuple[PairExchange, list[tuple[str, PairRequest]]]:
    asked: list[tuple[str, PairRequest]] = []
    parties = {party.name: Echo(party.name, asked) for party in PLAN.parties}
    return PairExchange(PLAN, PartyClient(PLAN, "run-1", ClearMessenger(DirectExchange(parties, spoil)), None)), asked


class TestCarrying:
    def test_every_pair_and_every_step_in_order(self):
        pairs, asked = carrying()
        pairs.carry(ALIGN, ORDERS["align"], {})
        steps = [(name, message.peer, message.header.round) for name, message in asked]
        assert steps == [
            (party, peer, step)
            for lender, video in ALL_PAIRS
            for step, (party, peer) in enumerate([(lender, video), (video, lender)] * 2, start=1)
        ]

    def test_a_payload_arrives_as_it_was_given(self):
        pairs, asked = carrying()
        pairs.carry(ALIGN, ORDERS["align"], {})
        for (name, given), (_, taken) in itertools.pairwise(asked):
            if taken.header.round == 1:
                assert taken.body == b""
            else:
                assert taken.body == f"align:video {given.header.round}: {name} to {given.peer}".encode()

    def test_only_platforms_of_the_phases_group_are_asked_and_only_they_get_its_parts(self):
        pairs, asked = carrying()
        pairs.carry(SIGNAL, ("platform", "lender"), {"tower": "0" * 64})
        assert {name for name, _ in asked} == {*LENDERS, *VIDEOS}
        assert all(bool(message.parts) == (name in VIDEOS) for name, message in asked)

    def test_bytes_that_crossed_are_counted_by_sender_and_recipient(self):
        pairs, asked = carrying()
        pairs.carry(LABELS, ORDERS["labels"], {})
        assert set(pairs.crossed) == {pair for one, other in ALL_PAIRS for pair in ((one, other), (other, one))}
        assert pairs.crossed["lender-1", "video-2"] == len(b"release_labels:video 1: lender-1 to video-2")
        assert sum(pairs.crossed.values()) == sum(
            len(f"release_labels:video {m.header.round}: {name} to {m.peer}") for name, m in asked
        )


class TestFailures:
    def test_a_step_is_asked_again_with_the_same_bytes(self):
        lost = ["video-1", "video-1"]

        def spoil(party: str, request: bytes, answer: bytes) -> Any:
            if party in lost:
                lost.remove(party)
                return Failure(party, "unavailable")
            return answer

        pairs, asked = carrying(spoil)
        pairs.carry(LABELS, ORDERS["labels"], {})
        first = [encode(message) for name, message in asked if (name, message.peer) == ("video-1", "lender-1")]
        assert len(first) == 3
        assert len(set(first)) == 1

    @pytest.mark.parametrize(
        ("spoilt", "code"),
        [
            (lambda party, answer: Failure(party, "timeout"), "timeout"),
            (lambda party, answer: b"rubbish", "malformed"),
            (lambda party, answer: answer[:-1], "malformed"),
            (
                lambda party, answer: encode(Refusal(decode(answer, PairAnswer).header, "x" * 99)),
                "refused: " + "x" * 40,
            ),
        ],
    )
    def test_after_some_tries_the_phase_ends_and_names_who_and_for_whom(self, spoilt, code: str):
        def spoil(party: str, request: bytes, answer: bytes) -> Any:
            return spoilt(party, answer) if party == "video-2" else answer

        pairs, asked = carrying(spoil)
        with pytest.raises(PhaseFailed) as caught:
            pairs.carry(LABELS, ORDERS["labels"], {})
        assert str(caught.value) == f"release_labels:video: video-2 gave nothing for lender-1 at step 2: {code}"
        assert len([1 for name, _ in asked if name == "video-2"]) == TRIES

    @pytest.mark.parametrize(
        ("code", "final"), [("not-approved", True), ("attempts-spent", True), ("not-aligned", False)]
    )
    def test_a_party_that_gave_something_before_and_has_revoked_gives_nothing_more(self, code: str, final: bool):
        def spoil(party: str, request: bytes, answer: bytes) -> Any:
            message = decode(request, PairRequest)
            if party == "video-1" and message.header.phase == LABELS.name:
                return encode(Refusal(message.header.reply(), code))
            return answer

        pairs, _ = carrying(spoil)
        pairs.carry(ALIGN, ORDERS["align"], {})
        with pytest.raises(PhaseFailed) as caught:
            pairs.carry(LABELS, ORDERS["labels"], {})
        assert caught.value.final is final

    @pytest.mark.parametrize(("absence", "away"), [(30.0, 3), (0.0, 2)], ids=["waits", "at once"])
    def test_a_party_that_is_away_is_waited_for_as_long_as_was_said(
        self, absence: float, away: int, monkeypatch: pytest.MonkeyPatch
    ):
        now = [0.0]
        monkeypatch.setattr(
            "sealscore.server.transport.exchange.time.sleep", lambda seconds: now.__setitem__(0, now[0] + seconds)
        )
        monkeypatch.setattr("sealscore.server.transport.exchange.time.monotonic", lambda: now[0])
        left = [away * TRIES]

        def spoil(party: str, request: bytes, answer: bytes) -> Any:
            if party != "video-1" or not left[0]:
                return answer
            left[0] -= 1
            return Failure(party, "unavailable")

        asked: list[tuple[str, PairRequest]] = []
        parties = {party.name: Echo(party.name, asked) for party in PLAN.parties}
        pairs = PairExchange(
            PLAN, PartyClient(PLAN, "run-1", ClearMessenger(DirectExchange(parties, spoil)), None, absence)
        )
        if absence:
            pairs.carry(LABELS, ORDERS["labels"], {})
            assert now[0] == pytest.approx(away * TRIES - TRIES + 1)
        else:
            with pytest.raises(PhaseFailed, match="video-1 gave nothing for lender-1 at step 2: unavailable"):
                pairs.carry(LABELS, ORDERS["labels"], {})
            assert now[0] == 0.0

    def test_an_answer_to_another_request_is_rubbish(self):
        """A party cannot pass the answer of one step off as that of another."""
        kept: list[bytes] = []

        def spoil(party: str, request: bytes, answer: bytes) -> bytes:
            kept.append(answer)
            return kept[0]

        pairs, _ = carrying(spoil)
        with pytest.raises(PhaseFailed, match="video-1 gave nothing for lender-1 at step 2: invalid reply"):
            pairs.carry(LABELS, ORDERS["labels"], {})


class TestWithNodes:
    def test_an_answer_that_was_lost_on_its_way_is_given_again_uncharged(self):
        wire = Wire(PLAN)
        wire.align("lender-1", "video-1")
        dropped: list[str] = []

        def spoil(party: str, request: bytes, answer: bytes) -> Any:
            if party == "lender-1" and not dropped:
                dropped.append(party)
                return Failure(party, "timeout")
            return answer

        pair = {name: wire.nodes[name] for name in ("lender-1", "video-1")}
        asker = PartyClient(PLAN, wire.run, ClearMessenger(DirectExchange(pair, spoil)), None)
        pairs = PairExchange(PLAN, asker)
        body = pairs._step(LABELS, PairRequest(asker.header(LABELS, 1, 1, "lender-1"), "video-1", b"", {}))
        assert dropped
        assert body == wire.labels("lender-1", "video-1")
        assert len(wire.charged) == 1

    @pytest.mark.parametrize(
        ("method", "asked", "answered"),
        [("exact", 32 + 16 * 512 + 16 * 512, 512 // 8), ("private", 32 + 33 * 512 + 20 * 512, 33 * (512 + 512))],
    )
    def test_the_whole_carriage_aligns_every_pair(self, method: str, asked: int, answered: int):
        wire = Wire(vertical_plan(alignment__method=method))
        pairs = PairExchange(
            wire.plan, PartyClient(wire.plan, wire.run, ClearMessenger(DirectExchange(wire.nodes)), None)
        )
        pairs.carry(ALIGN, ORDERS["align"], {})
        for lender, video in ALL_PAIRS:
            assert wire.aligned(lender, video) == wire.aligned(video, lender)
            # Sizes follow from the plan: nobody learns from them how many persons are shared.
            assert pairs.crossed[lender, video] == asked
            assert pairs.crossed[video, lender] == answered
