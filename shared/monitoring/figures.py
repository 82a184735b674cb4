"""What first-passage tables say: counts, rates and shifts of bands, each with its interval, or lost in the noise."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from sealscore.shared.monitoring.counting import tables_of
from sealscore.shared.monitoring.power import Comparison, alarm_level, power
from sealscore.shared.plan.monitoring import OPENED, PASSAGES
from sealscore.shared.plan.plan import Plan

_Z95 = 1.959963984540054
# A ratio's interval is by the delta method, which needs a divisor that is far from nothing.
_CLEAR = 5.0
_LEAST_SHARE = 0.02


@dataclass(frozen=True)
class WatchedFigure:
    """A count, a rate or an index by `row` (a month or vintage), with its 95 % interval; None where noise hides it.

    `what` is the event, or of an index the column whose bands are compared. An index has the `threshold` above which
    bands have moved, and the `power` with which it finds a shift of PSI 0.1.
    """

    row: str
    what: str
    value: float | None
    low: float
    high: float
    threshold: float | None = None
    power: float | None = None

    @property
    def moved(self) -> bool:
        """Whether it is an index above its threshold."""
        return self.value is not None and self.threshold is not None and self.value > self.threshold


@dataclass(frozen=True)
class WatchFigures:
    """All that is read of the tables of a run: post-processing, which costs nothing.

    `counts` of loans are those of all bands together; `rates` are passages over the loans opened, where the plan counts
    these; `shifts` are the indices. `noise` is the standard deviation of the noise in a cell of a table.
    """

    noise: float
    counts: tuple[WatchedFigure, ...]
    rates: tuple[WatchedFigure, ...]
    shifts: tuple[WatchedFigure, ...]

    @classmethod
    def of(cls, plan: Plan, values: np.ndarray, noise: float) -> WatchFigures:
        """From a sum over the plan's cells with noise of that deviation in each.

        Raises:
            ValueError: the sum has another length than the plan says.
        """
        tables = tables_of(plan, values)
        totals, deviation = _totals(tables.values(), noise)
        return cls(
            noise,
            tuple(_counts(plan, totals, deviation)),
            tuple(_rates(plan, totals, deviation)),
            tuple(_shifts(plan, tables, noise)),
        )

    def as_record(self, plan: Plan, values: np.ndarray) -> dict[str, Any]:
        """As `run.json` has it, with the tables themselves and the power that the plan was judged by."""
        asked, table = plan.counted, plan.groups[plan.lenders].table
        return {
            "rows": asked.rows,
            "months": list(asked.months),
            "events": list(asked.events),
            "noise_std": self.noise,
            "tables": {
                name: {"bands": list(asked.band_keys(table, name)), "counts": counts.tolist()}
                for name, counts in tables_of(plan, values).items()
            },
            "counts": [asdict(one) for one in self.counts],
            "rates": [asdict(one) for one in self.rates],
            "shifts": [asdict(one) | {"moved": one.moved} for one in self.shifts],
            "reference_months": asked.reference_months,
            "power_by_nominal_counts": power(plan, self.noise).chance,
        }


def _totals(tables: Any, noise: float) -> tuple[np.ndarray, float]:
    """Loans [months, events] as all tables tell them, and the deviation of their noise: each weighted by its own."""
    weights = [1 / counts.shape[2] for counts in tables]
    summed = sum(weight * counts.sum(axis=2) for weight, counts in zip(weights, tables, strict=True))
    return np.asarray(summed) / sum(weights), noise / math.sqrt(sum(weights))


def _counts(plan: Plan, totals: np.ndarray, deviation: float) -> Iterator[WatchedFigure]:
    for month, row in zip(plan.counted.months, totals, strict=True):
        for event, value in zip(plan.counted.events, row.tolist(), strict=True):
            half = _Z95 * deviation
            yield WatchedFigure(month, event, _clear(value, half), max(0.0, value - half), max(0.0, value + half))


def _rates(plan: Plan, totals: np.ndarray, deviation: float) -> Iterator[WatchedFigure]:
    """Passages over the loans of the vintage, or by month over all that the plan's months opened until then."""
    asked = plan.counted
    if not asked.originations:
        return
    opened, places = totals[:, asked.events.index(OPENED)], np.arange(1, len(totals) + 1)
    vintage = asked.rows == "vintage"
    of, noise_of = (opened, np.ones(len(opened))) if vintage else (np.cumsum(opened), np.sqrt(places))
    for at, month in enumerate(asked.months):
        for event in PASSAGES:
            hits, cases = float(totals[at, asked.events.index(event)]), float(of[at])
            error = deviation * float(noise_of[at])
            if cases <= _CLEAR * error:
                yield WatchedFigure(month, event, None, 0.0, 1.0)
                continue
            rate = min(1.0, max(0.0, hits / cases))
            variance = deviation**2 + cases * rate * (1 - rate) + rate**2 * error**2
            half = _Z95 * math.sqrt(variance) / cases
            low, high = max(0.0, hits / cases - half), min(1.0, max(0.0, hits / cases + half))
            yield WatchedFigure(month, event, None if hits <= _Z95 * deviation else rate, low, high)


