"""A node's ledger compared with what others keep of it, and theirs kept in turn.

A ledger that was cut back, edited or replaced lacks an entry that its party once signed for. Whoever keeps that head
finds it out, the node itself at its next start.
"""

from __future__ import annotations

from collections.abc import Mapping

from sealscore.shared.identity.identity import Card
from sealscore.shared.ledger.anchors import AnchorError, Head, Receipt
from sealscore.shared.ledger.disclosure_store import DisclosureStore
from sealscore.shared.ledger.ledger import Ledger
from sealscore.shared.plan.plan import SERVER


class LedgerBehind(Exception):
    """The party's ledger or disclosure store lacks what the party once signed for; the words are for its operator."""


class Anchoring:
    """The heads that one node compares, keeps and hands out under a plan, by the cards of the plan.

    Raises:
        LedgerBehind: the disclosure store is older than the ledger, or the ledger lacks a head of its own.
    """

    def __init__(self, ledger: Ledger, cards: Mapping[str, Card], disclosure_store: DisclosureStore) -> None:
        self._ledger, self._cards, self._disclosure_store = ledger, cards, disclosure_store
        self._peers = ledger.last_heads()
        self._receipt = 0
        told = ledger.state.register_head
        if told is not None and not disclosure_store.holds(told):
            raise LedgerBehind("the disclosure store is older than the ledger; restore the latest copy of it")
        for anchor in ledger.anchors(ledger.party):
            self._held(anchor.head if isinstance(anchor, Receipt) else anchor)
            if isinstance(anchor, Receipt):
                self._receipt = max(self._receipt, anchor.head.seq)

    @property
    def kept(self) -> tuple[bytes, ...]:
        """The latest heads of others that this node keeps."""
        return tuple(head.to_bytes() for _, head in sorted(self._peers.items()))

    def compare(self, anchors: tuple[bytes, ...]) -> None:
        """Compare the ledger with its own heads as others keep them.

        Raises:
            LedgerBehind: it lacks one of them.
            AnchorError: one is not the party's own; nothing is concluded from it.
        """
        for data in anchors:
            head = Head.from_bytes(data)
            head.check(self._cards[self._ledger.party])
            self._held(head)

    def take(self, heads: tuple[bytes, ...], receipt: bytes) -> None:
        """Keep the others' heads, and the server's receipt for the own one.

        Raises:
            LedgerBehind: the receipt is for a head that the ledger does not have.
            AnchorError: a head or the receipt is not signed by the party it names, or is behind one kept before.
        """
        fresh: list[Head | Receipt] = []
        peers, seq = dict(self._peers), self._receipt
        for data in heads:
            head = Head.from_bytes(data)
            if head.party not in self._cards or head.party == self._ledger.party:
                raise AnchorError(f"a head of {head.party!r}, who is no other party of the plan")
            known = peers.get(head.party)
            if head == known:
                continue
            head.check(self._cards[head.party])
            if known is not None and (head.ledger != known.ledger or head.seq <= known.seq):
                raise AnchorError(f"the ledger of {head.party!r} is at entry {head.seq}, and was at {known.seq} before")
            peers[head.party] = head
            fresh.append(head)
        if receipt:
            own = Receipt.from_bytes(receipt)
            own.check(self._cards[SERVER], self._cards[self._ledger.party])
            self._held(own.head)
            if own.head.seq < seq:
                raise AnchorError(f"a receipt for entry {own.head.seq}, after one for {seq}")
            seq = own.head.seq
            fresh.append(own)
        if fresh:
            self._ledger.keep(*fresh)
        self._peers, self._receipt = peers, seq

    def _held(self, head: Head) -> None:
        if not self._ledger.holds(head):
            raise LedgerBehind(
                f"the ledger lacks entry {head.seq}, for which this party once signed: it was cut back, changed or "
                "replaced; restore the latest copy of it"
            )
