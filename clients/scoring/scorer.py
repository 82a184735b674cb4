"""From an application and its tokens to a PD, points and reasons. Pure: no file, no clock, no network.

The champion answers where the levels at hand fit its release and who lacks one is no rarity among those it was trained
on; otherwise the fallback does, which has the lender's own features alone. A missing signal is not a missing bin.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sealscore.shared.model.reasons import contributions
from sealscore.shared.model.score_model import POINTS_TO_DOUBLE, ScoreModel, points
from sealscore.shared.model.signal import merged_levels
from sealscore.shared.plan.plan import signal_name
from sealscore.shared.serving.reason_texts import reason
from sealscore.shared.serving.release import CHAMPION, FALLBACK, Release

MOST_REASONS = 4
PD_DIGITS = 6
# Of training persons without a signal: below it the champion knows too few of their kind.
LEAST_MISSING = 0.10
_POINTS_A_LOGIT = POINTS_TO_DOUBLE / math.log(2)


class NoModel(ValueError):
    """No model of the release may answer for this application."""


@dataclass(frozen=True)
class Scored:
    """What a model says of one application. `bins` are its inputs as the model reads them."""

    role: str
    bins: tuple[int, ...]
    logit: float
    pd: float
    points: int
    reasons: tuple[dict[str, Any], ...]


class Scorer:
    """Scores under one release."""

    def __init__(self, release: Release) -> None:
        self.release = release
        plan, content = release.plan, release.content
        self.models: dict[str, ScoreModel] = {CHAMPION: content.model}
        if content.fallback is not None:
            self.models[FALLBACK] = content.fallback
        self._signals = {group: signal_name(group) for group in plan.platforms}
        shares = {part.feature.name: part.reference[-1] for part in content.model.binning.features}
        # Read from the released, noisy shares of the champion's own bins.
        self.often_missing = {group: shares[name] >= LEAST_MISSING for group, name in self._signals.items()}

    def role(self, groups: Mapping[str, Sequence[int]]) -> str:
        """Which model answers for one of whom levels of these kinds of platforms are at hand.

        Raises:
            NoModel: the champion may not, and there is no fallback.
        """
        if all(groups.get(group) or self.often_missing[group] for group in self._signals):
            return CHAMPION
        if FALLBACK not in self.models:
            raise NoModel("this release has no fallback for applicants without a signal; ask for tokens, or train one")
        return FALLBACK

    def score(self, columns: Mapping[str, np.ndarray], levels: Mapping[str, Sequence[int]]) -> Scored:
        """Score one record, its columns float64 [1] each; `levels` are those told by each kind of platform.

        Raises:
            NoModel: see `role`.
        """
        role = self.role(levels)
        return self.answers(role, self.bins(role, columns, [levels]))[0]

    def bins(
        self, role: str, columns: Mapping[str, np.ndarray], levels: Sequence[Mapping[str, Sequence[int]]]
    ) -> np.ndarray:
        """Bin indices [n, features] of records whose columns are float64 [n]."""
        model = self.models[role]
        given = dict(columns)
        if role == CHAMPION:
            for group, name in self._signals.items():
                given[name] = merged_levels(list(of_one.get(group, ())) for of_one in levels)
        return model.binning.quantize(given)

    def answers(self, role: str, bins: np.ndarray) -> list[Scored]:
        """What a model says of records with these bins, one after the other: equal bins, equal bits."""
        model = self.models[role]
        logits = model.logits_of_bins(bins)
        pds = model.calibration.pd(logits)
        scored_points, moved = points(pds), contributions(model, bins)
        return [
            Scored(
                role,
                tuple(int(index) for index in bins[row]),
                float(logits[row]),
                round(float(pds[row]), PD_DIGITS),
                round(float(scored_points[row])),
                self._reasons(model, bins[row], moved[row]),
            )
            for row in range(len(bins))
        ]

    def _reasons(self, model: ScoreModel, bins: np.ndarray, moved: np.ndarray) -> tuple[dict[str, Any], ...]:
        """The features that raised this PD most, at most four, with the points that each cost."""
        found: list[dict[str, Any]] = []
        for place in np.argsort(-moved, kind="stable"):
            if len(found) == MOST_REASONS or moved[place] <= 0:
                break
            text = reason(model.binning.features[place], int(bins[place]))
            if text is not None:
                lost = round(float(moved[place]) * _POINTS_A_LOGIT, 1)
                found.append({"code": text.code, "points": lost, "en": text.en, "zh": text.zh})
        return tuple(found)
