"""The factors behind a creator's level, in words: what she is shown before she applies.

They say nothing that the platform does not have: the record is its own, and the tower is public. They are computed
from today's record of one person, whom the platform's own back end names, so nothing is charged and nothing is kept.
They have no number: what a creator is shown may be asked of her by others, and words say less than points.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from sealscore.clients.features.dictionary.reasons import dictionary_names, dictionary_reasons
from sealscore.shared.plan.plan import Plan
from sealscore.shared.serving.lookup import LookUp
from sealscore.shared.serving.reason_texts import Reason, raised_of, reasons_of
from sealscore.shared.serving.signal_tower import SignalTower

MOST_FACTORS = 4
# In logits; what moves the score by less is no factor. It is a twentieth of a point.
_LEAST = 0.0017


class LevelFactors:
    """What moves the levels of one kind of platform. Protected features and proxies of them are never named."""

    def __init__(self, plan: Plan, tower: SignalTower) -> None:
        table = plan.groups[tower.group].table
        texts, names = dictionary_reasons(table), dictionary_names(table)
        parts = tower.model.binning.features
        self._lowered = [reasons_of(part, texts) for part in parts]
        self._raised = [raised_of(part, texts, names) for part in parts]
        self._tables = LookUp(tower.model)

    def of(self, columns: Mapping[str, np.ndarray]) -> dict[str, list[dict[str, str]]]:
        """What `lowered` and what `raised` the score behind a level, the most first: at most four features each.

        `columns` are those of one record as in Records, float64 [1] each. A factor has a code and a sentence in English
        and in Chinese.

        Raises:
            KeyError: a column is absent.
        """
        bins = self._tables.bins_of({name: float(values[0]) for name, values in columns.items()})
        moved = self._tables.moved(bins)
        return {
            "lowered": _worst(moved, bins, self._lowered),
            "raised": _worst([-by for by in moved], bins, self._raised),
        }


def _worst(
    moved: Sequence[float], bins: Sequence[int], texts: Sequence[Sequence[Reason | None]]
) -> list[dict[str, str]]:
    order = sorted(range(len(moved)), key=lambda place: -moved[place])
    named = [texts[place][bins[place]] for place in order if moved[place] > _LEAST]
    return [{"code": one.code, "en": one.en, "zh": one.zh} for one in named if one is not None][:MOST_FACTORS]
