"""Who a party is: a signing key, and the card by which others know it.

Everything that a party or the server signs goes through `Identity.sign` and is checked by `Card.check`. What is
signed is the length-prefixed (label, purpose, fields), so a signature for one purpose is never valid for another.
Keys are Ed25519 (RFC 8032).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Literal, cast, get_args

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from sealscore.shared.fields import FieldsError, pack_fields, unpack_fields
from sealscore.shared.identity.keyfile import KeyFileError, read_key, write_key

Role = Literal["lender", "platform", "server"]

SIGNATURE_BYTES = 64
_KEY_BYTES = 32
_LABEL = b"sealscore signature 1"
_SEED_LABEL = b"sealscore simulated identity 1"
_CARD = "card"
_TEXT_HEAD = "sealscore-card-1."
_KEY_FILE = "identity"
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_FINGERPRINT_BYTES = 20
# Short messages are checked once: the head of a ledger comes round with every request.
_REMEMBERED = 512


class CardError(ValueError):
    """Bytes or text that are no card, or a card that its holder did not sign."""


class BadSignature(ValueError):
    """A signature that is not the holder's over these very fields."""


@dataclass(frozen=True)
class Card:
    """An enrolment card: name, role and public signing key (32 bytes), signed by the holder.

    `simulation` says that the key follows from a seed, so whoever knows the seed can sign in this name. A card is
    checked when it is made: one that its holder did not sign does not exist. What it proves is that the holder of
    the key chose this name, not that the holder is who the name says: that is what the fingerprint is for.
    """

    name: str
    role: Role
    key: bytes = field(repr=False)
    simulation: bool
    signature: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or self.role not in get_args(Role) or len(self.key) != _KEY_BYTES:
            raise CardError("a card has a name, a role of lender, platform or server, and a key of 32 bytes")
        try:
            self.check(self.signature, _CARD, *self._fields())
        except BadSignature:
            raise CardError(f"the card of {self.name!r} is not signed by the key that is on it") from None

    def _fields(self) -> tuple[bytes, ...]:
        return _fields(self.name, self.role, self.key, self.simulation)

    def check(self, signature: bytes, purpose: str, *fields: bytes) -> None:
        """BadSignature unless the holder signed these fields for this purpose."""
        message = _signed(purpose, fields)
        verified = _verified if len(message) <= _REMEMBERED else _verified.__wrapped__
        if not verified(self.key, signature, message):
            raise BadSignature(f"this is not signed by {self.name!r}")

    def canonical(self) -> bytes:
        """The card as bytes; equal cards have equal bytes."""
        return pack_fields(*self._fields(), self.signature)

    @classmethod
    def from_canonical(cls, data: bytes) -> Card:
        """The card in `data`; CardError where there is none."""
        try:
            name, role, key, simulation, signature = unpack_fields(data, 5)
            card = cls(name.decode("ascii"), cast(Role, role.decode("ascii")), key, simulation == b"\1", signature)
        except (FieldsError, UnicodeDecodeError):
            raise CardError("these bytes are no card") from None
        if card.canonical() != data:
            raise CardError("these bytes are no card in canonical form")
        return card

    @property
    def text(self) -> str:
        """The card on one line, to be put into a plan or a message."""
        return _TEXT_HEAD + base64.urlsafe_b64encode(self.canonical()).decode("ascii")

    @classmethod
    def from_text(cls, text: str) -> Card:
        """The card on that line; CardError where there is none or it is mistyped."""
        head, body = text.strip()[: len(_TEXT_HEAD)], text.strip()[len(_TEXT_HEAD) :]
        if head != _TEXT_HEAD:
            raise CardError(f"this text is no card: one begins with {_TEXT_HEAD}")
        try:
            card = cls.from_canonical(base64.b64decode(body.encode("ascii"), altchars=b"-_", validate=True))
        except (binascii.Error, UnicodeEncodeError):
            raise CardError("this text is no card: parts of it are missing or mistyped") from None
        if card.text != head + body:
            raise CardError("this text is no card as one is written")
        return card

    @property
    def fingerprint(self) -> str:
        """160 bits of SHA-256 over all but the signature, as eight groups of four letters and digits.

        Made to be read out over the telephone; `same_fingerprint` compares what a person typed.
        """
        digest = hashlib.sha256(pack_fields(b"sealscore fingerprint 1", *self._fields())).digest()
        text = base64.b32encode(digest[:_FINGERPRINT_BYTES]).decode("ascii")
        return "-".join(text[at : at + 4] for at in range(0, len(text), 4))


