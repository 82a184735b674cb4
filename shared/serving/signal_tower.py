"""A platform's tower as it told levels in training: the published parts, and the one way from columns to a level."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sealscore.shared.messages.parts import edges_from_bytes, weights_from_bytes
from sealscore.shared.model.additive.codes import Codes
from sealscore.shared.model.additive.table_score import TableScore
from sealscore.shared.model.build import coding_of, crosses_of
from sealscore.shared.model.calibration import Calibration
from sealscore.shared.model.score_model import ScoreModel
from sealscore.shared.model.signal import signal_levels
from sealscore.shared.model.weights import TowerWeights
from sealscore.shared.phases.bin_rule import bin_rule
from sealscore.shared.phases.signal.meaning import signal_meaning
from sealscore.shared.plan.features import tower_features
from sealscore.shared.plan.plan import Plan

PART_NAMES = ("bins", "codes", "edges", "tower")
"""The parts that a signal may have; codes where the tower is additive."""


@dataclass(frozen=True, eq=False)
class SignalTower:
    """The tower of one kind of platform. `meaning` is what ledgers of its platforms call its levels."""

    group: str
    model: ScoreModel
    edges: np.ndarray
    meaning: str

    @classmethod
    def of(cls, plan: Plan, group: str, parts: Mapping[str, bytes]) -> SignalTower:
        """The tower of the published parts.

        Raises:
            ValueError: they are none of this plan.
        """
        names = {*PART_NAMES} if plan.training.auto else {*PART_NAMES} - {"codes"}
        if set(parts) != names:
            raise ValueError(f"a signal of {group!r} has the parts {', '.join(sorted(names))}")
        binning = bin_rule(plan, group).read(parts["bins"])
        weights: TowerWeights | TableScore
        if plan.training.auto:
            codes = Codes.from_bytes(parts["codes"], binning.sizes)
            weights = TableScore(codes.tables(weights_from_bytes(parts["tower"], codes.length)))
        else:
            width, hidden = coding_of(plan, group, binning).width, plan.model.hidden
            vector = weights_from_bytes(parts["tower"], TowerWeights.length(width, hidden))
            weights = TowerWeights(vector, width, hidden)
        features, crosses = tower_features(plan, group), crosses_of(plan, group)
        model = ScoreModel(features, binning, weights, Calibration(), {"group": group}, crosses)
        edges = edges_from_bytes(parts["edges"], plan.model.signal_levels)
        return cls(group, model, edges, signal_meaning(plan, group, parts))

    def cut(self, worst: float) -> float:
        """The logit beyond which that share of the training persons, the worst, was: between the published edges."""
        count = len(self.edges) + 1
        return float(np.interp(1 - worst, np.arange(1, count) / count, self.edges))

    def levels(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """Level of each record, int64 [n], from columns as in Records, float64 [n] each.

        Raises:
            ValueError: a column is absent, or a value has no place in the tower's bins.
        """
        return signal_levels(self.model.logits(columns), self.edges)
