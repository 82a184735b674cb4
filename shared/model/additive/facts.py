"""How much a budget can show of a table, from public and released numbers: the rate of bads, signal over noise."""

from __future__ import annotations

import math
from dataclasses import dataclass

# A rate beyond these is more likely the noise of the count; at 0.5 the curvature is largest, and above it the same.
LEAST_RATE, LARGEST_RATE = 0.02, 0.5
# With fewer records no share is worth a number; a noisy count can even be negative.
LEAST_RECORDS = 10.0
# Without noise the rules that read the ratio take their limit.
NOISELESS = 1e9


@dataclass(frozen=True)
class Facts:
    """What is known of the training records before the fit: all of it public or released.

    `records` is the noisy number of training records, `rate` the share of bads among them, `features` how many the
    model reads, and `mu` the Gaussian budget of all sums together, infinite without noise.
    """

    records: float
    rate: float
    features: int
    mu: float

    @classmethod
    def of(cls, records: float, bads: float, features: int, mu: float) -> Facts:
        """From a noisy number of records and a noisy count of bads, each cut to what can be."""
        records = max(records, LEAST_RECORDS)
        return cls(records, min(max(bads / records, LEAST_RATE), LARGEST_RATE), features, mu)

    @property
    def curvature(self) -> float:
        """Mean of p (1 - p) over records who are all scored at the rate."""
        return self.rate * (1 - self.rate)

    @property
    def signal_to_noise(self) -> float:
        """snr = n mu h / f: the curvature that a feature's sums have against the noise."""
        if not math.isfinite(self.mu):
            return NOISELESS
        return self.records * self.mu * self.curvature / self.features

    @property
    def log_odds(self) -> float:
        """Logit of the rate."""
        return math.log(self.rate / (1 - self.rate))
