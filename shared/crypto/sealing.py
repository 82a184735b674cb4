"""Sealed and signed messages: only the recipient can open one, and only as what its sender sent it for.

Formal guarantees, as far as Ed25519 and HPKE hold: a message that `unseal` returns was sealed by the holder of the
card of `info.sender`, for this very `info`, and has not been changed since. The signature is over the
length-prefixed (info, ciphertext) and is checked before anything is opened; the same info is bound into the HPKE
key schedule, so a ciphertext that somebody else signs again opens under no other info. A message can still come
twice or late: whether one may be answered is for the recipient to know, by the order in `info`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass

from sealscore.shared.crypto.fields import FieldsError, counter, pack_fields, plan_bytes, unpack_fields
from sealscore.shared.crypto.plan_keys import CannotOpen, PeerKey, PlanKeys
from sealscore.shared.identity.identity import SIGNATURE_BYTES, BadSignature, Card, Identity
from sealscore.shared.text.foreign import grouped

_PURPOSE = "sealed message"
_LABEL = b"sealscore sealed message 1"
_INFO_FIELDS = 8


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


@dataclass(frozen=True)
class Info:
    """What a message is and where it belongs. `plan` is the plan's hash, `kind` the type of the message."""

    plan: str
    run: str
    phase: str
    round: int
    attempt: int
    kind: str
    sender: str
    recipient: str

    def encode(self) -> bytes:
        """Canonical bytes; ValueError where the plan is no hash or a counter is negative or beyond 64 bits."""
        texts = (self.run, self.phase, self.kind, self.sender, self.recipient)
        run, phase, kind, sender, recipient = (text.encode("utf-8") for text in texts)
        numbers = counter(self.round), counter(self.attempt)
        return pack_fields(plan_bytes(self.plan), run, phase, *numbers, kind, sender, recipient)

    @classmethod
    def decode(cls, data: bytes) -> Info:
        """The info in `data`; Malformed where there is none."""
        try:
            plan, run, phase, round, attempt, kind, sender, recipient = unpack_fields(data, _INFO_FIELDS)
            numbers = int.from_bytes(round, "big"), int.from_bytes(attempt, "big")
            texts = (kind.decode("utf-8"), sender.decode("utf-8"), recipient.decode("utf-8"))
            info = cls(plan.hex(), run.decode("utf-8"), phase.decode("utf-8"), *numbers, *texts)
            if info.encode() == data:
                return info
        except (FieldsError, UnicodeDecodeError, ValueError):
            pass
        raise Malformed("a sealed message says in the clear what it is, and this one does not")


def seal(info: Info, plaintext: bytes, identity: Identity, recipient: PeerKey) -> bytes:
    """Seal to the recipient, then sign.

    Raises:
        ValueError: `info` names another sender or recipient than the keys are of, or cannot be encoded.
        CertificateError: nothing can be sealed to the recipient's key.
    """
    if (info.sender, info.recipient) != (identity.name, recipient.name):
        raise ValueError("the info of a message names its sender and its recipient")
    encoded = info.encode()
    ciphertext = recipient.seal(plaintext, _bound(encoded))
    return pack_fields(encoded, ciphertext, identity.sign(_PURPOSE, encoded, ciphertext))


def read_info(message: bytes) -> Info:
    """What a sealed message claims to be, which anyone can read and nobody has checked; Malformed if nothing."""
    return _parts(message)[0]


def unseal(
    message: bytes, keys: PlanKeys, cards: Mapping[str, Card], expected: Info | None = None
) -> tuple[Info, bytes]:
    """Check the signature, then open: what the message is, and its plaintext.

    `cards` are those of the plan. `expected` is what the message must be, where the recipient knows it beforehand.

    Raises:
        SealError: always one of its subclasses, and no byte of the plaintext with it.
        KeysDestroyed: the plan has ended here.
    """
    info, encoded, ciphertext, signature = _parts(message)
    if info.plan != keys.plan:
        raise OtherPlan(f"a message under plan {grouped(info.plan)}, these keys are for plan {grouped(keys.plan)}")
    if info.recipient != keys.name:
        raise NotForMe(f"a message to {info.recipient!r}, this is {keys.name!r}")
    if info.sender not in cards:
        raise UnknownSender(f"{info.sender!r} is not enrolled in plan {grouped(info.plan)}")
    try:
        cards[info.sender].check(signature, _PURPOSE, encoded, ciphertext)
    except BadSignature:
        raise WrongSignature(f"a message in the name of {info.sender!r} that it did not sign like this") from None
    if expected is not None and info != expected:
        raise WrongInfo(f"{_named(info)} came where {_named(expected)} was expected")
    try:
        return info, keys.open(ciphertext, _bound(encoded))
    except CannotOpen:
        raise WrongKey(f"a message of {info.sender!r} that is not sealed to the key of {keys.name!r}") from None


def _parts(message: bytes) -> tuple[Info, bytes, bytes, bytes]:
    try:
        encoded, ciphertext, signature = unpack_fields(message, 3)
    except FieldsError:
        raise Malformed("these bytes are no sealed message, or not all of one") from None
    if len(signature) != SIGNATURE_BYTES:
        raise Malformed(f"a signature has {SIGNATURE_BYTES} bytes")
    return Info.decode(encoded), encoded, ciphertext, signature


def _bound(encoded: bytes) -> bytes:
    return pack_fields(_LABEL, encoded)


def _named(info: Info) -> str:
    _, run, *rest = astuple(info)
    return f"{rest[3]} of {run}, {rest[0]}, round {rest[1]}, attempt {rest[2]}, {rest[4]} to {rest[5]}"
