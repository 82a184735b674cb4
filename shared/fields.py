"""Byte strings put together so that they come apart in one way only: each has its length in front."""

from __future__ import annotations

import struct

_LENGTH = struct.Struct(">I")


class FieldsError(ValueError):
    """Bytes that are not the expected number of length-prefixed fields: cut off, too long, or something else."""


def pack_fields(*parts: bytes) -> bytes:
    """Injective encoding of a tuple of byte strings: ("a", "bc") and ("ab", "c") differ."""
    joined: list[bytes] = []
    for part in parts:
        joined += _LENGTH.pack(len(part)), part
    return b"".join(joined)


def unpack_fields(data: bytes, count: int | None = None) -> tuple[bytes, ...]:
    """The fields that `pack_fields` put together; exactly `count` of them where it is given.

    Raises:
        FieldsError: see the class.
    """
    parts, at, end = [], 0, len(data)
    while at < end:
        start = at + _LENGTH.size
        if start > end or (at := start + _LENGTH.unpack_from(data, at)[0]) > end:
            raise FieldsError("the bytes end before their last field does")
        parts.append(data[start:at])
    if count is not None and len(parts) != count:
        raise FieldsError(f"{count} fields are expected here, not {len(parts)}")
    return tuple(parts)


def counter(value: int) -> bytes:
    """A number in [0, 2^64) as 8 bytes; ValueError for any other."""
    if not 0 <= value < 2**64:
        raise ValueError(f"a counter must be in [0, 2^64), got {value}")
    return value.to_bytes(8, "big")


def plan_bytes(plan: str) -> bytes:
    """A plan's hash, 64 lower-case hexadecimal digits, as 32 bytes; ValueError for anything else."""
    raw = bytes.fromhex(plan)
    if len(raw) != 32 or raw.hex() != plan:
        raise ValueError("a plan's hash has 64 lower-case hexadecimal digits")
    return raw