def _shifts(plan: Plan, tables: dict[str, np.ndarray], noise: float) -> Iterator[WatchedFigure]:
    asked, level = plan.counted, alarm_level(plan)
    first = asked.reference_months
    for name, counts in tables.items():
        of_event = counts[:, asked.events.index(asked.compared), :]
        reference = of_event[:first].sum(axis=0)
        groups = _groups(reference, noise * math.sqrt(first))
        for month, row in zip(asked.months[first:], of_event[first:], strict=True):
            yield _shift(name, month, row, reference, groups, noise, first, level)


def _groups(reference: np.ndarray, noise: float) -> list[list[int]]:
    """Bands in a row, as many together as it takes for the reference to have something to compare with."""
    least, groups, open_group = _LEAST_SHARE * max(0.0, float(reference.sum())), list[list[int]](), list[int]()
    for band in range(len(reference)):
        open_group.append(band)
        if reference[open_group].sum() > max(least, _CLEAR * noise * math.sqrt(len(open_group))):
            groups.append(open_group)
            open_group = []
    if open_group and groups:
        groups[-1] = [*groups[-1], *open_group]
    return groups


def _shift(
    name: str,
    month: str,
    row: np.ndarray,
    reference: np.ndarray,
    groups: Sequence[Sequence[int]],
    noise: float,
    months: int,
    level: float,
) -> WatchedFigure:
    """The index of a month, less what chance and noise give of it: the module `power` has the formula."""
    sizes = np.array([len(group) for group in groups], dtype=np.float64)
    now, before = (np.array([counts[list(group)].sum() for group in groups]) for counts in (row, reference))
    cases, of = float(now.sum()), float(before.sum())
    if len(groups) < 2 or cases <= _CLEAR * noise * math.sqrt(float(sizes.sum())):
        return WatchedFigure(month, name, None, 0.0, math.inf)
    share = before / of
    chance = (np.diag(share) - np.outer(share, share)) * (1 / cases + 1 / of)
    # Shares are of noisy sums, too: the noise of a cell moves all of them.
    moved = np.eye(len(share)) - np.outer(share, np.ones(len(share)))
    noises = noise**2 * np.diag(sizes) * (1 / cases**2 + months / of**2)
    product = (chance + moved @ noises @ moved.T) / share[:, None]
    mean, spread = float(np.trace(product)), float(np.trace(product @ product))
    # A scaled chi-square variable of the same mean and variance (Satterthwaite 1946).
    compared = Comparison(spread / mean, mean**2 / spread, level)
    index = float((((now / cases - share) ** 2) / share).sum()) - mean
    low, high = compared.interval(index)
    return WatchedFigure(month, name, max(0.0, index), low, high, compared.threshold, compared.power())


def _clear(value: float, half: float) -> float | None:
    return None if value <= half else value
