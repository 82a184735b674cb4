"""Calibration: from logits to probabilities of default, by two numbers fitted to a noisy table of scores by label."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sealscore.shared.model.logistic import expit
from sealscore.shared.model.score_grid import cell_logits

MIN_SLOPE = 0.05
_PRIOR_MEAN = np.array([1.0, 0.0])
_PRIOR_PRECISION = np.array([1 / 0.3**2, 1 / 0.5**2])
_STEPS = 200


@dataclass(frozen=True)
class Calibration:
    """PD = sigmoid(slope * logit + intercept) (Platt 1999). The slope is positive, so ranks never turn.

    Raises:
        ValueError: a number is not finite, or the slope is below `MIN_SLOPE`.
    """

    slope: float = 1.0
    intercept: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.slope) and math.isfinite(self.intercept) and self.slope >= MIN_SLOPE):
            raise ValueError(f"a calibration needs finite numbers and a slope of at least {MIN_SLOPE}")

    def pd(self, logits: np.ndarray) -> np.ndarray:
        """Logits -> probabilities of default, float64 of the same shape."""
        return expit(self.slope * logits + self.intercept)


def fit(table: np.ndarray, noise_std: float) -> Calibration:
    """Maximum a posteriori slope and intercept from a noisy table, float64 [2 * cells] as in `score_table`.

    In a cell with PD p and n records, r = (1 - p) bad - p good has mean 0 and variance n p (1 - p) + s^2 q, with
    s the noise of a count and q = p^2 + (1 - p)^2. Gauss-Newton steps weigh each cell by that variance, under the
    priors slope ~ N(1, 0.3^2) and intercept ~ N(0, 0.5^2). The count n is itself noisy and shares noise with r: its
    covariance s^2 (1 - 2p) with r is regressed out, and counts that do not stand out of their noise are shrunk to 0
    (positive-part shrinkage, James and Stein 1961), so a table of pure noise gives about the identity. Without
    noise this is logistic regression with the priors.

    Raises:
        ValueError: the table or the noise is not finite, or the table has no two halves.
    """
    table = np.asarray(table, dtype=np.float64)
    if table.ndim != 1 or len(table) < 2 or len(table) % 2 or not np.isfinite(table).all():
        raise ValueError("a table has finite counts: one half good, one half bad")
    if not (math.isfinite(noise_std) and noise_std >= 0):
        raise ValueError(f"the noise must be finite and not negative, got {noise_std}")
    good, bad = np.split(table, 2)
    at = np.stack([cell_logits(len(good)), np.ones(len(good))])
    theta = _PRIOR_MEAN.copy()
    for count in range(_STEPS):
        score, information = _score(good, bad, at, theta, noise_std)
        score -= _PRIOR_PRECISION * (theta - _PRIOR_MEAN)
        information += np.diag(_PRIOR_PRECISION)
        step = np.linalg.solve(information, score)
        if theta[0] + step[0] <= MIN_SLOPE:
            step = np.array([MIN_SLOPE - theta[0], score[1] / information[1, 1]])
        # Shorter and shorter steps end any cycle that noisy weights may cause.
        step = np.clip(step, -1, 1) * 0.5 ** (count // 25)
        theta = theta + step
        theta[0] = max(theta[0], MIN_SLOPE)
        if np.abs(step).max() < 1e-12:
            break
    return Calibration(float(theta[0]), float(theta[1]))


def _score(
    good: np.ndarray, bad: np.ndarray, at: np.ndarray, theta: np.ndarray, noise_std: float
) -> tuple[np.ndarray, np.ndarray]:
    """Gradient [2] and information [2, 2] of the cells' residuals at `theta`, without the prior."""
    p = expit(theta @ at)
    spread, noise = p * (1 - p), noise_std**2
    residual = (1 - p) * bad - p * good
    count = good + bad
    variance = np.maximum(count, 0) * spread + noise * (p**2 + (1 - p) ** 2)
    # A cell that seems empty says next to nothing, however little noise there is said to be.
    variance = np.maximum(variance, np.where(count > 0, 1e-9, 1.0))
    shared = noise * (1 - 2 * p) / variance
    count = count - shared * residual
    uncertain = np.maximum(2 * noise - shared * noise * (1 - 2 * p), 0.0)
    positive = count > 0
    shrunk = np.zeros(len(count))
    shrunk[positive] = np.maximum(count[positive] - 4 * uncertain[positive] / count[positive], 0.0)
    slope = spread * shrunk
    return at @ (slope * residual / variance), (at * (slope**2 / variance)) @ at.T
