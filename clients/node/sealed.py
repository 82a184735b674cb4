"""A node behind its seals: only the plan's server reaches it, only its peers read what it sends them.

What comes is unsealed here and handed to the node in clear; what the node answers is sealed to the server, and a
payload inside it to the peer that it is for, so the server carries what it cannot open. The node's ledger is compared
with what others keep of it, and theirs is kept in turn. Nothing here reads a record.
"""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from sealscore.clients.node.admission import NotApproved, admit
from sealscore.clients.node.node import Node
from sealscore.clients.node.withdrawals import Withdrawals
from sealscore.shared.crypto.aggregation import MaskedSum
from sealscore.shared.crypto.sealing import (
    CertificateError,
    PeerKey,
    PlanKeys,
    SealError,
    SignedMessageError,
    claimed_address,
    is_signed,
    open_signed,
    peer_key,
    seal,
    seal_message,
    sign_message,
    unseal,
    unseal_message,
)
from sealscore.shared.crypto.seeds import OfferError, Seeds
from sealscore.shared.identity.identity import Card, Identity
from sealscore.shared.identity.trust import TrustStore
from sealscore.shared.ledger.chain import AnchorError, Head, Receipt
from sealscore.shared.ledger.disclosure_store import DisclosureStore, DisclosureStoreError
from sealscore.shared.ledger.ledger import Ledger, LedgerError
from sealscore.shared.messages.codec import Address, MessageError, decode_body, digest, encode, encode_body, whole
from sealscore.shared.messages.messages import (
    Answered,
    Asked,
    Deliver,
    Finish,
    Hello,
    Introduce,
    Join,
    Joined,
    Message,
    Offered,
    PairAnswer,
    PairRequest,
    Publish,
    Ready,
    Refusal,
    Reply,
    Request,
    SumRequest,
)
from sealscore.shared.plan.plan import SERVER, Plan

# A clock that is farther off than this cannot judge whether a plan has expired.
CLOCK_SECONDS = 3600
PAYLOAD = "payload"


class LedgerBehind(Exception):
    """The party's ledger or disclosure store lacks what the party once signed for; the words are for its operator."""


