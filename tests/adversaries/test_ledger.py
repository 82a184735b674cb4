"""An operator who puts another ledger or register in the place of the true one, to have spent budget back.

The party itself may be the attacker, or be attacked: who restores an old backup of a node has its noise drawn over and
over. Whoever keeps its heads finds it out: the server, the peers, and they where the server lies.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from builders import BIN, LENDERS, phase_of
from defences import WIDE, Defences, Scene, free, refused, wide
from ledgers import copied, ledger_of, signed_anew
from vertical import (
    LENDER,
    PLATFORM,
    SIGNAL,
    aligned,
    platform_bins,
    platform_weights,
    vertical_plan,
    vertical_records,
)

from sealscore.clients.node.sealed import LedgerBehind
from sealscore.server.transport.sealed import SealedExchange
from sealscore.shared.identity.identity import Identity
from sealscore.shared.ledger.chain import Head, Receipt
from sealscore.shared.ledger.disclosure_store import DisclosureStore
from sealscore.shared.ledger.entries import Answer, Reserve
from sealscore.shared.ledger.ledger import Ledger
from sealscore.shared.messages.messages import Hello, PairAnswer, SumAnswer
from sealscore.shared.messages.parts import edges_to_bytes, weights_to_bytes
from sealscore.shared.plan.plan import SERVER

BUDGET = phase_of(WIDE, BIN).attempts


def hello(scene: Scene, *parties: str) -> list[Any]:
    return [scene.send(Hello(scene.header(BIN, party, 0, 0))) for party in parties]


def spent(defences: Defences) -> tuple[Scene, Ledger]:
    """All attempts of a phase are answered, and everybody knows of it; and a copy of a ledger from before."""
    scene = wide(defences)
    assert not refused(scene.ask(BIN, LENDERS))
    before = copied(scene.nodes["lender-1"].plan_ledger.ledger)
    for attempt in range(2, BUDGET + 1):
        assert not refused(scene.ask(BIN, LENDERS, 1, attempt))
    hello(scene, *LENDERS)
    assert refused(scene.ask(BIN, LENDERS, 1, BUDGET + 1)) == {"attempts-spent"}
    hello(scene, *LENDERS)
    return scene, before


def restored(scene: Scene, before: Ledger) -> Ledger:
    """An old copy of the file."""
    return before


def edited(scene: Scene, before: Ledger) -> Ledger:
    """All answers taken out, and what is left signed anew with the party's own key."""
    now = scene.nodes["lender-1"].plan_ledger.ledger
    return signed_anew(now, lambda entries: [one for one in entries if not isinstance(one[1], Reserve | Answer)])


def replaced(scene: Scene, before: Ledger) -> Ledger:
    """A new ledger in which the plan is approved."""
    return ledger_of(scene.plan, "lender-1", identity=scene.members["lender-1"])


def forgotten(scene: Scene) -> None:
    """The server holds nothing of what it was told: it lost its receipts, or says so."""
    scene.server._receipts._last.clear()


def honest(scene: Scene) -> None:
    """The server shows what it holds."""


def spend_again(defences: Defences, spoil: Callable[..., Ledger], server: Callable[[Scene], None]) -> bool:
    """Start a party anew with another ledger: does it answer a phase whose budget is spent?"""
    scene, before = spent(defences)
    charged = len(scene.charged["lender-1"])
    scene.enter("lender-1", ledger=spoil(scene, before))
    server(scene)
    scene.server._stale = True
    replies = scene.ask(BIN, LENDERS, 1, BUDGET + 2, ["lender-1"])
    if len(scene.charged["lender-1"]) > charged:
        return True
    assert not isinstance(replies["lender-1"], SumAnswer)
    assert any("for which this party once signed" in words for words in scene.told)
    # It does not think better of it, whatever it is asked.
    assert all(getattr(reply, "code", "closed") in ("closed", "ledger-behind") for reply in hello(scene, "lender-1"))
    assert not isinstance(scene.ask(BIN, LENDERS, 1, BUDGET + 3, ["lender-1"])["lender-1"], SumAnswer)
    assert len(scene.charged["lender-1"]) == charged
    return False


@pytest.mark.parametrize("server", [honest, forgotten])
@pytest.mark.parametrize("spoil", [restored, edited, replaced])
def test_budget_that_was_spent_is_not_spent_again(defences: Defences, spoil: Any, server: Any):
    assert not spend_again(defences, spoil, server)
    with defences.without("heads") as weak:
        assert spend_again(weak, spoil, server)


def test_the_true_ledger_goes_on_after_a_restart(defences: Defences):
    """Teeth of the other kind: what stops a spoilt ledger does not stop the true one."""
    scene = wide(defences)
    scene.ask(BIN, LENDERS)
    hello(scene, *LENDERS)
    scene.enter("lender-1", ledger=scene.nodes["lender-1"].plan_ledger.ledger)
    scene.server._stale = True
    assert all(isinstance(reply, SumAnswer) for reply in scene.ask(BIN, LENDERS, 1, 2).values())
    assert refused(scene.ask(BIN, LENDERS, 1, 3)) == {"attempts-spent"}


