"""Withdrawn consents, passed on to peers: who has a label or a signal of such a person deletes it.

A notice is sealed from party to peer and goes along with answers until the peer confirms it. It names persons by the
handles of the pair and is padded, so the server sees that somebody withdrew, but not who or how many.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass

from sealscore.clients.node.node import Node
from sealscore.shared.crypto.sealing import PeerKey, PlanKeys, seal, unseal
from sealscore.shared.fields import FieldsError, counter, pack_fields, unpack_fields
from sealscore.shared.identity.identity import Card, Identity
from sealscore.shared.ledger.disclosure_store import DisclosureStore
from sealscore.shared.messages.codec import Address

KIND = "notice"
BLOCK = 64
_ENTRY = 32 + 16
_WITHDRAWN, _TAKEN = b"withdrawn", b"taken"


@dataclass(frozen=True)
class _Pending:
    """A notice that a peer has not yet said to have taken."""

    body: bytes
    notices: list[tuple[str, bytes]]


class Withdrawals:
    """The notices of withdrawn consents that one node sends to its peers and gets from them."""

    def __init__(self, node: Node, disclosure_store: DisclosureStore, identity: Identity) -> None:
        self._node, self._disclosure_store, self._identity = node, disclosure_store, identity
        self._pending: dict[str, _Pending] = {}
        self._taken: dict[str, bytes] = {}
        # Whether a notice of a peer was taken of which the peer does not know yet.
        self.to_confirm = False

    def outgoing(self, run: str, peers: Mapping[str, PeerKey]) -> dict[str, bytes]:
        """Sealed notices to go along with the next answer, by peer: none where there is nothing to send."""
        found = {}
        for peer, key in peers.items():
            digest = self._taken.pop(peer, b"")
            notices = self._disclosure_store.notices(peer)
            if not notices and not digest:
                continue
            content = pack_fields(_WITHDRAWN, self._body(peer, notices), _TAKEN, digest)
            found[peer] = seal(self._address(run, self._node.name, peer), KIND, content, self._identity, key)
        self.to_confirm = bool(self._taken)
        return found

    def incoming(self, run: str, peer: str, notice: bytes, keys: PlanKeys, cards: Mapping[str, Card]) -> None:
        """Take a peer's notice: delete what it disclosed of these persons, or note that it took the own one.

        Raises:
            SealError: it is not the peer's.
            ValueError: it is no notice.
        """
        expected = self._address(run, peer, self._node.name), KIND
        *_, content = unseal(notice, keys, {peer: cards[peer]}, expected)
        try:
            said, body, taken, digest = unpack_fields(content, 4)
        except FieldsError as error:
            raise ValueError("a notice of another form") from error
        if (said, taken) != (_WITHDRAWN, _TAKEN):
            raise ValueError("a notice of another form")
        if body:
            by_plan: dict[str, list[bytes]] = {}
            for plan, handle in _unpack(body):
                by_plan.setdefault(plan, []).append(handle)
            for plan, handles in by_plan.items():
                self._node.forget(peer, plan, handles)
            self._taken[peer] = hashlib.sha256(body).digest()
            self.to_confirm = True
        if peer in self._pending and hashlib.sha256(self._pending[peer].body).digest() == digest:
            notices = self._pending.pop(peer).notices
            self._node.plan_ledger.withdrawn(peer, "passed", len(notices), None)
            self._disclosure_store.passed(peer, notices)

    def _body(self, peer: str, notices: list[tuple[str, bytes]]) -> bytes:
        """A notice's body; as long as there is nothing new in it the very same, so that a late word of it counts."""
        if not notices:
            return b""
        if peer not in self._pending or self._pending[peer].notices != notices:
            self._pending[peer] = _Pending(_pack(notices), notices)
        return self._pending[peer].body

    def _address(self, run: str, sender: str, recipient: str) -> Address:
        return Address(self._node.plan.hash, run, KIND, 0, 0, sender, recipient)


def _pack(notices: list[tuple[str, bytes]]) -> bytes:
    entries = b"".join(bytes.fromhex(plan) + handle for plan, handle in notices)
    filling = -len(notices) % BLOCK
    return counter(len(notices)) + entries + os.urandom(filling * _ENTRY)


def _unpack(body: bytes) -> list[tuple[str, bytes]]:
    count, entries = int.from_bytes(body[:8], "big"), body[8:]
    if len(entries) % (BLOCK * _ENTRY) or count > len(entries) // _ENTRY:
        raise ValueError("a notice of another length")
    starts = range(0, count * _ENTRY, _ENTRY)
    return [(entries[at : at + 32].hex(), entries[at + 32 : at + _ENTRY]) for at in starts]
