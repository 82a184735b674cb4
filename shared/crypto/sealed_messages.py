"""Typed messages, sealed: the header of a message is the info of its seal, and travels once.

So the header under which a message is opened is the header that was signed; there is no second one that could differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sealscore.shared.crypto.plan_keys import PeerKey, PlanKeys
from sealscore.shared.crypto.sealing import Info, seal, unseal
from sealscore.shared.identity.identity import Card, Identity
from sealscore.shared.messages.codec import decode_body, encode_body
from sealscore.shared.messages.messages import Header, Message


def info_of(header: Header, kind: type) -> Info:
    """The info under which a message of that type and header is sealed."""
    return Info(
        header.plan,
        header.run,
        header.phase,
        header.round,
        header.attempt,
        kind.__name__,
        header.sender,
        header.recipient,
    )


def seal_message(message: Message, identity: Identity, recipient: PeerKey) -> bytes:
    """Seal a message to the recipient that its header names, and sign it in the name of its sender.

    Raises:
        ValueError: the header names another sender or recipient than the keys are of.
        CertificateError: nothing can be sealed to the recipient's key.
    """
    return seal(info_of(message.header, type(message)), encode_body(message), identity, recipient)


def unseal_message(data: bytes, keys: PlanKeys, cards: Mapping[str, Card], *expected: type[Any]) -> Any:
    """The message in `data`, of one of the expected types, its header checked to be its sender's own.

    Whether a message with that header may come now is for the recipient to know.

    Raises:
        SealError: the seal does not hold; its subclass says why.
        MessageError: what was sealed is no message of an expected type.
        KeysDestroyed: the plan has ended here.
    """
    info, body = unseal(data, keys, cards)
    header = Header(info.plan, info.run, info.phase, info.round, info.attempt, info.sender, info.recipient)
    return decode_body(info.kind, header, body, *expected)
