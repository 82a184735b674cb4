"""What of a run is open to whoever reads the wire: the few signed messages, and of sealed ones what they are about."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from builders import BIN, LENDERS, RUN, small_federation, small_plan
from defences import Defences, Scene, free
from doubles import Quiet
from vertical import vertical_plan, vertical_records

from sealscore.server.run.coordinator import Coordinator
from sealscore.shared.crypto.aggregation import PlainSum
from sealscore.shared.crypto.sealing import OVERHEAD, claimed_address, is_signed, open_signed, sign_message
from sealscore.shared.ledger.chain import Head
from sealscore.shared.messages.codec import Address
from sealscore.shared.messages.messages import (
    Join,
    Joined,
    Propose,
    ProposeRelease,
    Refusal,
    Relay,
    Relayed,
    SumRequest,
)
from sealscore.shared.plan.plan import SERVER
from sealscore.simulations.engine.enrolment import enrolled, identities

# What each kind of signed message shows beside its header.
OPEN: dict[type, set[str]] = {
    Join: {"certificate", "time", "anchors"},
    Joined: {"certificate", "heads"},
    Refusal: {"code"},
    Propose: {"text"},
    ProposeRelease: {"files"},
    Relay: {"parcels"},
    Relayed: {"parcels"},
}


def shown(kind: type) -> set[str]:
    return {field.name for field in dataclasses.fields(kind)}


@pytest.fixture
def wire(defences: Defences) -> tuple[Scene, list[bytes]]:
    """A whole run, after which all join anew and a request is refused; and all that went over the wire."""
    plan = vertical_plan(training__rounds=2)
    scene = defences.scene(plan, vertical_records(plan))
    Coordinator(scene.plan, RUN, scene.server, PlainSum(), Quiet(), patience=1.0).run()
    scene.server._stale = True
    scene.ask(BIN, LENDERS[:2], 1, 2)
    return scene, [raw for sent in scene.wire.log for raw in sent.values()] + scene.answers


def test_signed_are_the_messages_that_set_up_and_those_that_refuse(wire: tuple[Scene, list[bytes]]):
    scene, seen = wire
    found = [open_signed(raw, scene.plan.cards, *OPEN) for raw in seen if is_signed(raw)]
    assert {type(message) for message in found} == {Join, Joined, Refusal}
    assert {kind: shown(kind) - {"header"} for kind in OPEN} == OPEN


def test_heads_of_ledgers_are_among_what_is_open(wire: tuple[Scene, list[bytes]]):
    """They say whose ledger it is and how many entries it has, and hide these behind a hash."""
    scene, seen = wire
    joins = [open_signed(raw, scene.plan.cards, *OPEN) for raw in seen if is_signed(raw)]
    heads = [head for one in joins if isinstance(one, Join) for head in one.anchors]
    heads += [head for one in joins if isinstance(one, Joined) for head in one.heads]
    assert {Head.from_bytes(head).party for head in heads} == set(scene.records)
    assert shown(Head) == {"party", "ledger", "seq", "hash", "signature"}


def test_of_a_sealed_message_its_place_and_its_length(wire: tuple[Scene, list[bytes]]):
    scene, seen = wire
    sealed = [raw for raw in seen if not is_signed(raw)]
    assert len(sealed) > 60
    for raw in sealed:
        address = claimed_address(raw)
        assert len(raw) >= OVERHEAD + len(address.encode(""))
        assert (address.plan, address.run) == (scene.plan.hash, RUN)
        assert {address.sender, address.recipient} < {SERVER, *scene.records}
    # The kind of the message beside these.
    assert shown(Address) == {"plan", "run", "phase", "round", "attempt", "sender", "recipient"}


def test_the_text_of_a_proposed_plan_is_open():
    """Purpose, parties and names of features: whoever carries a proposal can read them."""
    plan = enrolled(small_plan())
    header = Address(plan.hash, "", "", 0, 0, SERVER, "lender-1")
    assert plan.canonical() in sign_message(Propose(header, plan.canonical()), identities(plan)[SERVER])


def test_the_files_of_a_proposed_release_are_open():
    """The keys of its plan are destroyed by then: whoever carries a release can read its models."""
    plan = enrolled(small_plan())
    message = ProposeRelease(Address("ab" * 32, "", "", 0, 0, SERVER, "lender-1"), {"model/card.json": b"weights"})
    assert b"weights" in sign_message(message, identities(plan)[SERVER])


def test_a_request_that_is_signed_and_not_sealed_is_refused(defences: Defences):
    """So none travels in clear by a mistake of the server's."""
    scene = defences.scene(small_plan(), small_federation())
    scene.ask(BIN, LENDERS, parties=["lender-2"])  # all join
    request = SumRequest(scene.header(BIN, "lender-1"), LENDERS, np.zeros(0), {})
    raw = scene.doors["lender-1"].answer(sign_message(request, scene.members[SERVER]))
    assert open_signed(raw, scene.plan.cards, Refusal).code == "seal"
    assert not scene.charged["lender-1"]
    assert not free(scene)
