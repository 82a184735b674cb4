"""How a tower's budget is shared out over the sums of its fit, from public numbers alone."""

from __future__ import annotations

from dataclasses import dataclass

from sealscore.shared.model.recipe.facts import Facts

_BINS, _CALIBRATION = 0.05, 0.05
# Of what is left.
_RATE, _FIRST, _PAIRS = 0.01, 0.15, 0.05
# Below these a release costs more than it can tell.
_WORTH_CALIBRATING, _WORTH_PAIRS = 10.0, 50.0
# All pairs of more features would be too long a sum.
_MOST_PAIRED = 40
# Noise must follow from the plan alone, so the rate of bads is assumed where it says which releases there are.
_ASSUMED_RATE = 0.2


@dataclass(frozen=True)
class FitShares:
    """Shares of a tower's squared signal-to-noise budget; they add to 1, and 0 is a release that there is not."""

    bins: float
    rate: float
    first: float
    pairs: float
    second: float
    calibration: float

    @classmethod
    def planned(
        cls, records: float, features: int, mu: float, scores: bool = True, keep: float = 1.0, counts: bool = True
    ) -> FitShares:
        """From nominal numbers: training records, features, the Gaussian budget of the tower, and labels' noise.

        A platform's tower does not score: it is not calibrated, and takes the rate that lenders have released. One
        that does not count takes bins and rate of another tower of the same records.
        """
        expected = Facts.of(records, records * _ASSUMED_RATE, features, mu, keep).signal_to_noise
        calibration = _CALIBRATION if scores and expected >= _WORTH_CALIBRATING else 0.0
        bins = _BINS if counts else 0.0
        left = 1 - bins - calibration
        rate = _RATE * left if scores and counts else 0.0
        first = _FIRST * (left - rate)
        paired = 1 < features <= _MOST_PAIRED and expected >= _WORTH_PAIRS
        pairs = _PAIRS * (left - rate) if paired else 0.0
        return cls(bins, rate, first, pairs, left - rate - first - pairs, calibration)
