"""Whether pairs of features are worth their noise, from one release of the pairs' sums alone."""

from __future__ import annotations

import math

import numpy as np

from sealscore.shared.model.recipe.design import Design, PairPrior
from sealscore.shared.model.recipe.facts import Facts
from sealscore.shared.model.recipe.scales import log_likelihoods
from sealscore.shared.model.recipe.solver import Released, curvatures

# The prior for the release: all pairs together have a tenth of the features' variance.
TRIED = PairPrior(0.1)
# ln of the pairs' variance over that of `TRIED` ~ N(0, 1.2^2).
_GRID = np.array([0.01, 0.03, 0.1, 0.3, 1.0, 3.0])
_SPREAD = 1.2
# Log likelihood ratio below which pairs cost more than they give.
_LEAST_EVIDENCE = 10.0
_MOST = 3.0


def evidence(released: Released, design: Design, facts: Facts) -> np.ndarray:
    """Log likelihood ratio of each of the grid's variances against none, float64 [grid].

    `released` is the sum of a code of pairs alone at weights of 0 for them.
    """
    curvature, pairs = curvatures(design, facts), np.isfinite(design.variances)
    found = log_likelihoods(
        released.values[pairs],
        released.noise,
        curvature[pairs],
        design.variances[pairs],
        np.concatenate([[0.0], _GRID]),
    )
    return np.asarray(found[1:] - found[0])


def chosen(evidence: np.ndarray) -> PairPrior | None:
    """The prior of the pairs that the evidence speaks for, or none."""
    if evidence.max() < _LEAST_EVIDENCE:
        return None
    log_grid = np.log(_GRID)
    posterior = evidence - 0.5 * (log_grid / _SPREAD) ** 2
    posterior = np.exp(posterior - posterior.max())
    mean = float(posterior @ log_grid / posterior.sum())
    return PairPrior(TRIED.share * min(_MOST, math.exp(mean)))
