"""Reason codes: how much each feature moved an applicant's score away from the released reference."""

from __future__ import annotations

import numpy as np

from sealscore.shared.model.additive.table_score import TableScore
from sealscore.shared.model.score_model import ScoreModel

# Below this distance a divided difference of tanh loses more digits than the slope at the middle misses.
_NEAR = 1e-5


def contributions(model: ScoreModel, bins: np.ndarray) -> np.ndarray:
    """Contribution of each feature to the calibrated logit: bin indices [n, features] -> float64 [n, features].

    They add to the applicant's calibrated logit less that of the reference code, which is the mean code under the
    released share of each bin. For a linear tower a contribution is w_j . (code_j - reference_j). With a network it
    is the integrated gradient along the straight line from the reference to the code (Sundararajan et al. 2017,
    section 3); for one hidden layer the integral has a closed form, v (tanh b - tanh a) / (b - a) for a unit that
    goes from a to b, so nothing is approximated. A cross of two features counts half for each. Of an additive model,
    see `TableScore.contributions`.
    """
    if isinstance(model.weights, TableScore):
        return model.weights.contributions(bins, [np.array(part.reference) for part in model.binning.features])
    if model.coding is None:
        raise TypeError("a tower reads codes")
    reference = model.coding.reference()
    codes = model.coding.encode(bins)
    moved = codes - reference
    parts = model.weights.parts()
    per_unit = moved * parts["linear.weight"]
    if model.weights.hidden:
        inner, offset = parts["inner.weight"], parts["inner.bias"]
        start, end = reference @ inner.T + offset, codes @ inner.T + offset
        distance = end - start
        near = np.abs(distance) < _NEAR
        middle = 1 - np.tanh((start + end) / 2) ** 2
        slope = np.where(near, middle, (np.tanh(end) - np.tanh(start)) / np.where(near, 1.0, distance))
        per_unit += moved * ((slope * parts["outer.weight"]) @ inner)
    found = np.zeros((len(codes), len(model.features)))
    for features, place in model.coding.units:
        for index in features:
            found[:, index] += per_unit[:, place].sum(axis=1) / len(features)
    return found * model.calibration.slope
