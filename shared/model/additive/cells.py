"""Public cells for the histogram of a numeric feature, from its bounds alone."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from sealscore.shared.plan.schema import NumericFeature

CELLS = 512
BINS = 32
# Amounts spread over many orders of magnitude: 24 octaves below a range of 10^6 reach a tenth.
_OCTAVES = 24


@lru_cache(maxsize=4096)
def spread_edges(feature: NumericFeature, cells: int) -> tuple[float, ...]:
    """Inner edges of about `cells` cells, ascending: half uniform, half log-spaced above the lower bound.

    Where the bounds enclose 0, the log-spaced half lies around 0 on both sides and above the lower bound. So quantiles
    of skewed columns are found without a `scale`, which this grid does not read. Public edges and small integers are
    taken as `bins.grid_edges` takes them, and edges are rounded as there.
    """
    if feature.edges:
        return feature.edges
    lower, upper = feature.lower, feature.upper
    if feature.integer and upper - lower + 1 <= cells:
        return tuple(np.arange(lower, upper) + 0.0)
    half = cells // 2
    falling = 2.0 ** (-np.arange(half) * _OCTAVES / half)
    with np.errstate(all="ignore"):  # bounds near the largest float: what is not finite is dropped below
        span = upper - lower
        parts = [np.linspace(lower, upper, half + 1)[1:-1]]
        if lower < 0 < upper:
            parts += [upper * falling[::4], lower * falling[::4], np.zeros(1), lower + span * falling[::2]]
        else:
            parts.append(lower + span * falling)
        exact = np.concatenate(parts)
    edges = np.floor(exact) if feature.integer else exact
    edges = np.array([float(f"{edge:.12g}") for edge in edges])
    inside = np.unique(edges[(edges >= lower) & (edges < upper)]) + 0.0
    return tuple(float(edge) for edge in inside) or (lower,)
