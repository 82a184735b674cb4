"""Thresholds that know their own noise: over all measures together, an alert in 24 quiet months has a chance of 5 %.

Invented lives of 24 months have as many cases a month as there were, and nothing changes in them. Of each the smallest
level is found at which two months of one measure in a row would both have breached; the level below which 5 % of the
lives come is that of all measures, and turns into a threshold for each by its own distribution in that month. So
measures with few cases, rare events or a counted reference need no formula. Measures are drawn independently: what
moves together in truth (features of one applicant) makes alerts rarer, not more frequent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sealscore.clients.watch.noise.nulls import Null

HORIZON = 24
"""Months over which the chance of an alert is bounded."""
CHANCE = 0.05
LIVES = 4000


@dataclass(frozen=True)
class Planned:
    """A measure and the month from which on it can be judged; its `null` is None as long as nothing is known of it."""

    begins: int
    null: Null | None = None


@dataclass(frozen=True)
class Thresholds:
    """`level` is the chance of one breach in one month, the same for all measures; `values` the threshold of each that
    is judged in this month, above which it breaches. `chance` is the share of invented lives with an alert.
    """

    level: float
    values: Mapping[str, float]
    chance: float


def horizon(first: int, month: int) -> range:
    """The months over which a month's chance is bounded: 24 from the first one on, then the next 24."""
    start = first + (month - first) // HORIZON * HORIZON
    return range(start, start + HORIZON)


def thresholds(
    measures: Mapping[str, Planned], month: int, months: range, random: np.random.Generator, lives: int = LIVES
) -> Thresholds:
    """Thresholds for a month among `months`, of which later ones are taken to have as many cases as those so far."""
    least, kept = np.ones(lives), dict[str, np.ndarray]()
    for name, planned in measures.items():
        chances = dict[int, np.ndarray]()
        for one, statistics in _drawn(planned, month, months, random, lives).items():
            if planned.null is not None and one == month and month in planned.null.sizes:
                kept[name] = np.sort(statistics)
            chances[one] = _chances(statistics)
        for one in chances.keys() & {other - 1 for other in chances}:
            least = np.minimum(least, np.maximum(chances[one], chances[one + 1]))
    level = _level(least)
    # One month more, the one that is judged, is among those that reach its threshold as often as the level says.
    beyond = int(level * lives + 1e-9) - 1
    values = {name: float(drawn[min(lives - beyond - 1, lives - 1)]) for name, drawn in kept.items()}
    return Thresholds(level, values, float((least <= level).mean()))


def _drawn(
    planned: Planned, month: int, months: range, random: np.random.Generator, lives: int
) -> dict[int, np.ndarray]:
    """Statistics [lives] of a measure by month.

    Of one that is to come nothing is known but its months; its share of the chance is kept for it. One that could be
    judged and never had the cases is left out.
    """
    if planned.null is None or planned.begins > month:
        return {one: random.random(lives) for one in months if one >= planned.begins and one > month}
    known = {one: size for one, size in planned.null.sizes.items() if one <= month}
    if not known:
        return {}
    mean = max(1, round(sum(known.values()) / len(known)))
    sizes = {one: size for one, size in known.items() if one in months}
    return planned.null.statistics(random, lives, sizes | {one: mean for one in months if one > month})


def _chances(statistics: np.ndarray) -> np.ndarray:
    """Of each statistic the share of all that are as large, itself among them."""
    order = np.sort(statistics)
    return np.asarray((len(order) - np.searchsorted(order, statistics, side="left")) / len(order))


def _level(least: np.ndarray) -> float:
    """The largest level that at most `CHANCE` of lives reach; 0 where there is none."""
    order = np.sort(least)
    reached = np.searchsorted(order, order, side="right") / len(order)
    below = order[reached <= CHANCE]
    return float(below[-1]) if len(below) else 0.0
