"""Somebody on the wire: reads what is carried, and forges, swaps, replays, reorders and cuts it."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from builders import BIN, LENDERS, RUN, TRAIN, binning_of, small_federation, small_plan, small_records, weights_of
from defences import Defences, Scene, free, wide
from doubles import Quiet
from vertical import PARTIES, relabelled, vertical_plan, vertical_records

from sealscore.clients.node.node import Node
from sealscore.clients.node.sealed import SealedNode
from sealscore.server.run.coordinator import Coordinator
from sealscore.server.transport.exchange import Failure
from sealscore.shared.crypto.aggregation import PlainSum
from sealscore.shared.crypto.sealing import (
    PlanKeys,
    claimed_address,
    is_signed,
    open_signed,
    peer_key,
    seal_message,
    sign_message,
)
from sealscore.shared.identity.identity import Identity
from sealscore.shared.ledger.chain import Head
from sealscore.shared.messages.codec import decode, encode, encode_body
from sealscore.shared.messages.messages import (
    Answered,
    Asked,
    Join,
    Joined,
    Refusal,
    Reply,
    Request,
    SumAnswer,
    SumRequest,
)
from sealscore.shared.persons.records import Records
from sealscore.shared.plan.plan import SERVER

PIECE = 20
CONTENT = (bytes, np.ndarray)


def ran(defences: Defences, records: dict[str, Records] | None = None) -> tuple[Scene, list[bytes]]:
    """A whole vertical run, and all that nodes were asked and answered, in clear: parts, weights, sums, payloads."""
    plan = vertical_plan(training__rounds=2)
    scene = defences.scene(plan, records or vertical_records(plan))
    bodies: list[bytes] = []

    def listen(node: Node) -> None:
        inside = node._respond

        def respond(request: Request, key: str) -> Reply:
            reply = inside(request, key)
            for message in (request, reply):
                values = [getattr(message, field.name) for field in dataclasses.fields(message)]
                bodies.extend(v if isinstance(v, bytes) else v.tobytes() for v in values if isinstance(v, CONTENT))
            return reply

        node._respond = respond  # type: ignore[method-assign]

    for node in scene.nodes.values():
        listen(node)
    Coordinator(scene.plan, RUN, scene.server, PlainSum(), Quiet(), patience=1.0).run()
    return scene, bodies


def captured(scene: Scene) -> list[bytes]:
    """Everything that went over the wire, either way."""
    return [raw for sent in scene.wire.log for raw in sent.values()] + scene.answers


def pieces_seen(defences: Defences) -> float:
    """Share of the pieces of all messages' bodies that a reader of the wire finds in what it captured."""
    scene, bodies = ran(defences)
    windows = set()
    for raw in captured(scene):
        windows.update(raw[at : at + PIECE] for at in range(len(raw) - PIECE + 1))
    pieces = [
        body[at : at + PIECE]
        for body in bodies
        for at in range(0, len(body) - PIECE + 1, 7 * PIECE)
        if len(set(body[at : at + PIECE])) > 4
    ]
    assert len(pieces) > 200
    return sum(piece in windows for piece in pieces) / len(pieces)


def test_a_reader_sees_ciphertext_only(defences: Defences):
    assert pieces_seen(defences) == 0.0
    with defences.without("seals", "masks") as weak:
        assert pieces_seen(weak) == 1.0


def test_no_id_and_no_name_of_a_feature_is_on_the_wire(defences: Defences):
    scene, _ = ran(defences)
    all_of_it = b"".join(captured(scene))
    for word in (b"income", b"views", b"cohort", b"parameters", b"contribution"):
        assert word not in all_of_it
    with defences.without("seals", "masks") as weak:
        all_of_it = b"".join(captured(ran(weak)[0]))
        assert b"income" in all_of_it
        assert b"parameters" in all_of_it


