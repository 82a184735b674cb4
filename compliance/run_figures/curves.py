"""From noisy tables of scores by label to curves, each with how uncertain it is.

A table's counts carry noise of known standard deviation, and its records are a sample of those who could have been
test persons. How far a curve could be off follows by doing both again: counts are drawn as Poisson around the
cleaned counts, known noise is added, and the curve is taken by the same code (parametric bootstrap, Efron and
Tibshirani 1993, section 6.5). Intervals are 95 %; they are laid around the curve itself, since cleaning pulls the
draws a second time where it pulled the curve once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sealscore.shared.model.bins import consistent_counts
from sealscore.shared.model.calibration import Calibration
from sealscore.shared.model.score_grid import HIGHEST, LOWEST, cell_logits
from sealscore.shared.model.score_model import points
from sealscore.shared.model.score_table import ECE_BINS, TableMetrics

DRAWS = 400
_Z = 1.959963984540054
_GRID = np.linspace(0.0, 1.0, 101)


@dataclass(frozen=True)
class Curve:
    """Points with a 95 % interval for each y: float64 [n] each."""

    x: np.ndarray
    y: np.ndarray
    low: np.ndarray
    high: np.ndarray


@dataclass(frozen=True)
class Draws:
    """A noisy table float64 [2 * cells], what is known of its noise, and draws of what else it could have been."""

    table: np.ndarray
    noise_std: float
    calibration: Calibration
    drawn: np.ndarray

    @classmethod
    def of(cls, table: np.ndarray, noise_std: float, calibration: Calibration, draws: int = DRAWS) -> Draws:
        """Draw again; the same table gives the same draws, so that a report can be made twice."""
        random = np.random.default_rng(0)
        cleaned = np.concatenate(_cleaned(table))
        counts = random.poisson(cleaned, (draws, len(table)))
        return cls(table, noise_std, calibration, counts + random.normal(0.0, noise_std, counts.shape))

    def errors(self) -> dict[str, float | None]:
        """Half the 95 % interval of each figure of `TableMetrics`; None where noise leaves nothing to tell."""
        found = [TableMetrics.of(table, self.calibration, self.noise_std).as_dict() for table in self.drawn]
        return {name: _half([figures[name] for figures in found]) for name in found[0]}

    def roc(self) -> Curve:
        """Share of bad loans refused (y) by share of good loans refused (x), from the riskiest score down."""
        drawn = np.array([_roc(table) for table in self.drawn])
        return _around(_GRID, _roc(self.table), drawn)

    def cumulative(self) -> tuple[Curve, Curve]:
        """Share of the good and of the bad loans whose score points are at most x, at the edges of cells."""
        return self._by_points(lambda shares: np.append(0.0, np.cumsum(shares)))

    def density(self) -> tuple[Curve, Curve]:
        """Share of the good and of the bad loans in each cell, from the x of its own to the next; the last x closes."""
        return self._by_points(lambda shares: np.append(shares, shares[-1]))

    def _by_points(self, curve: Callable[[np.ndarray], np.ndarray]) -> tuple[Curve, Curve]:
        """A curve of the good and one of the bad from the shares of cells, the riskiest cell first."""
        edges = points(self.calibration.pd(np.linspace(HIGHEST, LOWEST, len(self.table) // 2 + 1)))

        def of(half: int) -> Curve:
            made = [
                curve(counts[::-1] / counts.sum())
                for counts in (_cleaned(table)[half] for table in (self.table, *self.drawn))
            ]
            return _around(edges, made[0], np.array(made[1:]))

        return of(0), of(1)

    def calibration_points(self) -> Curve:
        """Bad rate (y) by mean PD (x) in tenths of the records made of whole cells, with its interval."""
        good, bad = np.split(self.table, 2)
        pd = self.calibration.pd(cell_logits(len(good)))
        counts = consistent_counts(good + bad, max(1.0, float(self.table.sum())))
        middle = (np.cumsum(counts) - counts / 2) / counts.sum()
        tenth = np.minimum((middle * ECE_BINS).astype(np.int64), ECE_BINS - 1)
        xs, ys, errors = [], [], []
        for part in range(ECE_BINS):
            cells = tenth == part
            records = float((good + bad)[cells].sum())
            noise = self.noise_std**2 * cells.sum()
            if records < max(30.0, 4 * np.sqrt(2 * noise)):
                continue
            rate = float(bad[cells].sum()) / records
            inside = min(1.0, max(0.0, rate))
            variance = records * inside * (1 - inside) + noise * (rate**2 + (1 - rate) ** 2)
            xs.append(float(pd[cells] @ counts[cells] / counts[cells].sum()))
            ys.append(rate)
            errors.append(_Z * np.sqrt(variance) / records)
        y, error = np.array(ys), np.array(errors)
        return Curve(np.array(xs), y.clip(0, 1), (y - error).clip(0, 1), (y + error).clip(0, 1))


def _cleaned(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Good and bad counts without negative ones, summing to what the noisy ones sum to (at least one record)."""
    good, bad = (consistent_counts(half, max(1.0, float(half.sum()))) for half in np.split(table, 2))
    return good, bad


def _roc(table: np.ndarray) -> np.ndarray:
    good, bad = _cleaned(table)
    refused = [np.concatenate([[0.0], np.cumsum(half[::-1]) / half.sum()]) for half in (good, bad)]
    return np.asarray(np.interp(_GRID, refused[0], refused[1]))


def _around(x: np.ndarray, y: np.ndarray, drawn: np.ndarray) -> Curve:
    centre = drawn.mean(axis=0)
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    return Curve(x, y, np.clip(y + low - centre, 0, 1), np.clip(y + high - centre, 0, 1))


def _half(values: list[float | None]) -> float | None:
    told = [value for value in values if value is not None]
    return _Z * float(np.std(told, ddof=1)) if len(told) > 0.9 * len(values) and len(told) > 1 else None
