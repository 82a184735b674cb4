"""The token: what a platform tells one lender of one creator who agreed to it, sealed and signed.

It is a sealed message (`shared.crypto.sealing`) of kind "token": its address has the release in the place of a plan and
the month of the serving key in the place of a run. All tokens of a release have one length, whatever they tell.

Formal guarantees, as far as Ed25519, HPKE and HMAC-SHA256 hold: what `open_token` returns was made by the platform for
this lender under this release; only this lender can open it; and it fits an identifier other than the one that the
platform verified with probability 2^-256 (`Token.fits`). Whether it was used before is for the lender to know, by its
handle.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from sealscore.shared.crypto.sealing import PrivateKeys, WrongInfo, claimed_address, seal, unseal
from sealscore.shared.fields import FieldsError, pack_fields, unpack_fields
from sealscore.shared.identity.identity import Card, Identity
from sealscore.shared.messages.codec import Address
from sealscore.shared.serving.manifest import KINDS, Kind
from sealscore.shared.serving.serving_keys import ServingKeys, ServingPeer

HANDLE_BYTES = 16
_LABEL, _TAG_LABEL, _KIND, _PHASE = b"sealscore token 1", b"sealscore token person 1", "token", "token"
_NONE = 255
_PLAIN_BYTES = 352


class TokenError(ValueError):
    """A token that is not used; `status` is the word for it in an answer."""

    def __init__(self, status: str, what: str) -> None:
        super().__init__(what)
        self.status = status


@dataclass(frozen=True)
class Token:
    """The content of a token. `values` has a number for each kind that it tells; its `repr` shows none of them.

    `meaning` is that of the level (the tower's digest), `as_of` the day of the features, `consent` the SHA-256 of the
    text that the creator agreed to, `retraining` whether the consent names that, too.
    """

    release: str
    platform: str
    lender: str
    group: str
    purpose: str
    meaning: str
    handle: bytes
    as_of: date
    expires: date
    consent: str
    retraining: bool
    values: Mapping[Kind, int]
    tag: bytes

    def __repr__(self) -> str:
        return f"Token(release={self.release[:12]!r}, platform={self.platform!r}, lender={self.lender!r})"

    def fits(self, person: str) -> bool:
        """Whether the token is of the person with that identifier, in the plan's normal form."""
        return hmac.compare_digest(self.tag, person_tag(self.handle, person))

    def encode(self) -> bytes:
        """Always `_PLAIN_BYTES` long.

        Raises:
            ValueError: a value is not between 0 and 254.
        """
        if any(not 0 <= value < _NONE for value in self.values.values()):
            raise ValueError("values of a token are below 255")
        values = bytes(self.values.get(kind, _NONE) for kind in KINDS)
        body = pack_fields(
            _LABEL,
            bytes.fromhex(self.meaning),
            self.handle,
            self.as_of.isoformat().encode(),
            self.expires.isoformat().encode(),
            bytes.fromhex(self.consent),
            bytes([self.retraining]),
            values,
            self.tag,
            self.group.encode(),
            self.purpose.encode(),
        )
        if len(body) + 4 > _PLAIN_BYTES:
            raise ValueError(f"a token holds {_PLAIN_BYTES} bytes")
        return pack_fields(body).ljust(_PLAIN_BYTES, b"\0")


def person_tag(handle: bytes, person: str) -> bytes:
    """The keyed tag of an identifier; the key is the token's own handle, which the lender alone can read."""
    return hmac.digest(handle, pack_fields(_TAG_LABEL, person.encode()), hashlib.sha256)


def seal_token(token: Token, identity: Identity, recipient: ServingPeer) -> bytes:
    """The token as it is given to the creator.

    Raises:
        ValueError: it is of another platform than the identity, or for another lender than the key.
        CertificateError: nothing can be sealed to the lender's key.
    """
    address = Address(token.release, recipient.month, _PHASE, 0, 0, token.platform, token.lender)
    return seal(address, _KIND, token.encode(), identity, recipient.key)


def claimed_release(data: bytes) -> tuple[str, str]:
    """The release and the month that a token claims to be for, unchecked; SealError where it is no sealed message."""
    address = claimed_address(data)
    return address.plan, address.run


def open_token(data: bytes, keys: ServingKeys, release: str, cards: Mapping[str, Card]) -> Token:
    """The token in `data`; `cards` are those of the platforms of the release.

    Raises:
        SealError: the seal does not open, or was made for something else.
        TokenError: what was sealed is no token.
    """
    address, body = open_sealed(data, keys, release, cards, _KIND, _PHASE)
    return _decoded(body, address)


def open_sealed(
    data: bytes, keys: ServingKeys, release: str, cards: Mapping[str, Card], kind: str, phase: str
) -> tuple[Address, bytes]:
    """The address and the content of what a platform sealed to a lender under a release and the key of a month.

    Raises:
        SealError: the seal does not open, or was made for something else.
    """
    address, found, body = unseal(data, _Under(release, keys.keys), cards)
    if (found, address.phase, address.run, address.attempt) != (kind, phase, keys.month, 0):
        raise WrongInfo(f"a sealed message that is no {kind} of this month")
    return address, body


@dataclass(frozen=True)
class _Under:
    """A month's keys, for messages under a release: `shared.crypto.sealing.OpeningKeys`."""

    plan: str
    keys: PrivateKeys

    @property
    def name(self) -> str:
        return self.keys.name

    def open(self, ciphertext: bytes, info: bytes) -> bytes:
        return self.keys.open(ciphertext, info)


def _decoded(body: bytes, address: Address) -> Token:
    try:
        length = 4 + int.from_bytes(body[:4], "big")
        (inner,) = unpack_fields(body[:length], 1)
        label, meaning, handle, as_of, expires, *rest = unpack_fields(inner, 11)
        consent, retraining, values, tag, group, purpose = rest
        token = Token(
            release=address.plan,
            platform=address.sender,
            lender=address.recipient,
            group=group.decode(),
            purpose=purpose.decode(),
            meaning=meaning.hex(),
            handle=handle,
            as_of=date.fromisoformat(as_of.decode("ascii")),
            expires=date.fromisoformat(expires.decode("ascii")),
            consent=consent.hex(),
            retraining=retraining == b"\1",
            values={kind: value for kind, value in zip(KINDS, values, strict=True) if value != _NONE},
            tag=tag,
        )
        if label != _LABEL or len(handle) != HANDLE_BYTES or token.encode() != body:
            raise ValueError
    except (FieldsError, ValueError):
        raise TokenError("malformed", "what was sealed is no token") from None
    return token
