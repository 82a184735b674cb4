"""What follows from an epsilon without composing: one Gaussian release, one randomized response."""

from __future__ import annotations

import math
from functools import lru_cache


@lru_cache(maxsize=256)
def gaussian_mu(epsilon: float, delta: float) -> float:
    """mu at which N(0, 1) against N(mu, 1) is (epsilon, delta) (Dong, Roth, Su 2019, corollary 2.13)."""

    def normal(x: float) -> float:
        return 0.5 * math.erfc(-x / math.sqrt(2.0))

    def loss(mu: float) -> float:
        return normal(mu / 2 - epsilon / mu) - math.exp(epsilon) * normal(-mu / 2 - epsilon / mu)

    low, high = 1e-12, 100.0
    while high / low > 1.0 + 1e-9:
        middle = math.sqrt(low * high)
        if loss(middle) > delta:
            high = middle
        else:
            low = middle
    return low


def kept_probability(epsilon: float) -> float:
    """How likely randomized response keeps a bit: e^epsilon / (1 + e^epsilon) (Warner 1965)."""
    return 1 / (1 + math.exp(-epsilon))
