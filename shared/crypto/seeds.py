"""The seeds that each two parties of a group share in a run, from which their masks follow.

Set-up, once a run and again after a restart of any of them, under a number (the epoch) that rises each time: every
party draws a fresh 32-byte seed for each peer, seals it to the peer's plan key (hybrid HPKE) and signs a list of
digests of all that it sealed. The server hands each party the lists of all others and its own sealed seeds from
them (`split_offer`). A pair's secret is both seeds, so it is fresh if either of the two drew well, it was opened by
nobody but the two, and it is gone when they have erased it.

The digest of a list covers all seeds of its party. Every party puts the digests of a whole cohort into the keys
of its masks (`sealscore.shared.crypto.aggregation`), so parties to whom the server showed different offers have masks
that do not cancel: the sum is noise then, and still shows nothing of a party.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping

from sealscore.shared.crypto.aggregation import SEED_LABEL, SharedSeeds
from sealscore.shared.crypto.sealing import CannotOpen, PeerKey, PlanKeys
from sealscore.shared.fields import FieldsError, counter, pack_fields, plan_bytes, unpack_fields
from sealscore.shared.identity.identity import BadSignature, Card, Identity

SEED_BYTES = 32
_PURPOSE = "seed offer"


class OfferError(ValueError):
    """An offer that is not taken: not of this run and epoch, not signed by its party, or not for this one."""


class Seeds(SharedSeeds):
    """The seeds of one party with each peer of its group, for one epoch of one run. Its `repr` shows none.

    `cards` and `peers` are the peers' cards and plan keys; the own name among them is left out. `offer` is the one
    message that this party sends.
    """

    def __init__(
        self,
        identity: Identity,
        keys: PlanKeys,
        run: str,
        epoch: int,
        cards: Mapping[str, Card],
        peers: Mapping[str, PeerKey],
    ) -> None:
        """Draw a seed for each peer and seal it; CertificateError names a peer to whose key nothing can be sealed."""
        self._keys = keys
        self._cards = {name: cards[name] for name in peers if name != identity.name}
        own = {name: bytearray(os.urandom(SEED_BYTES)) for name in sorted(self._cards)}
        super().__init__(identity.name, keys.plan, run, epoch, own)
        sealed = {name: peers[name].seal(bytes(seed), self._info(self.name, name)) for name, seed in self._own.items()}
        listed = pack_fields(*(pack_fields(name.encode(), _sha256(sealed[name])) for name in sealed))
        manifest = pack_fields(self._head(), self.name.encode(), listed)
        self._digests = {self.name: _sha256(manifest)}
        self.offer = pack_fields(manifest, identity.sign(_PURPOSE, manifest), pack_fields(*sealed.values()))

    def accept(self, delivery: bytes) -> str:
        """Take a peer's seed from what `split_offer` made of its offer for this party; returns the peer's name.

        Raises:
            OfferError: see the class; also for a second, different offer of a peer in one epoch.
            SeedsMissing: the seeds are erased.
        """
        self._check_open()
        try:
            manifest, signature, sealed = unpack_fields(delivery, 3)
            head, sender, listed = unpack_fields(manifest, 3)
            entries = [unpack_fields(entry, 2) for entry in unpack_fields(listed)]
        except FieldsError:
            raise OfferError("these bytes are no offer of seeds") from None
        name = sender.decode("utf-8", "replace")
        if name not in self._cards:
            raise OfferError(f"{name[:40]!r} is no peer of {self.name!r} in this run")
        try:
            self._cards[name].check(signature, _PURPOSE, manifest)
        except BadSignature:
            raise OfferError(f"an offer in the name of {name!r} that it did not sign") from None
        if head != self._head():
            raise OfferError(f"an offer of {name!r} for another plan, run or epoch")
        digest = _sha256(manifest)
        if self._digests.get(name, digest) != digest:
            raise OfferError(f"a second offer of {name!r} in one epoch")
        if (self.name.encode(), _sha256(sealed)) not in entries:
            raise OfferError(f"an offer of {name!r} without the seed for {self.name!r} that its list names")
        try:
            seed = self._keys.open(sealed, self._info(name, self.name))
        except CannotOpen:
            raise OfferError(f"an offer of {name!r} that is not sealed to the key of {self.name!r}") from None
        if len(seed) != SEED_BYTES:
            raise OfferError(f"an offer of {name!r} with a seed of {len(seed)} bytes")
        self._theirs[name], self._digests[name] = bytearray(seed), digest
        return name

    def _head(self) -> bytes:
        return pack_fields(SEED_LABEL, plan_bytes(self.plan), self.run.encode(), counter(self.epoch))

    def _info(self, sender: str, recipient: str) -> bytes:
        return pack_fields(self._head(), sender.encode(), recipient.encode())


def split_offer(offer: bytes) -> tuple[str, str, dict[str, bytes]]:
    """At the server: the name of an offer's party, the digest of the offer, and what to hand to each peer.

    Nothing is checked but the form; each party checks what it is handed.

    Raises:
        OfferError: these bytes are no offer.
    """
    try:
        manifest, signature, sealed = unpack_fields(offer, 3)
        _, sender, listed = unpack_fields(manifest, 3)
        names = [unpack_fields(entry, 2)[0].decode("utf-8") for entry in unpack_fields(listed)]
        entries = unpack_fields(sealed, len(names))
        deliveries = {name: pack_fields(manifest, signature, entry) for name, entry in zip(names, entries, strict=True)}
        return sender.decode("utf-8"), _sha256(manifest).hex(), deliveries
    except (FieldsError, UnicodeDecodeError):
        raise OfferError("these bytes are no offer of seeds") from None


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
