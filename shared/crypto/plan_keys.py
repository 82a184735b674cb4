"""The keys to which others seal: one pair a plan and holder, hybrid post-quantum, destroyed at the plan's end.

HPKE (RFC 9180) in base mode with the KEM of ML-KEM-768 and X25519 together, HKDF-SHA256 and AES-256-GCM: it stays
closed as long as either of the two KEMs does. The public half travels in a certificate that the holder's identity
signs over (plan, name, key).
"""

from __future__ import annotations

from dataclasses import dataclass, field

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
from sealscore.shared.identity.identity import BadSignature, Card, Identity
from sealscore.shared.text.foreign import grouped

OVERHEAD = 1_136
"""Bytes by which a ciphertext is longer than what it seals."""

_SUITE = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_MLKEM_PUBLIC, _X25519_PUBLIC = 1_184, 32
_MLKEM_SEED, _X25519_PRIVATE = 64, 32
_PURPOSE = "plan key"


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
        self.certificate = pack_fields(*fields, identity.sign(_PURPOSE, *fields))

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
        card.check(signature, _PURPOSE, for_plan, name, public)
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
