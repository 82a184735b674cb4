"""Serving keys: the pair to which platforms seal tokens for a lender, a fresh one each calendar month.

The form is that of plan keys; their scope is the month in the place of a plan's hash. The private half is destroyed
`KEPT_DAYS` after the last token of its month ends.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from datetime import date

from sealscore.shared.crypto.sealing import CertificateError, PeerKey, PlanKeys, PrivateKeys, peer_key
from sealscore.shared.fields import FieldsError, pack_fields, unpack_fields
from sealscore.shared.identity.identity import Card, Identity

KEPT_DAYS = 30
_LABEL = b"sealscore serving key 1"
KEY_HEAD = "sealscore-serving-key-1."
"""How the line of a serving key begins."""
_MONTH = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")


def month_of(day: date) -> str:
    """The calendar month of a day, as 2027-03."""
    return f"{day.year:04}-{day.month:02}"


def is_month(text: str) -> bool:
    """Whether it is a calendar month, as 2027-03, and nothing else."""
    return _MONTH.fullmatch(text) is not None


def scope_of(month: str) -> str:
    """What stands in the place of a plan's hash in certificates of a month; ValueError where it is no month."""
    if not is_month(month):
        raise ValueError(f"{month!r} is no month such as 2027-03")
    return hashlib.sha256(pack_fields(_LABEL, month.encode())).hexdigest()


@dataclass(frozen=True)
class ServingKeys:
    """A lender's own keys of one month, as `shared.crypto.sealing.unseal` takes them for a message under a release."""

    month: str
    keys: PrivateKeys

    @classmethod
    def of(cls, identity: Identity, month: str, secret: bytes) -> ServingKeys:
        """The keys of a month from their secret."""
        return cls(month, PlanKeys(identity, scope_of(month), secret))

    @classmethod
    def to_open(cls, lender: str, month: str, secret: bytes) -> ServingKeys:
        """The keys of a month for a process that opens tokens and has no identity: they certify nothing."""
        return cls(month, PrivateKeys(lender, scope_of(month), secret))

    @property
    def certificate(self) -> str:
        """The public half, certified by the lender, on one line of text; CertificateError of keys that only open."""
        if not isinstance(self.keys, PlanKeys):
            raise CertificateError(f"the serving key of {self.month} can open tokens only; the node certifies it")
        packed = pack_fields(self.month.encode(), self.keys.certificate)
        return KEY_HEAD + base64.urlsafe_b64encode(packed).decode("ascii")


@dataclass(frozen=True)
class ServingPeer:
    """The key of a lender for one month, from a certificate that was checked."""

    month: str
    key: PeerKey

    @classmethod
    def read(cls, text: str, card: Card) -> ServingPeer:
        """The key on that line, if the holder of the card certified it.

        Raises:
            CertificateError: it did not, or the line holds none.
        """
        body = text.strip().removeprefix(KEY_HEAD)
        try:
            if body == text.strip():
                raise FieldsError("no head")
            raw = base64.b64decode(body.encode("ascii"), altchars=b"-_", validate=True)
            month, certificate = unpack_fields(raw, 2)
            scope = scope_of(month.decode("ascii"))
        except (binascii.Error, FieldsError, ValueError):
            raise CertificateError(f"this is no serving key: a line of one begins with {KEY_HEAD}") from None
        return cls(month.decode("ascii"), peer_key(certificate, card, scope))
