"""What a noisy table of scores by label says of the exact one: draws of the counts of the same persons.

The noise of a count has a known standard deviation s, so a count n that was released as y has y ~ N(n, s^2). What is
unknown otherwise is small and smooth: log counts by score cell, and the log odds of bad by score cell, vary as
integrated random walks do (Wahba 1978; second differences of variance proportional to the cube of a cell's width),
around a straight line for the log odds. Counts scatter around what that gives with `overdispersion` times the variance
of a Poisson count. The fit is by Gauss-Newton steps on the posterior, with its normal approximation (Bishop 2006,
section 4.4), and given it a cell's count is the usual mixture of what was released and what the fit expects.

So cells with many records keep what was released, and those where noise is larger than the records borrow from their
neighbours. Intervals from the draws are about the exact counts of these persons: they hold the noise and nothing of
who might have been among them. All is post-processing of the released table: it costs nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sealscore.shared.model.calibration import Calibration
from sealscore.shared.model.logistic import expit
from sealscore.shared.model.score_grid import HIGHEST, LOWEST

DRAWS = 400
# A finer table has more unknowns than its records could tell; its cells are put together.
MOST_CELLS = 64
# Where figures are taken, each cell is split so that there are about this many in all.
_FINE = 96
_STEPS = 60
_ROUGHNESS = 2.0
_WEAK = 20.0
_BEND = 0.5
_LEAST_LOG, _MOST_LOG = -12.0, 25.0


@dataclass(frozen=True)
class Prior:
    """How far counts may scatter around what is smooth, and standard deviations of the log odds of bad.

    `tilt` is how much the rise of log density over a cell of one logit may differ from what its neighbours tell.
    `intercept` and `slope` are those of the line's distance from the calibration, `bend` is the roughness around it.
    `RANKING` leaves nearly all of what was released in the counts, so that sums over cells stay unbiased for the very
    persons that were counted. `ERROR` is for sums of absolute values, to which noise that is left would only add: it
    takes a calibration made on other persons to be about right, and what stands out of the noise as against it.
    """

    overdispersion: float
    tilt: float
    bend: float
    intercept: float
    slope: float


RANKING = Prior(overdispersion=20.0, tilt=0.5, bend=0.5, intercept=2.0, slope=1.0)
ERROR = Prior(overdispersion=0.3, tilt=0.0, bend=0.1, intercept=0.2, slope=0.15)


@dataclass(frozen=True)
class TablePosterior:
    """Draws of exact counts, float64 [draws, 2, cells] (good first), over cells with middles and inner edges in logits.

    `inside` are the shares of a cell's good and of its bad records in each of its parts, float64 [2, cells, parts],
    whose middles are `fine`, float64 [cells * parts]; `tilt` is how uncertain their rise over a cell is. Without noise
    there is one draw: the table.
    """

    counts: np.ndarray
    middles: np.ndarray
    edges: np.ndarray
    inside: np.ndarray
    fine: np.ndarray
    tilt: float
    exact: bool

    @classmethod
    def of(
        cls,
        table: np.ndarray,
        noise_std: float,
        calibration: Calibration,
        prior: Prior = RANKING,
        draws: int = DRAWS,
        seed: int = 0,
    ) -> TablePosterior:
        """From float64 [2 * cells] with noise of that deviation in each count; the same input gives the same draws.

        Raises:
            ValueError: the table has no two halves of at least four cells or is not finite, or the noise is negative
                or not finite.
        """
        table = np.asarray(table, dtype=np.float64)
        if table.ndim != 1 or len(table) < 8 or len(table) % 2 or not np.isfinite(table).all():
            raise ValueError("a table has finite counts of at least four cells: one half good, one half bad")
        if not (math.isfinite(noise_std) and noise_std >= 0):
            raise ValueError(f"the noise must be finite and not negative, got {noise_std}")
        grid = _Grid.of(len(table) // 2)
        counts, variance = grid.merged(table.reshape(2, -1)), noise_std**2 * grid.sizes
        fit = _Fit.of(counts, variance, grid, calibration, prior)
        random = np.random.default_rng(seed)
        drawn = fit.draws(counts, variance, prior, draws, random) if noise_std else counts[None]
        parts = max(2, math.ceil(_FINE / len(grid.middles)))
        inside, fine = fit.within(parts)
        tilt = prior.tilt * float(grid.widths.mean()) ** 1.5
        return cls(drawn, grid.middles, grid.edges, inside, fine, tilt, exact=not noise_std)

    @property
    def cells(self) -> int:
        """Cells of each draw."""
        return int(self.counts.shape[2])

    @property
    def totals(self) -> np.ndarray:
        """Records of each draw, float64 [draws]."""
        return np.asarray(self.counts.sum(axis=(1, 2)))

    def split(self, seed: int = 0) -> np.ndarray:
        """Each draw over the parts of cells: float64 [draws, 2, cells * parts]; whole records but for exact counts."""
        if self.exact:
            return np.asarray((self.counts[..., None] * self.inside).reshape(1, 2, -1))
        random = np.random.default_rng([seed, 1])
        whole = np.floor(self.counts + random.random(self.counts.shape)).astype(np.int64)
        # Nothing that is counted tells how records lie within a cell: each draw tilts both labels as it may be.
        across = np.linspace(-0.5, 0.5, self.inside.shape[2])
        tilt = random.normal(0.0, self.tilt, self.counts.shape)
        shares = self.inside * np.exp(tilt[..., None] * across)
        parts = random.multinomial(whole, shares / shares.sum(axis=3, keepdims=True))
        return np.asarray(parts.reshape(len(whole), 2, -1), dtype=np.float64)


@dataclass(frozen=True)
class _Grid:
    """Cells as the fit sees them: middles and widths in logits, inner edges, and how many cells of a table each has."""

    middles: np.ndarray
    widths: np.ndarray
    edges: np.ndarray
    sizes: np.ndarray

    @classmethod
    def of(cls, cells: int) -> _Grid:
        parts = np.array_split(np.arange(cells), min(cells, MOST_CELLS))
        sizes = np.array([len(part) for part in parts])
        ends = LOWEST + (HIGHEST - LOWEST) / cells * np.append(0, np.cumsum(sizes))
        return cls((ends[1:] + ends[:-1]) / 2, np.diff(ends), ends[1:-1], sizes)

    def merged(self, counts: np.ndarray) -> np.ndarray:
        starts = np.append(0, np.cumsum(self.sizes)[:-1])
        return np.asarray(np.add.reduceat(counts, starts, axis=1))


@dataclass(frozen=True)
class _Fit:
    """The posterior of log counts, intercept, slope and bends: its mode, and its precision [2 * cells + 2]."""

    mode: np.ndarray
    precision: np.ndarray
    design: np.ndarray
    grid: _Grid

    @classmethod
    def of(cls, counts: np.ndarray, noise: np.ndarray, grid: _Grid, calibration: Calibration, prior: Prior) -> _Fit:
        """Counts float64 [2, cells] with noise of variance [cells] each."""
        cells, width = len(grid.middles), float(grid.widths.mean())
        bends = np.diff(np.eye(cells), 2, axis=0)
        rough = bends.T @ bends / width**3
        weights = np.zeros((2 * cells + 2, 2 * cells + 2))
        weights[:cells, :cells] = rough / _ROUGHNESS**2 + np.eye(cells) / _WEAK**2
        weights[cells, cells], weights[cells + 1, cells + 1] = prior.intercept**-2, prior.slope**-2
        weights[cells + 2 :, cells + 2 :] = rough / prior.bend**2 + np.eye(cells) / _BEND**2
        design = np.column_stack([np.ones(cells), grid.middles, np.eye(cells)])
        start = _log_normal(counts.sum(axis=0), np.sqrt(2 * noise), grid.middles)
        centre = np.concatenate([np.full(cells, start.mean()), [calibration.intercept, calibration.slope]])
        centre = np.concatenate([centre, np.zeros(cells)])
        mode = np.concatenate([start, centre[cells:]])
        floor, released = np.maximum(noise, 1e-2), counts.reshape(-1)

        def loss(at: np.ndarray, variance: np.ndarray) -> float:
            off = released - _expected(at, design).reshape(-1)
            return float(off @ (off / variance) + (at - centre) @ weights @ (at - centre)) / 2

        precision = weights
        for _ in range(_STEPS):
            expected = _expected(mode, design)
            variance = (prior.overdispersion * expected + floor).reshape(-1)
            odds = expected.prod(axis=0) / np.maximum(expected.sum(axis=0), 1e-300)
            jacobian = np.zeros((2 * cells, 2 * cells + 2))
            jacobian[:cells, :cells], jacobian[cells:, :cells] = np.diag(expected[0]), np.diag(expected[1])
            jacobian[:cells, cells:], jacobian[cells:, cells:] = -odds[:, None] * design, odds[:, None] * design
            precision = jacobian.T @ (jacobian / variance[:, None]) + weights
            slope = jacobian.T @ ((released - expected.reshape(-1)) / variance) - weights @ (mode - centre)
            step, before = np.linalg.solve(precision, slope), loss(mode, variance)
            while np.abs(step).max() > 1e-4 and not loss(mode + step, variance) <= before:
                step = step / 2
            mode = mode + step
            if np.abs(step).max() <= 1e-4:
                break
        return cls(mode, precision, design, grid)

    def draws(
        self, counts: np.ndarray, noise: np.ndarray, prior: Prior, draws: int, random: np.random.Generator
    ) -> np.ndarray:
        """Counts of the same persons, float64 [draws, 2, cells], none negative."""
        lower = np.linalg.cholesky(self.precision)
        at = self.mode + np.linalg.solve(lower.T, random.standard_normal((len(self.mode), draws))).T
        expected = np.array([_expected(one, self.design) for one in at])
        scatter = prior.overdispersion * expected
        kept = scatter / (scatter + noise)
        middle = expected + kept * (counts - expected)
        drawn = middle + np.sqrt(kept * noise) * random.standard_normal(expected.shape)
        return np.asarray(np.maximum(drawn, 0.0))

    def within(self, parts: int) -> tuple[np.ndarray, np.ndarray]:
        """How the records of a cell lie in its parts, by slopes between cells, and the middles of the parts."""
        cells, middles = len(self.grid.middles), self.grid.middles
        off = self.grid.widths[:, None] * ((np.arange(parts) + 0.5) / parts - 0.5)
        odds = self.design @ self.mode[cells:]
        density = np.gradient(self.mode[:cells], middles)[:, None] * off
        bad = expit(odds[:, None] + np.gradient(odds, middles)[:, None] * off)
        shares = np.exp(density - density.max(axis=1, keepdims=True)) * np.stack([1 - bad, bad])
        return shares / shares.sum(axis=2, keepdims=True), (middles[:, None] + off).reshape(-1)


def _expected(at: np.ndarray, design: np.ndarray) -> np.ndarray:
    """Expected good and bad records of each cell, float64 [2, cells]."""
    cells = len(design)
    counts = np.exp(np.clip(at[:cells], _LEAST_LOG, _MOST_LOG))
    # No share of either label is ever quite 0, so that a cell's parts always have shares.
    bad = np.clip(expit(design @ at[cells:]), 1e-9, 1 - 1e-9)
    return np.stack([counts * (1 - bad), counts * bad])


def _log_normal(counts: np.ndarray, noise_std: np.ndarray, middles: np.ndarray) -> np.ndarray:
    """Logarithms of a normal curve of the counts that stand out of their noise: where the steps begin."""
    seen = np.maximum(counts - noise_std, 0.0) + 1e-9
    mean = float(seen @ middles / seen.sum())
    spread = math.sqrt(float(seen @ (middles - mean) ** 2 / seen.sum())) + 0.3
    curve = -((middles - mean) ** 2) / (2 * spread**2)
    return np.asarray(curve + math.log(max(10.0, float(counts.sum()))) - math.log(float(np.exp(curve).sum())))
