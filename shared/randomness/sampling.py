"""Poisson sampling of records with secret coins."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from sealscore.shared.randomness.streams import Stream

_WORD = 2**32


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
    if not (math.isfinite(rate) and 1 / _WORD <= rate <= 1.0):
        raise ValueError(f"sample rate must be in [2^-32, 1], got {rate}")
    # Scaling by a power of two is exact in float64, so floor sees the rate itself.
    threshold = np.uint64(math.floor(rate * _WORD))
    taken = stream.words32(records) < threshold
    return np.flatnonzero(taken).astype(np.int64, copy=False)
