"""An exchange behind seals: requests are sealed to each party and replies opened, over any other exchange.

The coordinator's messages pass here in clear, within the server's own process; what the other exchange carries is
ciphertext. Each reply brings the head of its party's ledger, for which the server keeps a receipt. Before the first
request, and again when a party has come back without its keys, the parties join: they exchange certificates and seeds
through three messages each.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from sealscore.server.transport.exchange import MALFORMED, UNAVAILABLE, Delivered, Exchange, Failure
from sealscore.server.transport.journal import Journal
from sealscore.shared.crypto.sealing import (
    CertificateError,
    PeerKey,
    PlanKeys,
    SealError,
    SignedMessageError,
    is_signed,
    open_signed,
    peer_key,
    seal_message,
    sign_message,
    unseal_message,
)
from sealscore.shared.crypto.seeds import OfferError, split_offer
from sealscore.shared.files import appending
from sealscore.shared.identity.identity import Card, Identity
from sealscore.shared.ledger.chain import AnchorError, Head, Receipt, read_anchors, to_line
from sealscore.shared.messages.codec import Address, MessageError, decode_body, encode_body
from sealscore.shared.messages.messages import (
    Answered,
    Asked,
    Deliver,
    Finish,
    Introduce,
    Join,
    Joined,
    Message,
    Offered,
    PairAnswer,
    Ready,
    Refusal,
    Reply,
    Request,
    Stored,
    SumAnswer,
)
from sealscore.shared.plan.plan import SERVER, Plan

# So many others have the last head of a party's ledger, and all of them one that is older by rounds.
HEADS = 4
JOIN = "join"
# A party that answers so has lost its keys of this run: all join again.
_LOST = frozenset({"not-joined", "no-seeds"})


class Receipts:
    """The server's countersignature under each head of a party's ledger that it received, in a file if a path is given.

    Whoever reviews a ledger later compares it with these. The file of anchors only grows; each line is on the disk
    before the head is passed on.
    """

    def __init__(self, server: Identity, path: Path | None = None, clock: Callable[[], float] = time.time) -> None:
        """Read the file if it is there; AnchorError where it is damaged."""
        self._server, self._path, self._clock = server, path, clock
        if path is not None and path.exists():
            _repair(path)
        self._file: BinaryIO | None = None
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

    def close(self) -> None:
        """Close the file; it is opened again for a receipt that still comes."""
        if self._file is not None:
            self._file.close()
        self._file = None

    def _keep(self, receipt: Receipt) -> None:
        if self._path is None:
            return
        durable = not self._server.simulation
        if self._file is None:
            self._file = appending(self._path, durable)
        self._file.write((to_line(receipt) + "\n").encode("ascii"))
        self._file.flush()
        if durable:
            os.fsync(self._file.fileno())


def _repair(path: Path) -> None:
    """Remove a last line that was not written whole, for want of room or of time: its head was passed on to nobody."""
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        with path.open("r+b") as file:
            file.truncate(whole)


class SealedExchange:
    """The Exchange over another one, for the parties of an enrolled plan and one run.

    Raises:
        ValueError: the identity is not the one whose card the plan names as the server's.
    """

    def __init__(
        self,
        inner: Exchange,
        plan: Plan,
        run: str,
        identity: Identity,
        receipts: Receipts | None = None,
        journal: Journal | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not plan.enrolled or plan.cards[SERVER].key != identity.card.key:
            raise ValueError("the plan names another server's card than this one's")
        self._inner, self._plan, self._run = inner, plan, run
        self._identity, self._clock = identity, clock
        self._receipts = receipts or Receipts(identity, clock=clock)
        self._cards = {party.name: plan.cards[party.name] for party in plan.parties}
        # What others keep of each party's ledger, and sealed notices that wait for the next request to a party.
        self._witnessed: dict[str, set[bytes]] = {}
        self._notices: dict[str, dict[str, bytes]] = {}
        self._keys = PlanKeys.generate(identity, plan.hash)
        self._peers: dict[str, PeerKey] = {}
        self._refused: dict[str, str] = {}
        self._journal = journal or Journal(plan.hash, run)
        self._epoch = self._journal.epoch
        self._stale = True

    def online(self) -> frozenset[str]:
        """As below."""
        return self._inner.online()

    def ask(self, requests: Mapping[str, Request], timeout: float | None = None) -> dict[str, Reply | Failure]:
        """Seal, send, open; a reply that is not its sender's own, or not to this request, is a Failure."""
        if self._stale or self._come_back(requests):
            self._join(timeout)
        asked = {party: self._asked(party, request) for party, request in requests.items() if party in self._peers}
        found = {
            party: self._answered(party, reply) if isinstance(reply, Answered) else reply
            for party, reply in self._exchange(asked, timeout).items()
        }
        replies: dict[str, Reply | Failure] = {}
        for party, request in requests.items():
            reply = replies[party] = found.get(party) or self._absent(party, request.header)
            if isinstance(reply, Refusal) and reply.code in _LOST:
                self._stale = True
        return replies

    def _asked(self, party: str, request: Request) -> Asked:
        """A request with the heads, the receipt and the notices that go along with it."""
        receipt = self._receipts.of(party)
        return Asked(
            request.header,
            type(request).__name__,
            encode_body(request),
            self._receipts.heads_for(party, self._cards, last=isinstance(request, Finish)),
            receipt.to_bytes() if receipt else b"",
            self._notices.pop(party, {}),
        )

    def _answered(self, party: str, reply: Answered) -> Reply | Failure:
        """The reply within; one whose ledger goes backwards, or that is no reply, is a Failure."""
        try:
            kinds = (Ready, Stored, SumAnswer, PairAnswer, Refusal)
            answer: Reply = decode_body(reply.kind, reply.header, reply.body, *kinds)
            self._receipts.sign(party, reply.head, self._cards)
        except (MessageError, AnchorError):
            return Failure(party, MALFORMED)
        for peer, notice in reply.notices.items():
            if peer in self._cards and peer != party:
                self._notices.setdefault(peer, {})[party] = notice
        return answer

    def _absent(self, party: str, asked: Address) -> Reply | Failure:
        """The reply in place of a party that did not join: its reason, where it gave one."""
        if party not in self._refused:
            return Failure(party, UNAVAILABLE)
        return Refusal(asked.reply(), self._refused[party])

    def _come_back(self, parties: Iterable[str]) -> bool:
        """Whether one of these parties is there and has taken no part in the last set-up."""
        return not {party for party in parties if party not in self._peers}.isdisjoint(self._inner.online())

    def close(self) -> None:
        """Destroy the server's keys under the plan: what was sealed to it stays sealed. Closes the receipts' file."""
        self._keys.destroy()
        self._receipts.close()

    def _header(self, party: str) -> Address:
        return Address(self._plan.hash, self._run, JOIN, 0, self._epoch, SERVER, party)

    def _join(self, timeout: float | None) -> None:
        """Certificates of all, then seeds within each group; parties that do not take part are left out."""
        self._epoch += 1
        self._journal.join(self._epoch)
        self._stale = False
        names = [party.name for party in self._plan.parties]
        now = int(self._clock())
        joins = {name: Join(self._header(name), self._keys.certificate, now, self._held(name)) for name in names}
        signed = {name: sign_message(join, self._identity) for name, join in joins.items()}
        certificates: dict[str, bytes] = {}
        self._peers, self._refused = {}, {}
        for name, raw in self._inner.send(signed, timeout).items():
            joined = self._joined(name, raw) if isinstance(raw, bytes) else None
            if isinstance(joined, Refusal):
                self._refused[name] = joined.code
            elif joined is not None:
                self._witness(name, joined.heads)
                certificates[name] = joined.certificate
                self._peers[name] = peer_key(joined.certificate, self._plan.cards[name], self._plan.hash)
        introductions = {
            name: Introduce(self._header(name), certificates, tuple(sorted(self._witnessed.get(name, ()))))
            for name in certificates
        }
        introduced = self._exchange(introductions, timeout)
        deliveries: dict[str, list[bytes]] = {name: [] for name in certificates}
        for name, reply in introduced.items():
            if isinstance(reply, Offered):
                for peer, delivery in self._offers(name, reply.offer).items():
                    deliveries.get(peer, []).append(delivery)
            else:
                del self._peers[name]
        ready = {name: Deliver(self._header(name), tuple(deliveries[name])) for name in self._peers}
        for name, reply in self._exchange(ready, timeout).items():
            if not isinstance(reply, Ready):
                del self._peers[name]

    def _held(self, party: str) -> tuple[bytes, ...]:
        """What the server keeps of a party's ledger: the head of its last receipt."""
        receipt = self._receipts.of(party)
        return (receipt.head.to_bytes(),) if receipt else ()

    def _witness(self, witness: str, heads: tuple[bytes, ...]) -> None:
        """Keep the heads of other parties that a party keeps, to be shown to these; what is none is left out."""
        for data in heads[: len(self._cards)]:
            try:
                head = Head.from_bytes(data)
                if head.party in self._cards and head.party != witness:
                    head.check(self._cards[head.party])
                    self._witnessed.setdefault(head.party, set()).add(data)
            except AnchorError:
                continue

    def _joined(self, name: str, raw: bytes) -> Joined | Refusal | None:
        """What a party said to this join, or None where it said nothing that counts."""
        try:
            joined: Joined | Refusal = open_signed(raw, {name: self._plan.cards[name]}, Joined, Refusal)
            if isinstance(joined, Refusal):
                return joined
            if (joined.header.run, joined.header.attempt) != (self._run, self._epoch):
                return None
            peer_key(joined.certificate, self._plan.cards[name], self._plan.hash)
            return joined
        except (SignedMessageError, CertificateError):
            return None

    def _offers(self, name: str, offer: bytes) -> dict[str, bytes]:
        try:
            sender, _, deliveries = split_offer(offer)
        except OfferError:
            return {}
        return deliveries if sender == name else {}

    def _exchange(self, messages: Mapping[str, Message], timeout: float | None) -> dict[str, Any]:
        sealed = {name: seal_message(m, self._identity, self._peers[name]) for name, m in messages.items()}
        replies = self._inner.send(sealed, timeout) if sealed else {}
        return {name: self._open(name, raw, messages[name].header) for name, raw in replies.items()}

    def _open(self, name: str, raw: Delivered, asked: Address) -> Any:
        if isinstance(raw, Failure):
            return raw
        cards = {name: self._plan.cards[name]}
        answers = asked.reply()
        try:
            if is_signed(raw):
                refusal = open_signed(raw, cards, Refusal)
                return refusal if refusal.header == answers else Failure(name, MALFORMED)
            reply = unseal_message(raw, self._keys, cards, Ready, Offered, Refusal, Answered)
            # An earlier answer that comes again is well sealed too: only its header shows it.
            return reply if reply.header == answers else Failure(name, MALFORMED)
        except (SealError, SignedMessageError, MessageError):
            return Failure(name, MALFORMED)
