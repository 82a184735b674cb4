"""A feature's units: the eigenvectors of a kernel over its bins, from the released share of each bin alone.

The kernel says which tables are likely before any label is seen: neighbouring bins of an ordered feature have nearly
the same effect (Brownian motion in the cumulative share), levels without order are independent. A unit's prior
variance is its eigenvalue times the feature's scale, split between the code and the weight by `power`: at 1/2 the code
carries all of it, at 0 the weight.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sealscore.shared.model.bins import FeatureBins

# A missing value says something of its own, about half as much as the ends of a feature.
_MISSING_VARIANCE = 0.5
# Units below this part of the first carry noise and next to no table.
_LEAST_EIGENVALUE = 2e-3
_NO_VARIANCE = 1e-12


def power(signal_to_noise: float) -> float:
    """How much of a unit's prior deviation its code carries: 1/2 where noise rules, 1/4 where there is next to none.

    Large codes are clipped and small ones drown: with little noise, flat codes lose less to the clip.
    """
    return 0.25 + 0.25 / (1 + signal_to_noise / 20)


@dataclass(frozen=True, eq=False)
class Basis:
    """The units of one feature before they are scaled: float64 `units` [bins, k], mean 0 under `shares` [bins].

    `eigenvalues` [k] fall.
    """

    units: np.ndarray
    eigenvalues: np.ndarray
    shares: np.ndarray

    @property
    def moments(self) -> np.ndarray:
        """Mean square of each unit under the shares, float64 [k]."""
        return np.asarray(self.shares @ self.units**2)

    def variances(self, power: float) -> np.ndarray:
        """Prior variance of the weight of each unit for a feature of scale 1, float64 [k]."""
        return np.asarray(self.eigenvalues ** (1 - 2 * power))

    def scaled(self, scale: float, power: float) -> Basis:
        """The units of a feature whose tables have `scale` times the variance."""
        return Basis(self.units * scale**power, self.eigenvalues * scale, self.shares)


def basis(part: FeatureBins, power: float) -> Basis:
    """The units of one feature."""
    shares = np.array(part.reference)
    shares = shares / shares.sum()
    centre = np.eye(part.size) - shares
    values, vectors = np.linalg.eigh(centre @ _kernel(part) @ centre.T)
    values, vectors = values[::-1], vectors[:, ::-1]
    kept = values > max(_LEAST_EIGENVALUE * values[0], _NO_VARIANCE)
    units = vectors[:, kept] * values[kept] ** power
    return Basis(units - shares @ units, values[kept], shares)


def _kernel(part: FeatureBins) -> np.ndarray:
    """Prior covariance of the table before it is centred, float64 [bins, bins]."""
    count = part.count
    kernel = np.zeros((part.size, part.size))
    if part.ordered:
        shares = np.array(part.reference[:count])
        position = (np.cumsum(shares) - shares / 2) / shares.sum()
        kernel[:count, :count] = 1 - np.abs(position[:, None] - position)
    else:
        kernel[:count, :count] = np.eye(count) * min(1.0, 2 / count)
    if part.feature.missing:
        kernel[count, count] = _MISSING_VARIANCE
    return kernel