def test_lengths_and_order_do_not_depend_on_data(defences: Defences):
    plan = vertical_plan()
    one = vertical_records(plan)
    other = {
        name: relabelled(part, 1 - part.label) if part.label is not None else part
        for name, part in vertical_records(plan, seed=5).items()
    }
    seen = []
    for records in (one, other):
        scene, _ = ran(defences, records)
        requests = [{party: len(raw) for party, raw in sent.items()} for sent in scene.wire.log]
        seen.append((requests, [len(raw) for raw in scene.answers]))
    assert seen[0] == seen[1]


# Forging.


def stranger_asks(defences: Defences) -> bool:
    """Somebody who is not enrolled asks a party for its part, in the name of the server; the party's key is public."""
    scene = wide(defences)
    request = SumRequest(scene.header(BIN, "lender-1"), LENDERS, np.zeros(0), {})
    if isinstance(scene.doors["lender-1"], SealedNode):
        scene.ask(BIN, LENDERS, parties=["lender-2"])  # all join
        joined = [open_signed(raw, scene.plan.cards, Joined) for raw in scene.answers if is_signed(raw)]
        certificate = next(j.certificate for j in joined if j.header.sender == "lender-1")
        key = peer_key(certificate, scene.plan.cards["lender-1"], scene.plan.hash)
        asked = Asked(request.header, "SumRequest", encode_body(request), (), b"", {})
        raw = seal_message(asked, Identity.generate(SERVER, "server"), key)
    else:
        raw = encode(request)
    scene.doors["lender-1"].answer(raw)
    return bool(scene.charged["lender-1"])


def test_a_request_of_a_stranger(defences: Defences):
    assert not stranger_asks(defences)
    for defence in ("seals", "signatures"):
        with defences.without(defence, *(["masks"] if defence == "seals" else [])) as weak:
            assert stranger_asks(weak)


def forge_an_answer(defences: Defences) -> Any:
    """Put a vector of one's own in place of a party's answer."""
    scene = wide(defences)
    scene.ask(BIN, LENDERS, parties=["lender-2"])
    vector = np.full(scene.bins.length, 7, dtype=np.int64)

    def spoil(party: str, request: bytes, answer: bytes) -> bytes:
        header = scene.header(BIN, SERVER, sender=party)
        forged = SumAnswer(header, scene.bins.shape.pack(vector))
        if isinstance(scene.doors[party], SealedNode):
            key = peer_key(scene.server._keys.certificate, scene.plan.cards[SERVER], scene.plan.hash)
            head = Head(party, bytes(32), 1, bytes(32), bytes(64)).to_bytes()
            answered = Answered(header, "SumAnswer", encode_body(forged), head, {})
            return seal_message(answered, Identity.generate(party, "lender"), key)
        return encode(forged)

    scene.spoil = spoil
    return scene.ask(BIN, LENDERS, parties=["lender-1"])["lender-1"]


def test_an_answer_in_the_name_of_a_party(defences: Defences):
    assert forge_an_answer(defences) == Failure("lender-1", "malformed")
    for names in (("seals", "masks"), ("signatures",)):
        with defences.without(*names) as weak:
            assert isinstance(forge_an_answer(weak), SumAnswer)


# What is genuine, at the wrong time or place.


@pytest.fixture
def trained(defences: Defences) -> tuple[Scene, dict[str, Any]]:
    """A scene that has joined and knows its bins, and how to ask it."""
    return knowing(defences)


def knowing(defences: Defences) -> tuple[Scene, dict[str, Any]]:
    plan = small_plan()
    scene = defences.scene(plan, small_federation())
    binning = binning_of(plan, small_records(seed=1))
    parts = scene.publish(BIN, "bins", binning.to_bytes(), LENDERS)
    return scene, {"parameters": weights_of(plan, binning), "parts": parts}


def refusal(scene: Scene, party: str, raw: bytes) -> str:
    """The code with which a door refuses what is brought to it."""
    before = sum(len(events) for events in scene.charged.values())
    reply = open_signed(scene.doors[party].answer(raw), scene.plan.cards, Refusal)
    assert reply.header.sender == party
    assert sum(len(events) for events in scene.charged.values()) == before
    return reply.code


