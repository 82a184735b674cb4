"""The form of a line in the log of scores: how it is sealed, chained and signed. Files of it are read for years."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import msgspec
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sealscore.shared.fields import pack_fields

SIGNED = b"sealscore score log 1"
"""What stands before a head that is signed."""

START = bytes(32)
"""The head of a log without lines."""

NONCE = 12
_LABEL = b"sealscore score line 1"
# What stands before the parts of a line that differ: lengths as `pack_fields` writes them.
_SEQ_LENGTH, _PERSON_LENGTH, _HEAD_LENGTH = ((8).to_bytes(4, "big"), (32).to_bytes(4, "big"), (32).to_bytes(4, "big"))
_BOUND, _CHAINED = pack_fields(_LABEL) + _SEQ_LENGTH, pack_fields(_LABEL) + _HEAD_LENGTH


def bound(seq: int, person: bytes) -> bytes:
    """What a body is sealed with beside its key: its own place and person, so that it opens in no other."""
    return _BOUND + seq.to_bytes(8, "big") + _PERSON_LENGTH + person


def opened(
    key: AESGCM,
    seq: int,
    person: bytes,
    body: bytes,
    read: Callable[[bytes], dict[str, Any]] = msgspec.json.decode,
) -> dict[str, Any] | None:
    """The content of a body as `read` gives it; None where the key does not open it there."""
    try:
        plain = key.decrypt(body[:NONCE], body[NONCE:], bound(seq, person))
        found: dict[str, Any] = read(plain)
    except (InvalidTag, ValueError, msgspec.DecodeError):
        return None
    return found


def chained(head: bytes, seq: int, at: str, kind: str, person: bytes, body: bytes) -> bytes:
    """The head after a line: `pack_fields` of (label, head before, number, time, kind, person, body), hashed.

    Put together by hand, as a replay hashes every line.
    """
    when, what = at.encode(), kind.encode()
    lengths = [len(part).to_bytes(4, "big") for part in (when, what, person, body)]
    joined = (_CHAINED, head, _SEQ_LENGTH, seq.to_bytes(8, "big"), lengths[0], when, lengths[1], what)
    return hashlib.sha256(b"".join((*joined, lengths[2], person, lengths[3], body))).digest()


def verified(key: Ed25519PublicKey, signature: bytes, head: bytes) -> bool:
    """Whether the holder of the key signed a head."""
    try:
        key.verify(signature, SIGNED + head)
    except InvalidSignature:
        return False
    return True
