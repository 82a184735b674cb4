"""Secret random streams of one party, and the coins by which it samples records.

Every random decision that privacy rests on (who is sampled, which noise is added) is read from a
ChaCha20 keystream of its own. The key of a stream is

    HKDF-SHA256(secret, info = length-prefixed (label, run, phase, round, attempt, party, purpose, step))

(RFC 5869; RFC 8439), so streams with any differing coordinate are independent as far as HKDF and
ChaCha20 are pseudorandom, and each stream can be opened again without replaying the ones before it.

A real node draws its secret from the operating system for each run. A simulation derives it from a
seed and the party's name; whoever knows the seed can subtract the noise, so a seeded source protects
nobody and says so in `source`.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal

import numpy as np
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from numpy.typing import NDArray

from sealscore.shared.fields import pack_fields

Source = Literal["system", "seeded"]

SECRET_BYTES = 32
_LABEL = b"sealscore stream 1"
_SEEDED_LABEL = b"sealscore seeded secret 1"
# ChaCha20 takes a nonce, but no key is ever used twice: the coordinates are all in the key.
_NONCE = bytes(16)
_WORD = 2**32
# The block counter is 32 bits wide (RFC 8439, section 2.4); beyond it the keystream would repeat.
_MAX_BYTES = 2**32 * 64


class Purpose(Enum):
    """What a stream is for; one stream never serves two purposes."""

    SAMPLING = "sampling"
    NOISE = "noise"
    HANDLES = "handles"
    FILLER = "filler"


def _counter(name: str, value: int) -> bytes:
    if not 0 <= value < 2**64:
        raise ValueError(f"{name} must be in [0, 2^64), got {value}")
    return value.to_bytes(8, "big")


class Stream:
    """A keystream that is read once, front to back.

    Two reads of n words and one read of 2n words of the same width give the same words.
    """

    __slots__ = ("_encryptor", "_left", "source")

    def __init__(self, key: bytes, source: Source) -> None:
        if len(key) != SECRET_BYTES:
            raise ValueError(f"a stream key has {SECRET_BYTES} bytes, got {len(key)}")
        self._encryptor = Cipher(algorithms.ChaCha20(key, _NONCE), mode=None).encryptor()
        self._left = _MAX_BYTES
        self.source = source

    def _read(self, count: int) -> bytes:
        if count < 0:
            raise ValueError(f"cannot read {count} bytes")
        if count > self._left:
            raise ValueError("the stream is used up: 256 GiB were read from one key")
        self._left -= count
        return self._encryptor.update(bytes(count))

    def words(self, n: int) -> NDArray[np.uint64]:
        """The next n 64-bit words, shape (n,), little endian in the keystream."""
        return np.frombuffer(self._read(8 * n), dtype="<u8").astype(np.uint64, copy=False)

    def words32(self, n: int) -> NDArray[np.uint32]:
        """The next n 32-bit words, shape (n,), little endian in the keystream."""
        return np.frombuffer(self._read(4 * n), dtype="<u4").astype(np.uint32, copy=False)

    def __repr__(self) -> str:
        return f"Stream(source={self.source!r})"


@dataclass(frozen=True, slots=True, eq=False)
class StreamSource:
    """The secret of one party in one run, and where it came from.

    `source` is "system" for a secret drawn from the operating system and "seeded" for a simulation.
    The secret is kept out of `repr`, and sources are not comparable.
    """

    secret: bytes = field(repr=False)
    source: Source

    def __post_init__(self) -> None:
        if len(self.secret) != SECRET_BYTES:
            raise ValueError(f"a secret has {SECRET_BYTES} bytes, got {len(self.secret)}")
        if self.source not in ("system", "seeded"):
            raise ValueError(f"source must be 'system' or 'seeded', got {self.source!r}")

    @classmethod
    def system(cls) -> StreamSource:
        """A fresh secret from the operating system's generator."""
        return cls(os.urandom(SECRET_BYTES), "system")

    @classmethod
    def seeded(cls, seed: int, party: str) -> StreamSource:
        """The secret of `party` in a simulation with this seed: reproducible, and no protection."""
        encoded = pack_fields(_SEEDED_LABEL, str(int(seed)).encode(), party.encode())
        return cls(hashlib.sha256(encoded).digest(), "seeded")

    def stream(
        self,
        run: str,
        phase: str,
        round: int,
        attempt: int,
        party: str,
        purpose: Purpose,
        step: int = 0,
    ) -> Stream:
        """The stream at these coordinates, from its start.

        `step` separates the local steps of an algorithm that takes several of them in a round.

        Raises:
            ValueError: `round`, `attempt` or `step` is negative or beyond 64 bits.
        """
        info = stream_info(run, phase, round, attempt, party, purpose, step)
        key = HKDF(algorithm=hashes.SHA256(), length=SECRET_BYTES, salt=None, info=info).derive(self.secret)
        return Stream(key, self.source)


def stream_info(run: str, phase: str, round: int, attempt: int, party: str, purpose: Purpose, step: int = 0) -> bytes:
    """What the key of a stream is bound to, beside its secret.

    Raises:
        ValueError: as `StreamSource.stream`.
    """
    return pack_fields(
        _LABEL,
        run.encode(),
        phase.encode(),
        _counter("round", round),
        _counter("attempt", attempt),
        party.encode(),
        Purpose(purpose).value.encode(),
        _counter("step", step),
    )


def poisson_sample(stream: Stream, records: int, rate: float) -> NDArray[np.int64]:
    """Indices of the records in the sample, ascending, shape (sample size,), possibly empty.

    Record i is taken if the i-th 32-bit word of the stream is below floor(rate * 2^32), so its coin
    depends on no other record and not on how many records there are.

    Formal guarantees: the coins are independent with a common probability r in (rate - 2^-32, rate].
    Accounting for `rate` bounds the privacy loss from above: the pair that dominates a sampled
    Gaussian at r, (1 - r) N(0, s^2) + r N(1, s^2) against N(0, s^2), is the pair at `rate` with the
    output replaced by a fresh N(0, s^2) with probability 1 - r / rate. rate = 1 takes every record.

    Args:
        stream: the sampling stream of this party, phase, round and attempt, at its start.
        records: how many records the party holds, at least 0.
        rate: sample rate in [2^-32, 1]; below 2^-32 no record could ever be drawn.

    Raises:
        ValueError: `records` or `rate` is out of range.
    """
    if records < 0:
        raise ValueError(f"records must be at least 0, got {records}")
    return sampled([stream.words32(records)], rate)


def sampled(words: Sequence[NDArray[np.uint32]], rate: float) -> NDArray[np.int64]:
    """Indices of the sampled records of several parties, counted through, from the words of each: as `poisson_sample`.

    Raises:
        ValueError: `rate` is out of range.
    """
    if not (math.isfinite(rate) and 1 / _WORD <= rate <= 1.0):
        raise ValueError(f"sample rate must be in [2^-32, 1], got {rate}")
    # Scaling by a power of two is exact in float64, so floor sees the rate itself.
    threshold = np.uint64(math.floor(rate * _WORD))
    return np.flatnonzero(np.concatenate(words) < threshold).astype(np.int64, copy=False)
