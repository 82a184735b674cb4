"""Empirical Bayes: how much each feature matters, from the sums of the first phase. Post-processing, so it is free."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sealscore.shared.model.recipe.design import Design
from sealscore.shared.model.recipe.facts import Facts
from sealscore.shared.model.recipe.solver import Fit, curvatures

# ln tau_j ~ N(ln tau_g, 1) around a common scale, ln tau_g ~ N(ln 0.15, 1.2^2).
_GRID = np.exp(np.linspace(math.log(0.003), math.log(6.0), 16))
_COMMON, _COMMON_SPREAD, _OWN_SPREAD = 0.15, 1.2, 1.0


@dataclass(frozen=True)
class Scales:
    """Prior variances of the features' tables: `common` is their geometric mean, `relative` each one's over it."""

    common: float
    relative: tuple[float, ...]


def scales(fit: Fit, design: Design, facts: Facts, scale: float) -> Scales:
    """Posterior geometric means of the features' scales, from a fit under the prior scale `scale`.

    D w - g of a unit is about N(0, noise^2 + D + D^2 v tau / scale) under the scale tau, v the design's variance.
    """
    _, likely, _ = design.codes.split(fit.likely)
    _, curvature, _ = design.codes.split(curvatures(design, facts))
    _, variances, _ = design.codes.split(design.variances)
    log_grid = np.log(_GRID)
    fits = np.array(
        [
            log_likelihoods(values, fit.noise, own, prior / scale, _GRID)
            for values, own, prior in zip(likely, curvature, variances, strict=True)
        ]
    )
    fits = np.exp(fits - fits.max(axis=1, keepdims=True))
    around = np.exp(-0.5 * ((log_grid[:, None] - log_grid) / _OWN_SPREAD) ** 2)
    around /= around.sum(axis=1, keepdims=True)
    # feature x common scale: the likelihood of the sums, and the own scale's posterior mean given the common one
    given = fits @ around.T
    common = (
        np.log(np.maximum(given, 1e-300)).sum(axis=0) - 0.5 * ((log_grid - math.log(_COMMON)) / _COMMON_SPREAD) ** 2
    )
    common = np.exp(common - common.max())
    common /= common.sum()
    own = ((fits * log_grid) @ around.T / np.maximum(given, 1e-300)) @ common
    return Scales(float(np.exp(own.mean())), tuple(float(found) for found in np.exp(own - own.mean())))


def log_likelihoods(
    values: np.ndarray, noise: float, curvature: np.ndarray, variances: np.ndarray, scales: np.ndarray
) -> np.ndarray:
    """Log likelihood, up to a constant, of D w - g [units] under each of the scales: float64 [scales]."""
    spread = noise**2 + curvature[:, None] + curvature[:, None] ** 2 * variances[:, None] * scales
    # Of a unit that is 0 for all records there is nothing to be learnt.
    spread = np.maximum(spread, 1e-300)
    return np.asarray((-0.5 * np.log(spread) - 0.5 * values[:, None] ** 2 / spread).sum(axis=0))
