"""From an application and its tokens to a PD, points and reasons. Pure: no file, no clock, no network.

The champion answers where the levels at hand fit its release and who lacks one is no rarity among those it was trained
on; otherwise the fallback does, which has the lender's own features alone. A missing signal is not a missing bin.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sealscore.clients.features.dictionary.reasons import dictionary_reasons
from sealscore.shared.model.score_model import POINTS_TO_DOUBLE, ScoreModel, points
from sealscore.shared.model.signal import merged_levels
from sealscore.shared.plan.plan import signal_name
from sealscore.shared.serving.lookup import LookUp
from sealscore.shared.serving.reason_texts import Reason, Texts, reasons_of
from sealscore.shared.serving.release import CHAMPION, FALLBACK, Release
from sealscore.shared.serving.sentences import with_others

MOST_REASONS = 4
PD_DIGITS = 6
# Of training persons without a signal: below it the champion knows too few of their kind.
LEAST_MISSING = 0.10
_TENTHS_A_LOGIT = 10 * POINTS_TO_DOUBLE / math.log(2)


class NoModel(ValueError):
    """No model of the release may answer for this application."""


@dataclass(frozen=True)
class Scored:
    """What a model says of one application. `bins` are its inputs as the model reads them. Its `repr` has no value."""

    role: str
    bins: tuple[int, ...] = field(repr=False)
    logit: float = field(repr=False)
    pd: float = field(repr=False)
    points: int = field(repr=False)
    reasons: tuple[dict[str, Any], ...] = field(repr=False)


class Scorer:
    """Scores under one release. `texts` are sentences of reasons where neither the plan nor the release has any: by
    default the feature dictionary's.
    """

    def __init__(self, release: Release, texts: Texts | None = None) -> None:
        self.release = release
        plan, content = release.plan, release.content
        texts = dictionary_reasons(plan.groups[plan.lenders].table) if texts is None else texts
        texts = with_others(content.sentences, texts)
        self.models: dict[str, ScoreModel] = {CHAMPION: content.model}
        if content.fallback is not None:
            self.models[FALLBACK] = content.fallback
        self._tables = {role: LookUp(model) for role, model in self.models.items()}
        self._texts = {
            role: [reasons_of(part, texts) for part in model.binning.features] for role, model in self.models.items()
        }
        by_bin = {
            role: [[text.code if text else None for text in part] for part in of] for role, of in self._texts.items()
        }
        self._codes = {
            role: np.array([code for part in of for code in part], dtype=object) for role, of in by_bin.items()
        }
        self._first_code = {role: np.cumsum([0, *map(len, of)])[:-1] for role, of in by_bin.items()}
        self._silent_bins = {
            role: {place: np.array([code is None for code in part]) for place, part in enumerate(of) if None in part}
            for role, of in by_bin.items()
        }
        # Features that give no reason: behind how many of them the last of the reasons can stand.
        self._silent = max(sum(None in texts for texts in parts) for parts in self._texts.values())
        self._signals = {group: signal_name(group) for group in plan.platforms}
        shares = {part.feature.name: part.reference[-1] for part in content.model.binning.features}
        # Read from the released, noisy shares of the champion's own bins.
        self.often_missing = {group: shares[name] >= LEAST_MISSING for group, name in self._signals.items()}

    @property
    def texts(self) -> dict[str, Reason]:
        """What each reason code of the release's models says."""
        return {text.code: text for of in self._texts.values() for part in of for text in part if text is not None}

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

    def score(self, values: Mapping[str, float], levels: Mapping[str, Sequence[int]]) -> Scored:
        """Score one record by its values as `Application` has them; `levels` are those told by kind of platform.

        Raises:
            NoModel: see `role`.
            KeyError: a value is absent.
        """
        role = self.role(levels)
        tables, given = self._tables[role], values
        if role == CHAMPION and self._signals:
            signals = {name: _merged(levels.get(group, ())) for group, name in self._signals.items()}
            given = {**values, **signals}
        bins = tables.bins_of(given)
        logit = tables.logit(bins)
        pd = tables.model.calibration.pd(np.array([logit]))
        moved = tables.moved(bins)
        order = sorted(range(len(moved)), key=lambda place: -moved[place])
        return Scored(
            role,
            tuple(bins),
            logit,
            round(float(pd[0]), PD_DIGITS),
            round(float(points(pd)[0])),
            self._reasons(role, [(place, bins[place], moved[place]) for place in order]),
        )

    def bins(self, role: str, columns: Mapping[str, np.ndarray], levels: Mapping[str, np.ndarray]) -> np.ndarray:
        """Bin indices [n, features] of records: columns as in Records, and merged levels [n] by kind of platform."""
        signals = {self._signals[group]: told for group, told in levels.items()} if role == CHAMPION else {}
        return self.models[role].binning.quantize({**columns, **signals})

    def figures(self, role: str, bins: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Logits, PDs (rounded) and points (whole) of records with these bins, [n] each."""
        tables = self._tables[role]
        logits = tables.logits(bins)
        pds = tables.model.calibration.pd(logits)
        return logits, np.round(pds, PD_DIGITS), np.rint(points(pds)).astype(np.int64)

    def answers(self, role: str, bins: np.ndarray) -> list[Scored]:
        """What a model says of records with these bins: of each the same bits as `score` gives."""
        logits, pds, whole = self.figures(role, bins)
        moved = self._tables[role].moved_of(bins)
        order = self._worst(moved).tolist()
        rows, scales = bins.tolist(), moved.tolist()
        return [
            Scored(
                role,
                tuple(rows[row]),
                float(logits[row]),
                float(pds[row]),
                int(whole[row]),
                self._reasons(role, [(place, rows[row][place], scales[row][place]) for place in order[row]]),
            )
            for row in range(len(rows))
        ]

    def weights(self, role: str, bins: np.ndarray) -> list[list[tuple[str, float]]]:
        """Of records with these bins the reasons that `answers` gives, without their sentences: codes and points."""
        codes, lost = self.reason_codes(role, bins)
        counts = (lost > 0).sum(axis=1).tolist()
        return [
            list(zip(row[:count], points[:count], strict=True))
            for row, points, count in zip(codes.tolist(), lost.tolist(), counts, strict=True)
        ]

    def reason_codes(self, role: str, bins: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The same as arrays [n, 4]: codes, None where there is no further reason, and points."""
        moved, silent = self._tables[role].moved_of(bins), self._silent_bins[role]
        for place, mute in silent.items():
            moved[:, place] = np.where(mute[bins[:, place]], -np.inf, moved[:, place])
        order = np.argsort(-moved, axis=1, kind="stable")[:, :MOST_REASONS]
        lost = np.rint(np.take_along_axis(moved, order, axis=1) * _TENTHS_A_LOGIT) / 10
        at = self._first_code[role][order] + np.take_along_axis(bins, order, axis=1)
        codes = self._codes[role][at]
        codes[lost <= 0] = None
        return codes, lost

    def _worst(self, moved: np.ndarray) -> np.ndarray:
        """Places of the largest contributions [n, k], the largest first: as many as may hold the reasons."""
        return np.argsort(-moved, axis=1, kind="stable")[:, : MOST_REASONS + self._silent]

    def _reasons(self, role: str, moved: Sequence[tuple[int, int, float]]) -> tuple[dict[str, Any], ...]:
        """The features that raised this PD most, at most four, with the points that each cost.

        `moved` has place, bin and contribution, the largest first.
        """
        found: list[dict[str, Any]] = []
        for place, bin, by in moved:
            lost = round(by * _TENTHS_A_LOGIT) / 10
            if len(found) == MOST_REASONS or lost <= 0:
                break
            text = self._texts[role][place][bin]
            if text is not None:
                found.append({"code": text.code, "points": lost, "en": text.en, "zh": text.zh})
        return tuple(found)


def _merged(levels: Sequence[int]) -> float:
    """As `merged_levels`, of one person."""
    return float(merged_levels([levels])[0]) if len(levels) > 1 else float(levels[0]) if levels else math.nan