def peers_go_on(defences: Defences) -> bool:
    """A server that shows a party with an old ledger neither its own receipts nor what peers hold: do they go on?"""
    scene, before = spent(defences)
    charged = len(scene.charged["lender-2"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SealedExchange, "_witness", lambda *_: None)
        scene.server._witnessed.clear()
        forgotten(scene)
        scene.enter("lender-1", ledger=before)
        scene.server._stale = True
        # The party cannot know it; the head that goes along with its next answer is below the one that others keep.
        assert isinstance(scene.ask(BIN, LENDERS, 1, BUDGET + 2, ["lender-1"])["lender-1"], SumAnswer)
        (reply,) = hello(scene, "lender-2")
    assert len(scene.charged["lender-2"]) == charged
    if getattr(reply, "code", "") == "seal":
        assert any("the ledger of 'lender-1' is at entry" in words for words in scene.told)
        return False
    return True


def test_peers_answer_no_server_that_shows_them_a_ledger_that_went_back(defences: Defences):
    assert not peers_go_on(defences)
    with defences.without("order of heads") as weak:
        assert peers_go_on(weak)


def shown(defences: Defences, heads: Callable[[Scene], tuple[bytes, ...]], receipt: Callable[[Scene], Any]) -> bool:
    """Show lender-1 heads and a receipt of the server's choice: does it answer?"""
    scene = wide(defences)
    for _ in range(2):
        scene.ask(BIN, LENDERS[:2], 1, 1 + _)
        hello(scene, *LENDERS)
    charged = len(scene.charged["lender-1"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(scene.server._receipts), "heads_for", lambda *_, **__: heads(scene))
        patch.setattr(type(scene.server._receipts), "of", lambda *_: receipt(scene))
        (reply,) = hello(scene, "lender-1")
    assert len(scene.charged["lender-1"]) == charged
    return not hasattr(reply, "code")


def head_of(scene: Scene, party: str, back: int = 0) -> bytes:
    """A party's head of its ledger, some entries ago."""
    ledger = scene.nodes[party].plan_ledger.ledger
    head = ledger.head
    seq = head.seq - back
    (row,) = ledger._database.execute("SELECT hash FROM entries WHERE seq = ?", (seq,))
    return Head.sign(scene.members[party], head.ledger, seq, bytes(row[0])).to_bytes()


def own(scene: Scene, by: Identity | None = None, back: int = 0, party: str = "lender-1") -> Receipt:
    return Receipt.sign(by or scene.members[SERVER], Head.from_bytes(head_of(scene, party, back)), 1)


def made_up(scene: Scene, by: Identity) -> bytes:
    """A head of lender-2 beyond the true one, signed by somebody else."""
    true = scene.nodes["lender-2"].plan_ledger.ledger.head
    return dataclasses.replace(Head.sign(by, true.ledger, true.seq + 1, bytes(32)), party="lender-2").to_bytes()


STRANGER = Identity.simulated(666, "lender-2", "lender")
TRUE = (lambda scene: (head_of(scene, "lender-2"),), lambda scene: own(scene))


@pytest.mark.parametrize(
    ("off", "heads", "receipt"),
    [
        ("signatures", lambda scene: (made_up(scene, STRANGER),), TRUE[1]),
        ("signatures", lambda scene: (made_up(scene, scene.members[SERVER]),), TRUE[1]),
        ("order of heads", lambda scene: (head_of(scene, "lender-2", 1),), TRUE[1]),
        ("signatures", TRUE[0], lambda scene: own(scene, scene.members["lender-2"])),
        ("order of heads", TRUE[0], lambda scene: own(scene, back=2)),
    ],
    ids=["a stranger's head", "the server's head", "a stale head", "another's receipt", "a stale receipt"],
)
def test_heads_and_receipts_that_are_not_what_they_should_be(defences: Defences, off: str, heads: Any, receipt: Any):
    assert shown(defences, *TRUE)
    assert not shown(defences, heads, receipt)
    with defences.without(off) as weak:
        assert shown(weak, heads, receipt)


def test_a_receipt_for_another_party_is_no_receipt(defences: Defences):
    assert not shown(defences, TRUE[0], lambda scene: own(scene, party="lender-2"))
    with defences.without("signatures", "heads", "order of heads") as weak:
        # It names another party, so even then.
        assert not shown(weak, TRUE[0], lambda scene: own(scene, party="lender-2"))


def copy_of(disclosure_store: DisclosureStore) -> DisclosureStore:
    """A copy of a register in memory, as it is now."""
    copy = DisclosureStore()
    disclosure_store._database.backup(copy._database)
    copy._head, copy._batches = copy._last()
    copy._values, copy._bits = copy._load()
    return copy


def told_twice(defences: Defences) -> int:
    """Put an old register in a platform's place after it told a signal: the signals that it tells in all."""
    plan = vertical_plan()
    scene = aligned(defences, plan, vertical_records(plan))
    binning = platform_bins(scene.plan, scene.records[PLATFORM])
    old = copy_of(scene.nodes[PLATFORM].disclosure_store)
    weights = platform_weights(scene.plan, binning)
    edges = np.linspace(-1, 1, plan.model.signal_levels - 1)
    told = 0
    for attempt in (1, 2):
        parts = scene.publish(SIGNAL, "bins", binning.to_bytes(), [PLATFORM])
        weights[attempt] = 3.0
        parts |= scene.publish(SIGNAL, "tower", weights_to_bytes(weights), [PLATFORM])
        parts |= scene.publish(SIGNAL, "edges", edges_to_bytes(edges), [PLATFORM])
        told += isinstance(scene.pair(SIGNAL, 1, PLATFORM, LENDER, attempt=attempt, **parts), PairAnswer)
        if attempt == 1:
            assert scene.nodes[PLATFORM].disclosure_store.holds(old.head)
            try:
                scene.enter(PLATFORM, ledger=scene.nodes[PLATFORM].plan_ledger.ledger, disclosure_store=old)
            except LedgerBehind:
                break
            scene.server._stale = True
    return told


def test_bits_that_were_told_are_not_forgotten(defences: Defences):
    assert told_twice(defences) == 1
    with defences.without("register") as weak:
        assert told_twice(weak) == 2


def test_nothing_is_charged_for_all_that(defences: Defences):
    scene = wide(defences)
    hello(scene, *LENDERS)
    assert free(scene)
