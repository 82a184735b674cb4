"""Sealed and signed messages: the keys that they are sealed to, and what they are bound to.

Keys: one pair a plan and holder, hybrid post-quantum, destroyed at the end of the plan. HPKE (RFC 9180) in base mode
with the KEM of ML-KEM-768 and X25519 together, HKDF-SHA256 and AES-256-GCM: closed as long as either KEM is. The
public half travels in a certificate that the holder signs over (plan, name, key).

Formal guarantees, as far as Ed25519 and HPKE hold: a message that `unseal` returns was sealed by the holder of the
card of its sender, for this very address and kind, and has not been changed since. The signature is over the
length-prefixed (info, ciphertext) and is checked before anything is opened; the same info is bound into the HPKE
key schedule, so a ciphertext that somebody else signs again opens under no other info. A message can still come
twice or late: whether one may be answered is for the recipient to know, by the order in `info`.

A typed message has its header as the address of its seal, which travels once: the header under which it is opened is
the header that was signed. Messages that are signed and not sealed pass before there are keys to seal to, or are
refusals: public keys, the time, heads of ledgers, the text of a plan or the files of a release that is proposed, codes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)

from sealscore.shared.fields import FieldsError, pack_fields, plan_bytes, unpack_fields
from sealscore.shared.identity.identity import SIGNATURE_BYTES, BadSignature, Card, Identity
from sealscore.shared.messages.codec import Address, MessageError, decode, decode_body, encode, encode_body
from sealscore.shared.messages.messages import Message
from sealscore.shared.text.foreign import grouped

OVERHEAD = 1_136
"""Bytes by which a ciphertext is longer than what it seals."""

_SUITE = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_MLKEM_PUBLIC, _X25519_PUBLIC = 1_184, 32
_MLKEM_SEED, _X25519_PRIVATE = 64, 32
_PLAN_KEY = "plan key"
_SEALED = "sealed message"
_BOUND = b"sealscore sealed message 1"
_SIGNED_LABEL = b"sealscore signed message 1"
_SIGNED = "signed message"


class CertificateError(ValueError):
    """A certificate that is no certificate, or not of this holder under this plan."""


class CannotOpen(ValueError):
    """A ciphertext that was sealed to another key, under another info, or changed since."""


class KeysDestroyed(RuntimeError):
    """The plan has ended, and its keys with it."""


@dataclass(frozen=True)
class PeerKey:
    """The public key of another holder under a plan, from a certificate that was checked."""

    name: str
    _public: MLKEM768X25519PublicKey = field(repr=False)

    def seal(self, plaintext: bytes, info: bytes) -> bytes:
        """Ciphertext, `OVERHEAD` bytes longer, that only the holder can open and only under the same info.

        Raises:
            CertificateError: the holder certified a key that nothing can be sealed to.
        """
        try:
            return _SUITE.encrypt(plaintext, self._public, info=info)
        except ValueError:
            raise CertificateError(f"nothing can be sealed to the key of {self.name!r}") from None


class PrivateKeys:
    """The own private half under one plan, for a process that opens what is sealed to it and certifies nothing.

    `destroy` drops it; Python cannot wipe what the library still keeps until it is collected. Its `repr` shows no key.
    """

    def __init__(self, name: str, plan: str, secret: bytes) -> None:
        """`secret` is the seed of the ML-KEM key (64 bytes) and the X25519 key (32 bytes)."""
        if len(secret) != _MLKEM_SEED + _X25519_PRIVATE:
            raise ValueError(f"plan keys have {_MLKEM_SEED + _X25519_PRIVATE} bytes, got {len(secret)}")
        self.plan, self.name = plan, name
        mlkem = MLKEM768PrivateKey.from_seed_bytes(secret[:_MLKEM_SEED])
        x25519 = X25519PrivateKey.from_private_bytes(secret[_MLKEM_SEED:])
        self._private: MLKEM768X25519PrivateKey | None = MLKEM768X25519PrivateKey(mlkem, x25519)
        self._public = mlkem.public_key().public_bytes_raw() + x25519.public_key().public_bytes_raw()

    def open(self, ciphertext: bytes, info: bytes) -> bytes:
        """What was sealed to these keys under `info`.

        Raises:
            CannotOpen: see the class.
            KeysDestroyed: see the class.
        """
        if self._private is None:
            raise KeysDestroyed(f"the keys of {self.name!r} under plan {grouped(self.plan)} are destroyed")
        try:
            return _SUITE.decrypt(ciphertext, self._private, info=info)
        except (InvalidTag, ValueError):
            raise CannotOpen("sealed to another key, for another purpose, or changed on the way") from None

    def destroy(self) -> None:
        """Forget the private half."""
        self._private = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self.name!r}, plan={self.plan!r})"


class PlanKeys(PrivateKeys):
    """The own key pair under one plan, with its certificate.

    They are in memory alone: a holder that restarts certifies new ones.
    """

    def __init__(self, identity: Identity, plan: str, secret: bytes) -> None:
        super().__init__(identity.name, plan, secret)
        fields = plan_bytes(plan), identity.name.encode(), self._public
        self.certificate = pack_fields(*fields, identity.sign(_PLAN_KEY, *fields))

    @classmethod
    def generate(cls, identity: Identity, plan: str) -> PlanKeys:
        """Fresh keys for a plan, by its hash; always from the operating system's generator."""
        return cls(identity, plan, cls.secret())

    @staticmethod
    def secret() -> bytes:
        """A fresh secret, from the operating system's generator."""
        return MLKEM768PrivateKey.generate().private_bytes_raw() + X25519PrivateKey.generate().private_bytes_raw()


