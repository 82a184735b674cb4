"""Typed messages, sealed: the header of a message is the address of its seal, and travels once.

So the header under which a message is opened is the header that was signed; there is no second one that could differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sealscore.shared.crypto.plan_keys import PeerKey, PlanKeys
from sealscore.shared.crypto.sealing import seal, unseal
from sealscore.shared.identity.identity import Card, Identity
from sealscore.shared.messages.codec import decode_body, encode_body
from sealscore.shared.messages.messages import Message


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
