"""What moves a score: contributions of features and bins under the released reference, all from published numbers."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from sealscore.shared.model.bins import FeatureBins
from sealscore.shared.model.reasons import contributions
from sealscore.shared.model.score_model import POINTS_TO_DOUBLE, ScoreModel
from sealscore.shared.text.numbers import short

REASONS = 4
"""Reason codes that an applicant is given."""

_APPLICANTS, _IN_A_BIN = 4096, 1024


@dataclass(frozen=True)
class FeatureEffect:
    """A feature's part in a score, in points (above 0 is safer).

    `size` is the mean absolute contribution; `points` the mean contribution in each bin, `bins` their names and
    `shares` their released shares. `first` and `named` are the shares of applicants whose first reason it is, and in
    whose first `REASONS` reasons it stands, while it raises their PD; none of a proxy, which is never given as one.
    """

    feature: str
    size: float
    bins: tuple[str, ...]
    shares: tuple[float, ...]
    points: tuple[float, ...]
    first: float
    named: float

    @property
    def riskiest(self) -> int:
        """The bin that takes off the most points."""
        return int(np.argmin(self.points))

    @property
    def safest(self) -> int:
        """The bin that adds the most points."""
        return int(np.argmax(self.points))


def effects(model: ScoreModel) -> tuple[FeatureEffect, ...]:
    """The features of a model, the largest first.

    Applicants are drawn from the released share of each bin, each feature by itself (joint shares are not released).
    The draws are fixed, so that a report can be made twice. A contribution is that of `sealscore.shared.model.reasons`.
    """
    random = np.random.default_rng(0)
    parts = model.binning.features
    applicants = np.column_stack([random.choice(part.size, _APPLICANTS, p=_shares(part)) for part in parts])
    raised = contributions(model, applicants)
    given = np.where([part.feature.proxy for part in parts], -np.inf, raised)
    order = np.argsort(-given, axis=1, kind="stable")[:, :REASONS]
    found = []
    for place, part in enumerate(parts):
        # Every bin gets as many applicants, so that rare bins have a mean as good as others'.
        stratified = np.tile(applicants[:_IN_A_BIN], (part.size, 1))
        stratified[:, place] = np.repeat(np.arange(part.size), _IN_A_BIN)
        scored = -contributions(model, stratified)[:, place] * POINTS_TO_DOUBLE / np.log(2)
        by_bin = scored.reshape(part.size, _IN_A_BIN)
        up = given[:, place] > 0
        found.append(
            FeatureEffect(
                feature=part.feature.name,
                size=float(_shares(part) @ np.abs(by_bin).mean(axis=1)),
                bins=bin_names(part),
                shares=part.reference,
                points=tuple(by_bin.mean(axis=1).tolist()),
                first=float((up & (order[:, 0] == place)).mean()),
                named=float((up & (order == place).any(axis=1)).mean()),
            )
        )
    return tuple(sorted(found, key=lambda effect: -effect.size))


def bin_names(part: FeatureBins) -> tuple[str, ...]:
    """The bins of a feature in words."""
    if part.feature.kind == "categorical":
        names = tuple(f"level {level}" for level in part.feature.levels)
    else:
        edges = [short(edge, 4) for edge in part.edges]
        inner = [f"above {low}, up to {high}" for low, high in pairwise(edges)]
        names = (f"up to {edges[0]}", *inner, f"above {edges[-1]}")
    return (*names, "missing") if part.feature.missing else names


def _shares(part: FeatureBins) -> np.ndarray:
    shares = np.array(part.reference)
    return np.asarray(shares / shares.sum())
