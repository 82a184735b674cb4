"""Typed messages that are signed and not sealed: what must pass before there are keys to seal to, and refusals.

They contain nothing secret: public keys, the time, heads of ledgers, the text of a plan or the
files of a release that is proposed, and codes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sealscore.shared.fields import FieldsError, pack_fields, unpack_fields
from sealscore.shared.identity.identity import BadSignature, Card, Identity
from sealscore.shared.messages.codec import decode, encode
from sealscore.shared.messages.messages import Message, MessageError

_LABEL = b"sealscore signed message 1"
_PURPOSE = "signed message"


class SignedMessageError(ValueError):
    """A signed message that is not taken: not signed by its sender, or no such message."""


def is_signed(data: bytes) -> bool:
    """Whether the bytes claim to be a signed message rather than a sealed one."""
    return data[4 : 4 + len(_LABEL)] == _LABEL


def sign_message(message: Message, identity: Identity) -> bytes:
    """The message, signed in the name of its header's sender; ValueError where that is another."""
    if message.header.sender != identity.name:
        raise ValueError("a message is signed by the sender that its header names")
    body = encode(message)
    return pack_fields(_LABEL, body, identity.sign(_PURPOSE, body))


def open_signed(data: bytes, cards: Mapping[str, Card], *expected: type[Any]) -> Any:
    """The signed message in `data`, of one of the expected types.

    Raises:
        SignedMessageError: see the class.
    """
    try:
        label, body, signature = unpack_fields(data, 3)
    except FieldsError:
        raise SignedMessageError("these bytes are no signed message") from None
    if label != _LABEL:
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
        card.check(signature, _PURPOSE, body)
    except BadSignature:
        return False
    return True
