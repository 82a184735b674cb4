"""From noisy tables of scores by label to curves, each with how uncertain noise makes it.

A curve is taken from each draw of the exact counts of the same persons (`shared.model.released.table_posterior`); it
is the mean over the draws, with their 2.5 % and 97.5 % quantiles at each point.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sealscore.shared.model.calibration import Calibration
from sealscore.shared.model.released.table_figures import ECE_BINS
from sealscore.shared.model.released.table_posterior import TablePosterior
from sealscore.shared.model.score_grid import HIGHEST, LOWEST
from sealscore.shared.model.score_model import points

_GRID = np.linspace(0.0, 1.0, 101)
# A tenth of fewer records than this, or whose number or rate is mostly noise, shows nothing.
_LEAST, _WIDEST = 30.0, 0.15


@dataclass(frozen=True)
class Curve:
    """Points with a 95 % interval for each y: float64 [n] each."""

    x: np.ndarray
    y: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @classmethod
    def of_draws(cls, x: np.ndarray, drawn: np.ndarray) -> Curve:
        """From draws of y, float64 [draws, n]."""
        low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
        y = drawn.mean(axis=0)
        return cls(x, y, np.minimum(low, y), np.maximum(high, y))


@dataclass(frozen=True)
class Curves:
    """The curves of one table."""

    posterior: TablePosterior
    calibration: Calibration

    def roc(self) -> Curve:
        """Share of bad loans refused (y) by share of good loans refused (x), from the riskiest score down."""
        refused = np.cumsum(self._parts[..., ::-1], axis=2)
        drawn = [np.interp(_GRID, np.append(0.0, good), np.append(0.0, bad)) for good, bad in refused]
        return Curve.of_draws(_GRID, np.array(drawn))

    def cumulative(self) -> tuple[Curve, Curve]:
        """Share of the good and of the bad loans whose score points are at most x, at the edges of cells."""
        return self._by_points(lambda shares: np.append(0.0, np.cumsum(shares)))

    def density(self) -> tuple[Curve, Curve]:
        """Share of the good and of the bad loans in each cell, from the x of its own to the next; the last x closes."""
        return self._by_points(lambda shares: np.append(shares, shares[-1]))

    def calibration_points(self) -> Curve:
        """Bad rate (y) by mean PD (x) in tenths of the records made of whole cells, with its interval."""
        pd, counts = self.calibration.pd(self.posterior.middles), self.posterior.counts
        cells = counts.mean(axis=0).sum(axis=0)
        middle = (np.cumsum(cells) - cells / 2) / max(float(cells.sum()), 1e-9)
        tenth = np.minimum((middle * ECE_BINS).astype(np.int64), ECE_BINS - 1)
        xs, rates = [], []
        for part in range(ECE_BINS):
            good, bad = counts[:, :, tenth == part].sum(axis=2).T
            records = good + bad
            rate = bad / np.maximum(records, 1e-9)
            if records.mean() < max(_LEAST, 4 * float(records.std())) or rate.std() > _WIDEST:
                continue
            xs.append(float(pd[tenth == part] @ cells[tenth == part] / cells[tenth == part].sum()))
            rates.append(rate)
        return Curve.of_draws(np.array(xs), np.array(rates).T) if xs else Curve(*[np.zeros(0)] * 4)

    def _by_points(self, curve: Callable[[np.ndarray], np.ndarray]) -> tuple[Curve, Curve]:
        """A curve of the good and one of the bad from the shares of cells, the riskiest cell first."""
        edges = points(self.calibration.pd(np.array([HIGHEST, *self.posterior.edges[::-1], LOWEST])))
        drawn = _shares(self.posterior.counts)[..., ::-1]
        good, bad = (Curve.of_draws(edges, np.array([curve(one[label]) for one in drawn])) for label in (0, 1))
        return good, bad

    @cached_property
    def _parts(self) -> np.ndarray:
        return _shares(self.posterior.split())


def _shares(counts: np.ndarray) -> np.ndarray:
    """Counts of each draw and label as shares of all of them: float64 [draws, 2, cells]."""
    return np.asarray(counts / np.maximum(counts.sum(axis=2, keepdims=True), 1e-9))
