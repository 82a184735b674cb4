"""Sealed and signed messages: only the recipient can open one, and only as what its sender sent it for.

Formal guarantees, as far as Ed25519 and HPKE hold: a message that `unseal` returns was sealed by the holder of the
card of its sender, for this very address and kind, and has not been changed since. The signature is over the
length-prefixed (info, ciphertext) and is checked before anything is opened; the same info is bound into the HPKE
key schedule, so a ciphertext that somebody else signs again opens under no other info. A message can still come
twice or late: whether one may be answered is for the recipient to know, by the order in `info`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from sealscore.shared.crypto.plan_keys import CannotOpen, PeerKey
from sealscore.shared.fields import FieldsError, pack_fields, unpack_fields
from sealscore.shared.identity.identity import SIGNATURE_BYTES, BadSignature, Card, Identity
from sealscore.shared.messages.address import Address
from sealscore.shared.text.foreign import grouped

_PURPOSE = "sealed message"
_LABEL = b"sealscore sealed message 1"


class SealError(ValueError):
    """A sealed message that is not opened; subclasses name the reason. Nothing of its content was read."""


class Malformed(SealError):
    """Bytes that are no sealed message: cut off, too long, or something else."""


class OtherPlan(SealError):
    """A message under another plan than the one that these keys are for."""


class NotForMe(SealError):
    """A message to another recipient."""


class UnknownSender(SealError):
    """A message in the name of somebody who is not enrolled in the plan."""


class WrongSignature(SealError):
    """A message that its sender did not sign as it is here."""


class WrongInfo(SealError):
    """A message that was sent for something else than is expected here: a replay, or two that were swapped."""


class WrongKey(SealError):
    """A well-signed message that was not sealed to the recipient's key under this plan."""


class OpeningKeys(Protocol):
    """The private keys of a recipient: `plan` is what messages to them name as the plan that they are under."""

    @property
    def plan(self) -> str:
        """A hash, 64 hexadecimal digits."""
        ...

    @property
    def name(self) -> str:
        """Whose keys they are."""
        ...

    def open(self, ciphertext: bytes, info: bytes) -> bytes:
        """What was sealed to them under `info`; CannotOpen where nothing was."""
        ...


def seal(address: Address, kind: str, plaintext: bytes, identity: Identity, recipient: PeerKey) -> bytes:
    """Seal a message of that kind to the recipient, then sign.

    Raises:
        ValueError: the address names another sender or recipient than the keys are of, or cannot be encoded.
        CertificateError: nothing can be sealed to the recipient's key.
    """
    if (address.sender, address.recipient) != (identity.name, recipient.name):
        raise ValueError("the address of a message names its sender and its recipient")
    info = address.encode(kind)
    ciphertext = recipient.seal(plaintext, _bound(info))
    return pack_fields(info, ciphertext, identity.sign(_PURPOSE, info, ciphertext))


def claimed_address(message: bytes) -> Address:
    """The address that a sealed message claims, which anyone can read and nobody has checked; Malformed if none."""
    return _parts(message)[0]


def unseal(
    message: bytes, keys: OpeningKeys, cards: Mapping[str, Card], expected: tuple[Address, str] | None = None
) -> tuple[Address, str, bytes]:
    """Check the signature, then open: the message's address, its kind and its plaintext.

    `cards` are those of the plan. `expected` is what the message must be, where the recipient knows it beforehand.

    Raises:
        SealError: always one of its subclasses, and no byte of the plaintext with it.
        KeysDestroyed: the plan has ended here.
    """
    address, kind, info, ciphertext, signature = _parts(message)
    if address.plan != keys.plan:
        raise OtherPlan(f"a message under plan {grouped(address.plan)}, these keys are for plan {grouped(keys.plan)}")
    if address.recipient != keys.name:
        raise NotForMe(f"a message to {address.recipient!r}, this is {keys.name!r}")
    if address.sender not in cards:
        raise UnknownSender(f"{address.sender!r} is not enrolled in plan {grouped(address.plan)}")
    try:
        cards[address.sender].check(signature, _PURPOSE, info, ciphertext)
    except BadSignature:
        raise WrongSignature(f"a message in the name of {address.sender!r} that it did not sign like this") from None
    if expected is not None and (address, kind) != expected:
        raise WrongInfo(f"{_named(address, kind)} came where {_named(*expected)} was expected")
    try:
        return address, kind, keys.open(ciphertext, _bound(info))
    except CannotOpen:
        raise WrongKey(f"a message of {address.sender!r} that is not sealed to the key of {keys.name!r}") from None


def _parts(message: bytes) -> tuple[Address, str, bytes, bytes, bytes]:
    try:
        info, ciphertext, signature = unpack_fields(message, 3)
    except FieldsError:
        raise Malformed("these bytes are no sealed message, or not all of one") from None
    if len(signature) != SIGNATURE_BYTES:
        raise Malformed(f"a signature has {SIGNATURE_BYTES} bytes")
    try:
        return *Address.decode(info), info, ciphertext, signature
    except ValueError:
        raise Malformed("a sealed message says in the clear what it is, and this one does not") from None


def _bound(info: bytes) -> bytes:
    return pack_fields(_LABEL, info)


def _named(address: Address, kind: str) -> str:
    place = f"{address.phase}, round {address.round}, attempt {address.attempt}"
    return f"{kind} of {address.run}, {place}, {address.sender} to {address.recipient}"