def peer_key(certificate: bytes, card: Card, plan: str) -> PeerKey:
    """The key in a certificate, if the holder of the card signed it for this plan; CertificateError otherwise."""
    try:
        for_plan, name, public, signature = unpack_fields(certificate, 4)
    except FieldsError:
        raise CertificateError(f"this is no certificate of a key of {card.name!r}") from None
    if for_plan != plan_bytes(plan) or name != card.name.encode():
        raise CertificateError(
            f"a certificate of {card.name!r} under plan {grouped(plan)} is needed, this is another's"
        )
    try:
        card.check(signature, _PLAN_KEY, for_plan, name, public)
    except BadSignature:
        raise CertificateError(f"the certificate of a key of {card.name!r} is not signed by it") from None
    if len(public) != _MLKEM_PUBLIC + _X25519_PUBLIC:
        raise CertificateError(f"{card.name!r} certified a key of {len(public)} bytes")
    try:
        mlkem = MLKEM768PublicKey.from_public_bytes(public[:_MLKEM_PUBLIC])
        x25519 = X25519PublicKey.from_public_bytes(public[_MLKEM_PUBLIC:])
    except ValueError:
        raise CertificateError(f"{card.name!r} certified something that is no key") from None
    return PeerKey(card.name, MLKEM768X25519PublicKey(mlkem, x25519))


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
    return pack_fields(info, ciphertext, identity.sign(_SEALED, info, ciphertext))


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
        cards[address.sender].check(signature, _SEALED, info, ciphertext)
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
    return pack_fields(_BOUND, info)


def _named(address: Address, kind: str) -> str:
    place = f"{address.phase}, round {address.round}, attempt {address.attempt}"
    return f"{kind} of {address.run}, {place}, {address.sender} to {address.recipient}"


def seal_message(message: Message, identity: Identity, recipient: PeerKey) -> bytes:
    """Seal a message to the recipient that its header names, and sign it in the name of its sender.

    Raises:
        ValueError: the header names another sender or recipient than the keys are of.
        CertificateError: nothing can be sealed to the recipient's key.
    """
    return seal(message.header, type(message).__name__, encode_body(message), identity, recipient)


def unseal_message(data: bytes, keys: PlanKeys, cards: Mapping[str, Card], *expected: type[Any]) -> Any:
    """The message in `data`, of one of the expected types, its header checked to be its sender's own.

    Whether a message with that header may come now is for the recipient to know.

    Raises:
        SealError: the seal does not open; its subclass says why.
        MessageError: what was sealed is no message of an expected type.
        KeysDestroyed: the plan has ended here.
    """
    header, kind, body = unseal(data, keys, cards)
    return decode_body(kind, header, body, *expected)


class SignedMessageError(ValueError):
    """A signed message that is not taken: not signed by its sender, or no such message."""


def is_signed(data: bytes) -> bool:
    """Whether the bytes claim to be a signed message rather than a sealed one."""
    return data[4 : 4 + len(_SIGNED_LABEL)] == _SIGNED_LABEL


def sign_message(message: Message, identity: Identity) -> bytes:
    """The message, signed in the name of its header's sender; ValueError where that is another."""
    if message.header.sender != identity.name:
        raise ValueError("a message is signed by the sender that its header names")
    body = encode(message)
    return pack_fields(_SIGNED_LABEL, body, identity.sign(_SIGNED, body))


def open_signed(data: bytes, cards: Mapping[str, Card], *expected: type[Any]) -> Any:
    """The signed message in `data`, of one of the expected types.

    Raises:
        SignedMessageError: see the class.
    """
    try:
        label, body, signature = unpack_fields(data, 3)
    except FieldsError:
        raise SignedMessageError("these bytes are no signed message") from None
    if label != _SIGNED_LABEL:
        raise SignedMessageError("these bytes are no signed message")
    # Nothing is parsed that none of them has signed.
    signers = {name for name, card in cards.items() if _signed_by(card, signature, body)}
    if not signers:
        raise SignedMessageError(f"this is not signed by {' or '.join(map(repr, cards)) or 'anybody known here'}")
    try:
        message = decode(body, *expected)
    except MessageError as error:
        raise SignedMessageError(str(error)) from None
    sender: str = message.header.sender
    if sender not in signers:
        raise SignedMessageError("a message in the name of somebody else than who signed it")
    return message


def _signed_by(card: Card, signature: bytes, body: bytes) -> bool:
    try:
        card.check(signature, _SIGNED, body)
    except BadSignature:
        return False
    return True
