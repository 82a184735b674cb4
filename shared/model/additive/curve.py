"""From the fitted logits to probabilities: the clip's known bias inverted, then a curve from noisy sums of residuals.

A record adds to the sums (y - p) phi and 2 p (1 - p) phi phi', where phi are eight tent functions of its inverted
logit. Formal guarantees: the vector that one record adds has L2 norm at most 1, since tents are at most 1 together and
(1 - p)^2 (1 + 4 p^2) <= 1 (docs/proofs/additive.md).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from sealscore.shared.model.logistic import expit

KNOTS = 8
CURVE_LENGTH = 1 + KNOTS
SUMS = KNOTS + KNOTS + (KNOTS - 1)
# Seen from the logit of the rate of bad outcomes.
FIRST_KNOT = -3.0
# Of the first knot and of each correction, far beyond those of any rate and any fit: a steep curve would make much of
# the last bit of a logit.
CURVE_LIMIT = 2.0**3


def residual_error(records: int) -> float:
    """gamma: a record moves the float64 sums of up to that many records by at most 1 + gamma, at any score and curve.

    1.01 (2 n (n + 2) u + 2^15 n u) with u = 2^-53: two sums, and last bits of functions of one entry of all others.
    """
    return 1.01 * (2.0 * records * (records + 2) + 2.0**15 * records) * 2.0**-53


def unclipped(logits: np.ndarray) -> np.ndarray:
    """Logits of the rates at which clipped slopes balance: odd and rising, so ranks stay as they are.

    At score p with true rate q, good and bad records balance where q min(1 - p, 1/2) = (1 - q) min(p, 1/2): the code's
    root mean square is twice the clip norm. So q / (1 - q) is 2 p below 1/2.
    """
    return np.asarray(np.sign(logits) * (np.logaddexp(0.0, np.abs(logits)) - math.log(2)))


@dataclass(frozen=True)
class PdCurve:
    """A correction of the inverted logit, piecewise linear between knots one apart from `first` on, flat beyond.

    Raises:
        ValueError: a number is beyond `CURVE_LIMIT`, there are not `KNOTS` corrections, or the corrected logit falls.
    """

    first: float
    corrections: tuple[float, ...] = field(default=(0.0,) * KNOTS)

    def __post_init__(self) -> None:
        steps = np.diff(self.corrections)
        numbers = np.array([self.first, *self.corrections])
        if len(self.corrections) != KNOTS or not (np.abs(numbers) <= CURVE_LIMIT).all():
            raise ValueError(f"a curve has a first knot and {KNOTS} corrections, each within {CURVE_LIMIT:g} of 0")
        if (steps < -1 - 1e-9).any():
            raise ValueError("a curve must not fall")

    @classmethod
    def around(cls, log_odds: float) -> PdCurve:
        """No correction, with knots around the logit of a rate."""
        return cls(log_odds + FIRST_KNOT)

    def vector(self) -> np.ndarray:
        """Its numbers in one vector, float64 [`CURVE_LENGTH`]."""
        return np.array([self.first, *self.corrections])

    @classmethod
    def of_vector(cls, numbers: np.ndarray) -> PdCurve:
        """The curve of such a vector; ValueError where it is none."""
        if numbers.shape != (CURVE_LENGTH,):
            raise ValueError(f"a curve has {CURVE_LENGTH} numbers, not {list(numbers.shape)}")
        first, *corrections = (float(number) for number in numbers)
        return cls(first, tuple(corrections))

    def logits(self, fitted: np.ndarray) -> np.ndarray:
        """Fitted logits [n] -> calibrated logits [n]."""
        inverted = unclipped(fitted)
        place, part = self.tents(inverted)
        table = np.array(self.corrections)
        return np.asarray(inverted + table[place] * (1 - part) + table[place + 1] * part, dtype=np.float64)

    def tents(self, inverted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The knot below each inverted logit, int64 [n], and the part of the way to the next, float64 [n] in [0, 1]."""
        at = np.clip(inverted - self.first, 0, KNOTS - 1)
        place = np.minimum(at.astype(np.int64), KNOTS - 2)
        return place, at - place


def residual_sums(curve: PdCurve, fitted: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Fitted logits and labels [n] -> float64 [SUMS]: residuals by knot, then curvature by knot, and by two knots.

    The curvature's numbers are twice p (1 - p) phi phi'.
    """
    place, part = curve.tents(unclipped(fitted))
    p = expit(curve.logits(fitted))
    residual, spread = labels - p, 2 * p * (1 - p)

    def by_knot(lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
        return np.asarray(
            np.bincount(place, weights=lower, minlength=KNOTS) + np.bincount(place + 1, weights=upper, minlength=KNOTS)
        )

    between = np.bincount(place, weights=spread * part * (1 - part), minlength=KNOTS - 1)
    return np.concatenate(
        [by_knot(residual * (1 - part), residual * part), by_knot(spread * (1 - part) ** 2, spread * part**2), between]
    )
