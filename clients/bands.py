"""Bands of protected features, in which an evaluation is reported."""

from __future__ import annotations

import numpy as np

from shared.plan import Plan


def band_of(plan: Plan, name: str, values: np.ndarray) -> np.ndarray:
    """Index of the band of each value of a protected feature; float64 [n] as in Records -> int64 [n]."""
    edges = plan.evaluation.groups[name]
    bands = np.searchsorted(np.array(edges), values, side="left") if edges else np.nan_to_num(values)
    return np.where(np.isnan(values), len(plan.bands(name)) - 1, bands).astype(np.int64)