def caught(scene: Scene, how: dict[str, Any]) -> dict[str, bytes]:
    """The requests of a round as they are on the wire, before anybody has them."""
    scene.away |= set(LENDERS)
    scene.server.ask({p: SumRequest(scene.header(TRAIN, p), LENDERS, **how) for p in LENDERS})
    return scene.wire.log[-1]


def test_requests_of_two_parties_swapped(trained: Any):
    scene, how = trained
    sent = caught(scene, how)
    assert refusal(scene, "lender-1", sent["lender-2"]) == "seal"
    assert refusal(scene, "lender-2", sent["lender-1"]) == "seal"
    assert free(scene)


def test_without_seals_and_addresses_swapped_requests_are_answered(defences: Defences):
    with defences.without("seals", "masks", "addresses") as weak:
        scene, how = knowing(weak)
        sent = caught(scene, how)
        for party, other in (("lender-1", "lender-2"), ("lender-2", "lender-1")):
            assert decode(scene.doors[party].answer(sent[other]), SumAnswer).header.sender == party
            assert len(scene.charged[party]) == 1


def test_without_seals_a_changed_request_is_answered_for_what_it_became(defences: Defences):
    with defences.without("seals", "masks") as weak:
        scene, how = knowing(weak)
        raw = caught(scene, how)["lender-1"]
        weights = how["parameters"].astype("<f8").tobytes()
        changed = raw.replace(weights, np.full(len(how["parameters"]), 0.25).tobytes())
        assert changed != raw
        assert isinstance(decode(scene.doors["lender-1"].answer(changed), SumAnswer), SumAnswer)


def test_a_request_that_comes_twice_costs_nothing_and_tells_nothing_new(trained: Any):
    scene, how = trained
    first = scene.ask(TRAIN, LENDERS, parties=["lender-1"], **how)["lender-1"]
    again = scene.wire.log[-1]["lender-1"]
    scene.doors["lender-1"].answer(again)
    assert len(scene.charged["lender-1"]) == 1
    asked = SumRequest(scene.header(TRAIN, "lender-1"), LENDERS, **how)
    assert scene.send(asked).contribution == first.contribution


def test_requests_out_of_order(trained: Any):
    scene, how = trained
    scene.away |= set(LENDERS)
    for round in (1, 2):
        scene.server.ask({"lender-1": SumRequest(scene.header(TRAIN, "lender-1", round), LENDERS, **how)})
    early, late = (sent["lender-1"] for sent in scene.wire.log[-2:])
    scene.away.clear()
    assert not is_signed(scene.doors["lender-1"].answer(late))
    assert len(scene.charged["lender-1"]) == 1
    scene.doors["lender-1"].answer(early)
    assert len(scene.charged["lender-1"]) == 1


def test_answers_swapped_or_replayed(trained: Any):
    scene, how = trained
    kept: list[bytes] = []
    scene.spoil = lambda party, request, answer: kept.append(answer) or answer  # type: ignore[func-returns-value]
    scene.ask(TRAIN, LENDERS, 1, **how)
    first = dict(zip(LENDERS, kept, strict=True))
    other = {"lender-1": "lender-2", "lender-2": "lender-3", "lender-3": "lender-1"}
    spoils = lambda party, *_: first[party], lambda party, *_: first[other[party]]
    for round, spoil in enumerate(spoils, start=2):
        scene.spoil = spoil
        replies = scene.ask(TRAIN, LENDERS, round, **how)
        assert replies == {party: Failure(party, "malformed") for party in LENDERS}


def test_without_seals_an_answer_of_another_round_passes_for_this_one(defences: Defences):
    with defences.without("seals", "masks") as weak:
        scene, how = knowing(weak)
        kept = scene.ask(TRAIN, LENDERS, 1, parties=["lender-1"], **how)["lender-1"]
        scene.spoil = lambda *_: encode(kept)
        replayed = scene.ask(TRAIN, LENDERS, 2, parties=["lender-1"], **how)["lender-1"]
        assert replayed.contribution == kept.contribution


