"""What a lender and a platform send each other about aligned persons: one small number each, in the order of handles.

A payload names no person: it carries the digest of the handles, then a number for each of them and filling up to the
padded size. So its length follows from the plan, and one that was made for other handles is found out.
"""

from __future__ import annotations

import numpy as np

from sealscore.shared.crypto.alignment import Aligned
from sealscore.shared.randomness.streams import Stream

_DIGEST = 32


class PayloadError(ValueError):
    """A payload that is not of this pair: another length, other handles, or a number out of range."""


def bits_for(levels: int) -> int:
    """Bits of a number below `levels`, at least 1."""
    return max(1, (levels - 1).bit_length())


def pack_numbers(aligned: Aligned, numbers: np.ndarray, levels: int, filler: Stream) -> bytes:
    """Numbers int64 [handles] below `levels`, -1 where there is none to send -> bytes.

    Where there is none, and in the padding, there are random numbers, so the payload does not show how many there are.
    """
    width = bits_for(levels)
    random = (filler.words(aligned.size) % np.uint64(levels)).astype(np.int64)
    full = random.copy()
    full[: len(numbers)] = np.where(numbers < 0, random[: len(numbers)], numbers)
    bits = (full[:, None] >> np.arange(width)) & 1
    return aligned.digest + np.packbits(bits.astype(np.uint8)).tobytes()


def unpack_numbers(aligned: Aligned, payload: bytes, levels: int) -> np.ndarray:
    """Bytes -> numbers int64 [handles], filling included where the sender had none to send.

    Raises:
        PayloadError: see the class; the message says which.
    """
    width = bits_for(levels)
    expected = _DIGEST + -(-aligned.size * width // 8)
    if len(payload) != expected:
        raise PayloadError(f"a payload of this pair has {expected} bytes, this one has {len(payload)}")
    if payload[:_DIGEST] != aligned.digest:
        raise PayloadError("a payload speaks of handles that this pair does not have")
    raw = np.unpackbits(np.frombuffer(payload[_DIGEST:], dtype=np.uint8))[: aligned.size * width]
    numbers = (raw.reshape(aligned.size, width).astype(np.int64) << np.arange(width)).sum(axis=1)
    if (numbers >= levels).any():
        raise PayloadError(f"a payload has a number that is not below {levels}")
    return np.asarray(numbers[: len(aligned.handles)], dtype=np.int64)
