"""Somebody who floods a node: what is refused costs nothing and fills no disk, whoever sends it."""

from __future__ import annotations

import os

from builders import BIN, LENDERS
from defences import Defences, Scene, wide

from sealscore.clients.node.plan_ledger import MAX_REFUSALS
from sealscore.shared.crypto.sealing import open_signed
from sealscore.shared.ledger.entries import Refuse
from sealscore.shared.ledger.ledger import stored_entries
from sealscore.shared.messages.messages import Refusal


def joined(defences: Defences) -> Scene:
    """All have joined, and lender-2 alone has answered."""
    scene = wide(defences)
    scene.ask(BIN, LENDERS, parties=["lender-2"])
    return scene


def entries(scene: Scene) -> int:
    return scene.nodes["lender-1"].plan_ledger.ledger.head.seq


def test_what_the_seal_refuses_is_no_entry(defences: Defences):
    """Anybody can send these, so a ledger that noted them would grow at a stranger's will."""
    scene = joined(defences)
    before, genuine = entries(scene), scene.wire.log[-1]["lender-2"]
    for number in range(300):
        raw = [os.urandom(200), genuine, genuine[:-1], b""][number % 4]
        reply = open_signed(scene.doors["lender-1"].answer(raw), scene.plan.cards, Refusal)
        assert reply.code == "seal"
    assert entries(scene) == before
    assert not scene.charged["lender-1"]


def test_of_what_the_server_itself_asks_amiss_so_many_are_entries(defences: Defences):
    scene = joined(defences)
    ledger = scene.nodes["lender-1"].plan_ledger.ledger
    before = entries(scene)
    for attempt in range(1, MAX_REFUSALS + 50):
        reply = scene.ask(BIN, LENDERS[:1], attempt=attempt, parties=["lender-1"])["lender-1"]
        assert isinstance(reply, Refusal)
    assert entries(scene) == before + MAX_REFUSALS
    assert ledger.state.plans[scene.plan.hash].refusals == MAX_REFUSALS
    assert not scene.charged["lender-1"]
    # It goes on all the same.
    scene.ask(BIN, LENDERS, attempt=MAX_REFUSALS + 50, parties=["lender-1"])
    assert len(scene.charged["lender-1"]) == 1


def test_what_stands_in_a_refused_request_is_cut_before_it_is_noted(defences: Defences):
    scene = joined(defences)
    reply = scene.ask("x" * 100_000, LENDERS, parties=["lender-1"])["lender-1"]
    assert isinstance(reply, Refusal)
    *_, last = stored_entries(scene.nodes["lender-1"].plan_ledger.ledger._database, 0)
    assert isinstance(last.entry, Refuse)
    assert len(last.body) < 2_000
