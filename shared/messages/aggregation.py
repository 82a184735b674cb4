"""A sum over parties: what a party sends for its vector, and what the server can read of all of them together.

Everything that is summed is a vector of integers of plan-fixed length whose entries stay within a public bound.
A party hands its vector to `protect` and sends the bytes; the server hands the bytes of a whole cohort to `total`.
The arithmetic is modulo 2^bits, bits a multiple of 8 and large enough that a sum of a whole cohort never wraps, so
any way of hiding single vectors that cancels modulo 2^bits gives bit for bit the sum that `PlainSum` gives.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from sealscore.shared.messages.address import Address


class AggregationError(ValueError):
    """A contribution that cannot be part of a sum: wrong length, or from outside the cohort."""


@dataclass(frozen=True)
class SumShape:
    """`length` entries; each party's entry is at most `bound` in absolute value; at most `parties` are added."""

    length: int
    bound: int
    parties: int

    @cached_property
    def bits(self) -> int:
        """Bits of an entry: 2^(bits-1) exceeds parties * bound, so the centred sum modulo 2^bits is the sum."""
        needed = (self.parties * self.bound).bit_length() + 1
        if needed > 64:
            raise ValueError(f"a sum of {self.parties} entries up to {self.bound} needs {needed} bits; at most 64")
        return -(-needed // 8) * 8

    def pack(self, vector: np.ndarray) -> bytes:
        """int64 [length] -> little-endian bytes, bits / 8 an entry, modulo 2^bits."""
        if vector.shape != (self.length,) or vector.dtype != np.int64:
            raise AggregationError(
                f"a vector of int64 [{self.length}] is summed here, not {vector.dtype} {vector.shape}"
            )
        if self.length and not -self.bound <= int(vector.min()) <= int(vector.max()) <= self.bound:
            raise AggregationError(f"an entry exceeds the public bound {self.bound}")
        raw = vector.astype("<i8").view(np.uint8).reshape(self.length, 8)
        return raw[:, : self.bits // 8].tobytes()

    def unpack(self, data: bytes) -> np.ndarray:
        """Bytes -> uint64 [length], each entry modulo 2^bits."""
        width = self.bits // 8
        if len(data) != self.length * width:
            raise AggregationError(f"a contribution has {self.length * width} bytes, not {len(data)}")
        raw = np.zeros((self.length, 8), dtype=np.uint8)
        raw[:, :width] = np.frombuffer(data, dtype=np.uint8).reshape(self.length, width)
        return raw.view("<u8").reshape(self.length).astype(np.uint64)

    def centre(self, total: np.ndarray) -> np.ndarray:
        """uint64 [length] modulo 2^64 -> int64 [length] in [-2^(bits-1), 2^(bits-1))."""
        shift = np.uint64(64 - self.bits)
        return (total << shift).view(np.int64) >> np.int64(64 - self.bits)


class Aggregation(Protocol):
    """The two sides of a sum. An implementation may hide single vectors; the total is the same integers."""

    def ready(self, cohort: tuple[str, ...]) -> bool:
        """At a party: whether `protect` can be asked for a sum over this cohort."""
        ...

    def protect(self, address: Address, cohort: tuple[str, ...], shape: SumShape, vector: np.ndarray) -> bytes:
        """At the party that is the address's sender: int64 [length] -> the bytes that it sends."""
        ...

    def total(self, cohort: tuple[str, ...], shape: SumShape, contributions: Mapping[str, bytes]) -> np.ndarray:
        """At the server: the bytes of every party of the cohort -> their sum, int64 [length]."""
        ...


class PlainSum:
    """Contributions in clear: the server can read every one of them. Only the noise protects a party here."""

    def ready(self, cohort: tuple[str, ...]) -> bool:
        """Always: nothing is needed to send a vector in clear."""
        return True

    def protect(self, address: Address, cohort: tuple[str, ...], shape: SumShape, vector: np.ndarray) -> bytes:
        """Pack the vector as it is."""
        return shape.pack(vector)

    def total(self, cohort: tuple[str, ...], shape: SumShape, contributions: Mapping[str, bytes]) -> np.ndarray:
        """Add modulo 2^64 and centre; AggregationError unless exactly the cohort contributed."""
        if set(contributions) != set(cohort):
            raise AggregationError("a sum needs the contribution of every party of its cohort, and of no other")
        total = np.zeros(shape.length, dtype=np.uint64)
        for party in cohort:
            total += shape.unpack(contributions[party])
        return shape.centre(total)
