"""Whether a ledger is the one that its party once vouched for to others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from sealscore.compliance.verify.reading import Unreadable, opened
from sealscore.compliance.verify.verification import Anchored, Finding
from sealscore.shared.identity.identity import Card
from sealscore.shared.ledger.chain import AnchorError, Head, Receipt

Anchor = Head | Receipt


def head_of(anchor: Anchor) -> Head:
    """The head that an anchor is, or contains."""
    return anchor.head if isinstance(anchor, Receipt) else anchor


def kept_anchors(path: Path) -> Iterator[Anchor | Unreadable]:
    """What a party kept in its ledger's file: own receipts and others' heads, unchecked; what is neither too."""
    with opened(path) as database:
        for raw, receipt in database.execute("SELECT anchor, receipt FROM anchors ORDER BY party, seq, receipt"):
            try:
                # bytes(n) of a number would be n zeros
                if type(raw) is not bytes:
                    raise AnchorError("no bytes")
                yield Receipt.from_bytes(raw) if receipt else Head.from_bytes(raw)
            except AnchorError:
                yield Unreadable("a head or receipt that was kept in the file is damaged")


def anchor_findings(
    card: Card, ledger: bytes, hashes: Mapping[int, bytes], servers: Sequence[Card], anchors: Iterable[Anchor]
) -> Iterator[Finding]:
    """What is wrong with a ledger by the word of its party's anchors; those of other parties say nothing here.

    `ledger` is the hash of its first entry, `hashes` those of all by sequence number, `servers` the cards by which a
    receipt may be signed (any one of them).
    """
    last = max(hashes, default=0)
    for anchor in anchors:
        head = head_of(anchor)
        if head.party != card.name:
            continue
        if (wrong := _unsigned(anchor, card, servers)) is not None:
            yield Finding("anchor-signature", head.seq, wrong)
        elif head.ledger != ledger:
            yield Finding("anchor", head.seq, "the party vouched for another ledger: this one was put in its place")
        elif head.seq > last:
            what = f"the party vouched for entry {head.seq}, and the ledger ends at {last}: cut, or an old copy"
            yield Finding("anchor", head.seq, what)
        elif hashes.get(head.seq) != head.hash:
            yield Finding("anchor", head.seq, "the party vouched for another entry here: the ledger was rewritten")


def _unsigned(anchor: Anchor, card: Card, servers: Sequence[Card]) -> str | None:
    try:
        head_of(anchor).check(card)
    except AnchorError:
        return "a head of this party is not signed by the key of this ledger: it is forged, or the ledger is"
    if not isinstance(anchor, Receipt) or not servers:
        return None
    for server in servers:
        try:
            anchor.check(server, card)
        except AnchorError:
            continue
        return None
    return "a receipt is not signed by the server of any plan that was approved here"


def agreeing(
    card: Card, ledger: bytes, hashes: Mapping[int, bytes], given: Iterable[Anchor], kept: Iterable[Anchor]
) -> Anchored:
    """How many anchors agree with a ledger, and up to which entry."""

    def agree(anchor: Anchor) -> bool:
        head = head_of(anchor)
        same = head.party == card.name and head.ledger == ledger and hashes.get(head.seq) == head.hash
        return same and _unsigned(anchor, card, ()) is None

    found, own = [a for a in given if agree(a)], [a for a in kept if agree(a)]
    return Anchored(len(found), len(own), max((head_of(a).seq for a in found), default=0))
