"""The enrolment of a node: its card, and the key by which its SuperNode connects, in one small text file.

sealscore-card-1....
ecdsa-sha2-nistp384 ...
sealscore-enrolment-1....
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

from sealscore.shared.identity.identity import BadSignature, Card, CardError, Identity

_HEAD = "sealscore-enrolment-1."
_PURPOSE = "node key"


@dataclass(frozen=True)
class Enrolment:
    """A card with the public key of its node's connection, an OpenSSH line, signed by the card's holder."""

    card: Card
    key: str
    signature: bytes

    @classmethod
    def of(cls, identity: Identity, key: str) -> Enrolment:
        """The enrolment of an identity whose node connects with that key."""
        line = " ".join(key.split()[:2])
        return cls(identity.card, line, identity.sign(_PURPOSE, line.encode("ascii")))

    @property
    def text(self) -> str:
        """The file's text."""
        signed = base64.urlsafe_b64encode(self.signature).decode("ascii")
        return f"{self.card.text}\n{self.key}\n{_HEAD}{signed}\n"

    @classmethod
    def from_text(cls, text: str) -> Enrolment:
        """The enrolment in a file's text.

        Raises:
            CardError: it is none, or is not signed by the card's holder.
        """
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        if len(lines) != 3 or not lines[2].startswith(_HEAD):
            raise CardError("this is no enrolment of a node: one has a card, a key and a signature, a line each")
        card = Card.from_text(lines[0])
        try:
            signature = base64.b64decode(lines[2][len(_HEAD) :].encode("ascii"), altchars=b"-_", validate=True)
            card.check(signature, _PURPOSE, lines[1].encode("ascii"))
        except (binascii.Error, UnicodeEncodeError, BadSignature):
            raise CardError(f"the key of {card.name!r} is not signed by the card's holder") from None
        return cls(card, lines[1], signature)


def card_in(text: str) -> Card:
    """The card in the text of an enrolment or of a card alone; CardError where there is none."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    return Card.from_text(first)
