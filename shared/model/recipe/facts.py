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
    model reads, and `mu` the Gaussian budget of all sums together, infinite without noise. Labels that went through
    randomized response kept their value with probability `keep`.
    """

    records: float
    rate: float
    features: int
    mu: float
    keep: float = 1.0

    @classmethod
    def of(cls, records: float, bads: float, features: int, mu: float, keep: float = 1.0) -> Facts:
        """From a noisy number of records and a noisy count of bads among them, each cut to what can be."""
        records = max(records, LEAST_RECORDS)
        return cls(records, min(max(bads / records, LEAST_RATE), LARGEST_RATE), features, mu, keep)

    @property
    def curvature(self) -> float:
        """What a record's label tells of its logit if all are scored at the rate: p (1 - p) of true labels.

        Of noisy ones the Fisher information is (2 keep - 1)^2 (p (1 - p))^2 / (q (1 - q)), q the rate that is seen.
        """
        true = self.rate * (1 - self.rate)
        seen = self.keep * self.rate + (1 - self.keep) * (1 - self.rate)
        return (2 * self.keep - 1) ** 2 * true**2 / (seen * (1 - seen))

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
