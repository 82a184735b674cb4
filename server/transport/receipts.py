"""Receipts: the server's countersignature under each head of a party's ledger that it received, all of them kept.

Whoever reviews a ledger later compares it with these. The file only grows; each line is on the disk before the head is
passed on.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

from sealscore.shared.files import append
from sealscore.shared.identity.identity import Card, Identity
from sealscore.shared.ledger.anchors import AnchorError, Head, Receipt, read_anchors, to_line

# So many others have the last head of a party's ledger, and all of them one that is older by rounds.
HEADS = 4


class Receipts:
    """The receipts of one server, kept in a file of anchors where a path is given."""

    def __init__(self, server: Identity, path: Path | None = None, clock: Callable[[], float] = time.time) -> None:
        """Read the file if it is there; AnchorError where it is damaged."""
        self._server, self._path, self._clock = server, path, clock
        if path is not None and path.exists():
            _repair(path)
        self._last: dict[str, Receipt] = {}
        self._turn: Counter[str] = Counter()
        for receipt in read_anchors(path) if path is not None and path.exists() else ():
            if isinstance(receipt, Receipt):
                self._last[receipt.head.party] = receipt

    def sign(self, party: str, head: bytes, cards: Mapping[str, Card]) -> Receipt:
        """Take the head that a party sent with its answer, and keep a receipt for it.

        Raises:
            AnchorError: it is not the party's own, or goes back behind one that it gave before.
        """
        found = Head.from_bytes(head)
        last = self._last.get(party)
        if last is not None and last.head == found:
            return last
        if found.party != party:
            raise AnchorError(f"{party!r} sent a head of {found.party!r}")
        found.check(cards[party])
        if last is not None and (last.head.ledger != found.ledger or found.seq <= last.head.seq):
            raise AnchorError(f"the ledger of {party!r} is at entry {found.seq}, and was at {last.head.seq} before")
        receipt = Receipt.sign(self._server, found, int(self._clock()))
        self._keep(receipt)
        self._last[party] = receipt
        return receipt

    def of(self, party: str) -> Receipt | None:
        """The last receipt for a party, or None where it never sent a head."""
        return self._last.get(party)

    def heads_for(self, party: str, members: Mapping[str, Card], last: bool = False) -> tuple[bytes, ...]:
        """Last heads of other members, for that party to keep: at most `HEADS`, in turn, and all in the `last` request.

        With all of them in each request, a round would cost the square of the parties.
        """
        others = sorted(name for name in members if name != party and name in self._last)
        if others and not last:
            # Begun at its own place in the order of names, so that each party's head goes to as many in each round.
            start = (sum(name < party for name in others) + self._turn[party]) % len(others)
            others = (others[start:] + others[:start])[:HEADS]
            self._turn[party] += HEADS
        return tuple(self._last[name].head.to_bytes() for name in others)

    def _keep(self, receipt: Receipt) -> None:
        if self._path is None:
            return
        append(self._path, (to_line(receipt) + "\n").encode("ascii"), durable=not self._server.simulation)


def _repair(path: Path) -> None:
    """Remove a last line that was not written whole, for want of room or of time: its head was passed on to nobody."""
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        with path.open("r+b") as file:
            file.truncate(whole)
