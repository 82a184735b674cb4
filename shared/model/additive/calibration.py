"""From the fitted logits to probabilities: the clip's known bias inverted, then a curve from noisy sums of residuals.

A record adds to the sums (y - p) phi and 2 p (1 - p) phi phi', where phi are eight tent functions of its inverted
logit. Formal guarantees: the vector that one record adds has L2 norm at most 1, since tents are at most 1 together and
(1 - p)^2 (1 + 4 p^2) <= 1 (docs/proofs/additive.md).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from scipy.special import expit

from sealscore.shared.model.additive.facts import Facts
from sealscore.shared.model.additive.solver import Released

KNOTS = 8
CURVE_LENGTH = 1 + KNOTS
SUMS = KNOTS + KNOTS + (KNOTS - 1)
ROUNDS = 2
_FIRST = -3.0
# Prior deviations of the correction: of a level, of a slope, and of a curve that bends over 1.2 logits.
_LEVEL, _SLOPE, _BEND, _REACH = 0.25, 0.15, 0.25, 1.2
# No round moves a knot by more.
_MOST_STEP = 1.0


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
        ValueError: a number is not finite, there are not `KNOTS` corrections, or the corrected logit falls.
    """

    first: float
    corrections: tuple[float, ...] = field(default=(0.0,) * KNOTS)

    def __post_init__(self) -> None:
        steps = np.diff(self.corrections)
        if len(self.corrections) != KNOTS or not np.isfinite([self.first, *self.corrections]).all():
            raise ValueError(f"a curve has a first knot and {KNOTS} finite corrections")
        if (steps < -1 - 1e-9).any():
            raise ValueError("a curve must not fall")

    @classmethod
    def around(cls, facts: Facts) -> PdCurve:
        """No correction, with knots around the released rate."""
        return cls(facts.log_odds + _FIRST)

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


class Calibrator:
    """Kalman steps with the known noise, from a smooth prior; the curve is made monotone after the last."""

    def __init__(self, facts: Facts) -> None:
        self._start = PdCurve.around(facts)
        distance = _FIRST + np.arange(KNOTS)
        apart = distance[:, None] - distance
        self._mean = np.zeros(KNOTS)
        self._covariance = (
            _LEVEL**2 + _SLOPE**2 * np.outer(distance, distance) + _BEND**2 * np.exp(-0.5 * (apart / _REACH) ** 2)
        )

    @property
    def curve(self) -> PdCurve:
        """The curve so far, monotone: at it the next sums are asked."""
        knots = np.arange(KNOTS)
        rising = np.maximum.accumulate(knots + self._mean) - knots
        return PdCurve(self._start.first, tuple(float(value) for value in rising))

    def update(self, released: Released) -> None:
        """Take the sums that were asked at `curve`, float64 [SUMS]."""
        residuals, diagonal, beside = np.split(released.values, [KNOTS, 2 * KNOTS])
        noise = released.noise / 2
        diagonal, beside = diagonal / 2, beside / 2
        if noise:
            # Shrunk by their noise; what does not stand out of it counts as nothing.
            shrunk = diagonal - noise**2 / np.maximum(diagonal, 1e-9)
            diagonal = np.where(diagonal > noise, np.maximum(shrunk, 0.0), 0.0)
        diagonal = np.maximum(diagonal, 0.0)
        beside = np.clip(beside, 0.0, 0.5 * np.sqrt(diagonal[1:] * diagonal[:-1]))
        information = np.diag(diagonal) + np.diag(beside, 1) + np.diag(beside, -1)
        spread = information @ self._covariance @ information + information
        spread += (released.noise**2 + 1e-6) * np.eye(KNOTS)
        gain = self._covariance @ information @ np.linalg.inv(spread)
        self._mean = self._mean + np.clip(gain @ residuals, -_MOST_STEP, _MOST_STEP)
        covariance = self._covariance - gain @ information @ self._covariance
        self._covariance = (covariance + covariance.T) / 2