class Anchoring:
    """The heads that one node compares, keeps and hands out under a plan, by the cards of the plan.

    A ledger that was cut back, edited or replaced lacks an entry that its party once signed for. Whoever keeps that
    head finds it out, the node itself at its next start.

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


class SealedNode:
    """The door of one party's node: a Responder whose every message is sealed and signed.

    Raises:
        NotApproved: the plan names no cards, has expired or hazards, or is not one for this identity.
        ValueError: the node does not answer under these masks.
        Untrusted: the plan names a card that the operator did not trust.
    """

    def __init__(
        self,
        node: Node,
        masks: MaskedSum,
        identity: Identity,
        trust: TrustStore,
        clock: Callable[[], float] = time.time,
    ) -> None:
        plan = node.plan
        admit(plan, node.name, identity, node.random_source)
        if masks is not node.aggregation or masks.lone != masks_of(plan, node.name).lone:
            raise ValueError(f"the sums of {node.name!r} are not under the masks of this door, as its plan needs them")
        if node.plan_ledger.ledger.party != identity.name:
            raise ValueError(f"the ledger of {node.plan_ledger.ledger.party!r} is not that of {identity.name!r}")
        self.name = node.name
        self._node, self._masks, self._identity, self._clock = node, masks, identity, clock
        self._cards = trust.check(plan.cards.values(), identity)
        self._keys = PlanKeys.generate(identity, plan.hash)
        self._server: PeerKey | None = None
        self._peers: dict[str, PeerKey] = {}
        self._seeds: Seeds | None = None
        self._anchoring = Anchoring(node.plan_ledger.ledger, self._cards, node.disclosure_store)
        self._withdrawals = Withdrawals(node, node.disclosure_store, identity)
        self._used = self._closed = False
        self._run, self._epoch, self._finished = "", 0, False
        self._lock = threading.Lock()
        self._check_expiry()

    def answer(self, request: bytes) -> bytes:
        """Answer one sealed request; a refusal is signed and contains a code, and nothing is charged for it."""
        with self._lock:
            if self._closed:
                return self._refused(request, "closed")
            try:
                self._check_expiry()
                if is_signed(request):
                    return self._join(open_signed(request, {SERVER: self._cards[SERVER]}, Join))
                if self._server is None:
                    return self._refused(request, "not-joined")
                server = {SERVER: self._cards[SERVER]}
                message = unseal_message(request, self._keys, server, Introduce, Deliver, Asked)
                reply = self._reply(message)
                sealed = seal_message(reply, self._identity, self._server)
                if self._finished:
                    self._closed = True
                    self._destroy()
                return sealed
            except NotApproved as error:
                self._lapse(error)
                return self._refused(request, "expired")
            except LedgerBehind as error:
                self._node.tell(f"{self.name} answers nothing: {error}")
                self._closed = True
                self._destroy()
                return self._refused(request, "ledger-behind")
            except (LedgerError, DisclosureStoreError) as error:
                self._node.tell(f"{self.name} answers nothing: {error}")
                return self._refused(request, "unavailable")
            except AnchorError as error:
                self._node.tell(f"{self.name} does not answer the server: {error}; ask its operator")
                return self._refused(request, "seal")
            except (SealError, SignedMessageError, MessageError, CertificateError, OfferError, ValueError):
                # Why it is not taken would help only who forged it.
                return self._refused(request, "seal")

    def lapse(self) -> None:
        """End the plan and destroy its keys, if its last day is past: also where the server never asks again."""
        with self._lock:
            try:
                self._check_expiry()
            except NotApproved as error:
                self._lapse(error)

    def close(self) -> None:
        """Destroy the keys of the plan and the seeds of the run: what was sealed to this node stays sealed."""
        with self._lock:
            self._closed = True
            try:
                self._node.plan_ledger.close()
            finally:
                self._destroy()

    def _lapse(self, error: NotApproved) -> None:
        self._node.tell(f"{self.name} answers nothing: {error}")
        with contextlib.suppress(LedgerError):
            self._node.plan_ledger.settle("expired")
        self._destroy()

    def _destroy(self) -> None:
        self._keys.destroy()
        self._masks.close()
        if self._seeds is not None:
            self._seeds.close()
        self._server, self._peers = None, {}

    def _refused(self, request: bytes, code: str) -> bytes:
        """The refusal of a request that was not opened, or that failed once it was."""
        return self._refuse(answering(request, self._node.plan.hash, self.name), code)

    def _refuse(self, header: Address, code: str) -> bytes:
        return sign_message(Refusal(header, code), self._identity)

    def _check_expiry(self) -> None:
        plan = self._node.plan
        if is_over(plan, self._clock()):
            raise NotApproved(f"plan {plan.name} expired on {plan.expires}")

    def _join(self, message: Join) -> bytes:
        """Take the server's key, and give the own; a later epoch of the same run starts the set-up over."""
        header, plan = message.header, self._node.plan
        answer = header.between(self.name, SERVER)
        if header.plan != plan.hash or header.recipient != self.name:
            return self._refuse(answer, "other-plan")
        if (off := abs(message.time - self._clock())) > CLOCK_SECONDS:
            self._node.tell(f"{self.name} joins no run: its clock is {off:.0f} s off the server's; set the clock")
            return self._refuse(answer, "clock")
        if self._run not in ("", header.run):
            return self._refuse(answer, "plan-has-run")
        if header.attempt <= self._epoch:
            return self._refuse(answer, "out-of-order")
        self._anchoring.compare(message.anchors)
        self._server = peer_key(message.certificate, self._cards[SERVER], plan.hash)
        self._run, self._epoch = header.run, header.attempt
        return sign_message(Joined(answer, self._keys.certificate, self._anchoring.kept), self._identity)

    def _reply(self, message: Introduce | Deliver | Asked) -> Message:
        header = message.header
        answer = header.between(self.name, SERVER)
        if isinstance(message, Introduce | Deliver):
            if (header.run, header.attempt) != (self._run, self._epoch):
                return Refusal(answer, "out-of-order")
            return (
                self._introduced(message, answer) if isinstance(message, Introduce) else self._seeded(message, answer)
            )
        if header.run != self._run:
            return Refusal(answer, "plan-has-run")
        return self._asked(message)

    def _asked(self, message: Asked) -> Message:
        """Answer a request, with what goes along with it on both ways."""
        kinds = (Hello, Publish, SumRequest, PairRequest, Finish)
        request: Request = decode_body(message.kind, message.header, message.body, *kinds)
        self._anchoring.take(message.heads, message.receipt)
        for peer, notice in message.notices.items():
            if peer in self._peers:
                with contextlib.suppress(SealError, ValueError):
                    self._withdrawals.incoming(self._run, peer, notice, self._keys, self._cards)
        if isinstance(request, PairRequest):
            reply = self._carried(request)
        else:
            reply = self._node.respond(request, digest(whole(message.kind, message.header, message.body)))
        self._finished = isinstance(request, Finish) and isinstance(reply, Ready)
        waiting = self._withdrawals.to_confirm or self._node.disclosure_store.has_notices
        notices = self._withdrawals.outgoing(self._run, self._peers) if waiting else {}
        head = self._node.plan_ledger.ledger.head.to_bytes()
        return Answered(reply.header, type(reply).__name__, encode_body(reply), head, notices)

    def _introduced(self, message: Introduce, answer: Address) -> Offered:
        """Check the certificates of all parties, and offer seeds to those of the own group."""
        plan = self._node.plan
        self._anchoring.compare(message.anchors)
        self._peers = {
            name: peer_key(certificate, self._cards[name], plan.hash)
            for name, certificate in message.certificates.items()
            if name in self._cards and name not in (SERVER, self.name)
        }
        if self._seeds is not None and not self._used:
            self._seeds.close()
        group = {party.name for party in plan.members(plan.party(self.name).group)}
        peers = {name: key for name, key in self._peers.items() if name in group}
        self._seeds = Seeds(self._identity, self._keys, self._run, self._epoch, self._cards, peers)
        self._used = False
        return Offered(answer, self._seeds.offer)

    def _seeded(self, message: Deliver, answer: Address) -> Ready | Refusal:
        """Take the seeds that the others of the group offered; from now on sums are masked with them."""
        if self._seeds is None:
            return Refusal(answer, "out-of-order")
        if self._used:
            return Refusal(answer, "out-of-order")
        for offer in message.offers:
            self._seeds.accept(offer)
        self._masks.use(self._seeds)
        self._used = True
        return Ready(answer)

    def _carried(self, message: PairRequest) -> Reply:
        """Open what the peer sealed, let the node answer, and seal its answer to the peer."""
        peer = self._peers.get(message.peer)
        if peer is None:
            return Refusal(message.header.between(self.name, SERVER), "no-such-pair")
        body = message.body
        if body:
            sent = _payload(message.header, message.header.round - 1, message.peer, self.name)
            *_, body = unseal(body, self._keys, {message.peer: self._cards[message.peer]}, (sent, PAYLOAD))
        opened = dataclasses.replace(message, body=body)
        reply = self._node.respond(opened, digest(encode(opened)))
        if not isinstance(reply, PairAnswer) or not reply.body:
            return reply
        address = _payload(message.header, message.header.round, self.name, message.peer)
        return dataclasses.replace(reply, body=seal(address, PAYLOAD, reply.body, self._identity, peer))


def _payload(header: Address, step: int, sender: str, recipient: str) -> Address:
    """A payload's address: both sides of a step are asked under one attempt, so that none fits into another."""
    return dataclasses.replace(header, round=step, sender=sender, recipient=recipient)


def masks_of(plan: Plan, party: str) -> MaskedSum:
    """The masks of a party of a plan before it has joined a run; its group may have no other party."""
    return MaskedSum(lone=len(plan.members(plan.party(party).group)) == 1)


def is_over(plan: Plan, now: float) -> bool:
    """Whether a plan's last day is past, in UTC, at `now` seconds since 1970."""
    return plan.expires is not None and datetime.fromtimestamp(now, UTC).date() > plan.expires


def answering(request: bytes, plan: str, party: str) -> Address:
    """What a refusal of a request answers to, as the request itself says, unchecked."""
    claimed = Address(plan, "", "", 0, 0, party, SERVER)
    if not is_signed(request):
        with contextlib.suppress(SealError):
            claimed = claimed_address(request)
    return dataclasses.replace(claimed, plan=plan, sender=party, recipient=SERVER)