@pytest.mark.parametrize("direction", ["request", "answer"])
def test_cut_off_or_changed_anywhere(trained: Any, direction: str):
    scene, how = trained
    scene.ask(TRAIN, LENDERS, parties=["lender-1"], **how)
    request, answer = scene.wire.log[-1]["lender-1"], scene.answers[-1]
    whole = request if direction == "request" else answer
    for place in range(0, len(whole), max(1, len(whole) // 60)):
        spoilt = [whole[:place], whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]]
        if place == 0:
            spoilt.append(whole + b"\0")
        for raw in spoilt:
            if direction == "request":
                assert refusal(scene, "lender-1", raw) == "seal"
            else:
                scene.spoil = lambda party, *_, raw=raw: raw
                found = scene.ask(TRAIN, LENDERS, parties=["lender-1"], **how)["lender-1"]
                assert found == Failure("lender-1", "malformed")


def test_a_message_under_another_plan_or_to_an_older_key(trained: Any, defences: Defences):
    scene, how = trained
    scene.ask(TRAIN, LENDERS, parties=["lender-1"], **how)
    raw = scene.wire.log[-1]["lender-1"]
    scene.open_door("lender-1")
    assert refusal(scene, "lender-1", raw) == "not-joined"
    scene.server._stale = True
    scene.ask(TRAIN, LENDERS, 2, parties=["lender-1"], **how)
    assert refusal(scene, "lender-1", raw) == "seal"
    other = defences.scene(small_plan(seed=8), small_federation())
    other.ask(BIN, LENDERS, parties=["lender-1"])
    assert refusal(scene, "lender-1", other.wire.log[-1]["lender-1"]) == "seal"


def test_a_join_that_is_forged_replayed_or_for_another(trained: Any):
    scene, _ = trained
    genuine = scene.wire.log[0]["lender-1"]
    assert refusal(scene, "lender-1", genuine) == "out-of-order"
    join = open_signed(genuine, scene.plan.cards, Join)
    later = dataclasses.replace(join, header=dataclasses.replace(join.header, attempt=9))
    assert refusal(scene, "lender-1", sign_message(later, Identity.generate(SERVER, "server"))) == "seal"
    assert refusal(scene, "lender-1", scene.wire.log[0]["lender-2"]) == "other-plan"
    forged = PlanKeys.generate(Identity.generate(SERVER, "server"), scene.plan.hash).certificate
    swapped = sign_message(dataclasses.replace(later, certificate=forged), scene.members[SERVER])
    assert refusal(scene, "lender-1", swapped) == "seal"
    second = dataclasses.replace(later, header=dataclasses.replace(later.header, run="run-2"))
    assert refusal(scene, "lender-1", sign_message(second, scene.members[SERVER])) == "plan-has-run"


def test_what_a_party_sends_its_peer_opens_at_no_other_place(defences: Defences):
    """To another recipient, step, phase, peer or attempt a payload is refused, and nothing is charged."""
    plan = vertical_plan()
    scene = defences.scene(plan, vertical_records(plan))
    asked = {name: scene.pair("align:video", 1, name, "app-1").body for name in PARTIES[:2]}
    assert claimed_address(asked["lender-1"]).recipient == "app-1"
    wrong = [
        scene.pair("align:video", 2, "app-1", "lender-2", asked["lender-1"]),
        scene.pair("align:video", 4, "app-1", "lender-1", asked["lender-1"]),
        scene.pair("release_labels:video", 2, "app-1", "lender-1", asked["lender-1"]),
        scene.pair("align:video", 3, "lender-1", "app-1", asked["lender-1"]),
        scene.pair("align:video", 3, "lender-2", "app-1", asked["lender-1"]),
        scene.pair("align:video", 2, "app-1", "lender-1", asked["lender-1"], attempt=2),
        scene.pair("align:video", 2, "app-1", "lender-1", asked["lender-1"][:-1]),
    ]
    assert [reply.code for reply in wrong] == ["seal"] * len(wrong)
    assert free(scene)
    assert scene.told == []
    assert encode_body(scene.pair("align:video", 2, "app-1", "lender-1", asked["lender-1"])) != b""
