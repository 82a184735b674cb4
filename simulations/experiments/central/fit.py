"""The additive recipe in one place, with the noise that a federation would add: to measure it, and to choose with.

Noise is drawn from numpy: it protects nobody.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sealscore.shared.closed_forms import gaussian_mu
from sealscore.shared.dp.clipped_sum import CLIP, clipped_sum, slopes
from sealscore.shared.model.additive.additive_code import of_codes
from sealscore.shared.model.additive.cells import BINS, CELLS, spread_edges
from sealscore.shared.model.additive.codes import Codes, narrow
from sealscore.shared.model.additive.curve import PdCurve, residual_sums
from sealscore.shared.model.bins import AnyFeature, Binning, histogram, records_counted
from sealscore.shared.model.recipe.budget import FitShares
from sealscore.shared.model.recipe.calibrator import ROUNDS as CALIBRATION_ROUNDS
from sealscore.shared.model.recipe.facts import Facts
from sealscore.shared.model.recipe.fit import FIRST_ROUNDS, ROUNDS, Score, fitted
from sealscore.shared.model.recipe.solver import Released

# Three parties of which two are honest, and what the rounding of sums to the grid costs.
HONEST, ROUNDING = 1.5, 1.05

Columns = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Budget:
    """Epsilon (None: no noise) and delta of all sums, and the variance of their noise over that of a trusted one's."""

    epsilon: float | None
    delta: float = 1e-5
    excess: float = HONEST * ROUNDING

    @property
    def mu(self) -> float:
        """The budget as that of one Gaussian release."""
        return math.inf if self.epsilon is None else gaussian_mu(self.epsilon, self.delta)

    def noise(self, share: float, sensitivity: float = 1.0) -> float:
        """Standard deviation of the noise of a release that takes that share."""
        return 0.0 if self.epsilon is None else sensitivity * math.sqrt(self.excess / share) / self.mu


class CentralSums:
    """Noisy sums over all records at once: bins, integers [features, n], and labels [n]."""

    def __init__(
        self, bins: np.ndarray, labels: np.ndarray, shares: FitShares, budget: Budget, random: np.random.Generator
    ) -> None:
        self._bins, self._labels = bins, labels
        self._shares, self._budget, self._random = shares, budget, random

    def first(self, round: int, codes: Codes, weights: np.ndarray) -> Released:
        """As `recipe.Sums`."""
        return self._gradient(codes, weights, codes, self._shares.first / FIRST_ROUNDS)

    def pairs(self, scorer: Codes, weights: np.ndarray, codes: Codes) -> Released:
        """As `recipe.Sums`."""
        return self._gradient(scorer, weights, codes, self._shares.pairs)

    def second(self, round: int, codes: Codes, weights: np.ndarray) -> Released:
        """As `recipe.Sums`."""
        return self._gradient(codes, weights, codes, self._shares.second / ROUNDS)

    def residuals(self, round: int, codes: Codes, weights: np.ndarray, curve: PdCurve) -> Released:
        """As `recipe.Sums`."""
        sums = residual_sums(curve, codes.tables(weights).sums(self._bins), self._labels)
        return self._noisy(sums, self._shares.calibration / CALIBRATION_ROUNDS)

    def _gradient(self, scorer: Codes, weights: np.ndarray, codes: Codes, share: float) -> Released:
        slope = slopes(scorer.tables(weights).sums(self._bins), self._labels)
        return self._noisy(clipped_sum(of_codes(codes, CLIP), self._bins, slope), share)

    def _noisy(self, sums: np.ndarray, share: float) -> Released:
        noise = self._budget.noise(share)
        return Released(sums + noise * self._random.standard_normal(len(sums)), noise)


@dataclass(frozen=True, eq=False)
class CentralFit:
    """A binning and the score over it."""

    binning: Binning
    score: Score

    def logits(self, columns: Columns) -> np.ndarray:
        """Columns as in Records, float64 [n] each -> calibrated logits, float64 [n]."""
        bins = narrow(self.binning.quantize(columns), self.binning.sizes)
        return self.score.curve.logits(self.score.codes.tables(self.score.weights).sums(bins))


def fit(
    columns: Columns, labels: np.ndarray, features: Sequence[AnyFeature], budget: Budget, random: np.random.Generator
) -> CentralFit:
    """The recipe on these training records: columns as in Records, labels 0 or 1 [n]."""
    shares = FitShares.planned(len(labels), len(features), budget.mu)
    counts = histogram(columns, features, CELLS, spread_edges)
    noise = budget.noise(shares.bins, math.sqrt(len(features)))
    counts = counts + noise * random.standard_normal(len(counts))
    binning = Binning.from_histogram(features, CELLS, BINS, counts, spread_edges)
    records = records_counted(features, CELLS, counts, spread_edges)
    bads = float(labels.sum() + budget.noise(shares.rate) * random.standard_normal())
    facts = Facts.of(records, bads, len(features), budget.mu)
    bins = narrow(binning.quantize(columns), binning.sizes)
    return CentralFit(binning, fitted(binning, facts, CentralSums(bins, labels, shares, budget, random), shares))