class Identity:
    """A party's or the server's own signing key, with its name and role. Its `repr` shows no key."""

    def __init__(self, name: str, role: Role, key: Ed25519PrivateKey, simulation: bool = False) -> None:
        self._key = key
        public = key.public_key().public_bytes_raw()
        signature = self.sign(_CARD, *_fields(name, role, public, simulation))
        self.card = Card(name, role, public, simulation, signature)

    @classmethod
    def generate(cls, name: str, role: Role) -> Identity:
        """A new identity, its key from the operating system's generator."""
        return cls(name, role, Ed25519PrivateKey.generate())

    @classmethod
    def simulated(cls, seed: int, name: str, role: Role) -> Identity:
        """The identity of `name` in a simulation with this seed: always the same key, which protects nobody."""
        info = pack_fields(_SEED_LABEL, str(int(seed)).encode(), name.encode(), role.encode())
        raw = HKDF(algorithm=hashes.SHA256(), length=_KEY_BYTES, salt=None, info=info).derive(b"simulation")
        return cls(name, role, Ed25519PrivateKey.from_private_bytes(raw), simulation=True)

    @property
    def name(self) -> str:
        """The name on the card."""
        return self.card.name

    @property
    def role(self) -> Role:
        """The role on the card."""
        return self.card.role

    @property
    def simulation(self) -> bool:
        """True where the key follows from a seed."""
        return self.card.simulation

    def sign(self, purpose: str, *fields: bytes) -> bytes:
        """The signature, 64 bytes, over the fields for this purpose."""
        return self._key.sign(_signed(purpose, fields))

    def save(self, path: Path, passphrase: str | None = None) -> None:
        """Write the key into a new file of mode 0600, under a passphrase if one is given.

        Raises:
            KeyFileError: the file exists or cannot be written.
            ValueError: a simulated identity has no use for a file.
        """
        if self.simulation:
            raise ValueError("a simulated identity follows from its seed and is not kept in a file")
        about = {"name": self.name, "role": self.role}
        write_key(path, _KEY_FILE, about, self._key.private_bytes_raw(), passphrase)

    @classmethod
    def load(cls, path: Path, passphrase: str | None = None) -> Identity:
        """The identity in a key file.

        Raises:
            KeyFileError: the file is missing, open to others, corrupt, or under another passphrase.
        """
        about, secret = read_key(path, _KEY_FILE, passphrase)
        try:
            return cls(about["name"], cast(Role, about["role"]), Ed25519PrivateKey.from_private_bytes(secret))
        except (KeyError, ValueError) as error:
            raise KeyFileError(f"{path}: contains no identity ({error}); restore it from a copy") from None

    def __repr__(self) -> str:
        return f"Identity(name={self.name!r}, role={self.role!r}, simulation={self.simulation})"


def same_fingerprint(one: str, other: str) -> bool:
    """Whether two fingerprints are the same, however they are grouped and whichever case they are in."""
    plain = [re.sub(r"[\s-]", "", text).upper() for text in (one, other)]
    return plain[0] == plain[1] and len(plain[0]) == _FINGERPRINT_BYTES * 8 // 5


@lru_cache(maxsize=4096)
def _verified(key: bytes, signature: bytes, message: bytes) -> bool:
    """Whether the key signed the message."""
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def _fields(name: str, role: str, key: bytes, simulation: bool) -> tuple[bytes, ...]:
    return name.encode(), role.encode(), key, b"\1" if simulation else b"\0"


def _signed(purpose: str, fields: tuple[bytes, ...]) -> bytes:
    return pack_fields(_LABEL, purpose.encode(), *fields)
