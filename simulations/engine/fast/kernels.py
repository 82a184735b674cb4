"""Streams of many parties at once: compiled where the extra `fast` is installed, by numpy otherwise.

Both give the same numbers to the bit: floats are added in the same order, and all else is integers.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import ModuleType

import numpy as np

from sealscore.shared.randomness.noise import TOGETHER, FastDiscreteGaussian, proposal, proposals
from sealscore.shared.randomness.streams import Source, Stream

compiled: ModuleType | None
try:
    from sealscore.simulations.engine.fast import compiled
except ImportError:
    compiled = None
if sys.byteorder != "little":
    compiled = None  # keystreams are viewed as words as they lie in memory


def words32(keys: Sequence[bytes], source: Source, sizes: np.ndarray) -> list[np.ndarray]:
    """The first words of the streams with these keys, uint32, so many of each as `sizes` says."""
    if compiled is None:
        return [Stream(key, source).words32(size) for key, size in zip(keys, sizes.tolist(), strict=True)]
    words = _keystreams(keys, int(sizes.max(initial=0)))
    return [row[:size] for row, size in zip(words, sizes.tolist(), strict=True)]


def _keystreams(keys: Sequence[bytes], words: int) -> np.ndarray:
    """At least so many 32-bit words of each stream."""
    assert compiled is not None
    # Secrets are little-endian words in the cipher's state, and words are read little-endian.
    return np.asarray(compiled.keystreams(np.frombuffer(b"".join(keys), "<u4").reshape(-1, 8), words))


def noise(keys: Sequence[bytes], source: Source, scale: float, size: int) -> np.ndarray:
    """The sum of what the sampler draws from each of the streams with these keys: int64 [size]."""
    sampler = FastDiscreteGaussian()
    if compiled is None or scale == 0.0 or size == 0:
        return sampler.total([Stream(key, source) for key in keys], scale, size)
    tables, read, total = proposal(scale), proposals(size), np.zeros(size, dtype=np.int64)
    half, width = len(tables.entries) // 2, 1 << tables.offset_bits
    block, first = np.arange(2 * half), np.arange(-half, half, dtype=np.int64) * width
    ends = tables.approximate(block, first), tables.approximate(block, first + width - 1)
    # A block lies on one side of 0, so acceptance is least at one of its ends; words are judged exactly near it.
    sure = np.minimum(*ends) - 3.0
    together = max(1, TOGETHER // read)
    for start in range(0, len(keys), together):
        part = keys[start : start + together]
        words = _keystreams(part, 2 * read).view(np.uint64)[:, :read]
        done = compiled.add_noise(
            words, tables.table, half, tables.offset_bits, tables.exponent, tables.weight, sure, size, total
        )
        for row in np.flatnonzero(~done):
            total += sampler.sample(Stream(part[int(row)], source), scale, size)
    return total
