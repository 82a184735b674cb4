"""The curve to probabilities, from released sums of residuals."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sealscore.shared.model.additive.curve import FIRST_KNOT, KNOTS, PdCurve
from sealscore.shared.model.recipe.solver import Released

ROUNDS = 2
# Prior deviations of the correction: of a level, of a slope, and of a curve that bends over 1.2 logits.
_LEVEL, _SLOPE, _BEND, _REACH = 0.25, 0.15, 0.25, 1.2
# No round moves a knot by more.
_MOST_STEP = 1.0


class Calibrator:
    """Kalman steps with the known noise, from a smooth prior; the curve is made monotone after the last.

    The prior's mean is no correction, or the corrections of an earlier curve.
    """

    def __init__(self, start: PdCurve) -> None:
        self._start = start
        distance = FIRST_KNOT + np.arange(KNOTS)
        apart = distance[:, None] - distance
        self._mean = np.array(start.corrections)
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


def calibrated(start: PdCurve, ask: Callable[[int, PdCurve], Released | None]) -> PdCurve:
    """The curve after all rounds of sums, which `ask` gives for a round and a curve: None where no more can be had."""
    calibrator = Calibrator(start)
    for round in range(1, ROUNDS + 1):
        released = ask(round, calibrator.curve)
        if released is None:
            break
        calibrator.update(released)
    return calibrator.curve
