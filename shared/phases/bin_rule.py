"""How a tower's features are cut into bins: one answer for the parties, the server, and whoever reads a plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sealscore.shared.model.additive.cells import BINS, CELLS, spread_edges
from sealscore.shared.model.bins import (
    AnyFeature,
    Binning,
    Grid,
    grid_edges,
    histogram,
    histogram_length,
    records_counted,
)
from sealscore.shared.plan.features import tower_features
from sealscore.shared.plan.plan import Plan
from sealscore.shared.plan.schema import NumericFeature


@dataclass(frozen=True)
class BinRule:
    """The features of a tower, about how many public cells each has, and the most bins."""

    features: tuple[AnyFeature, ...]
    cells: int
    bins: int
    grid: Grid

    def edges(self, feature: NumericFeature) -> np.ndarray:
        """Inner edges of the public cells of a numeric feature."""
        return np.asarray(self.grid(feature, self.cells))

    @property
    def length(self) -> int:
        """Entries of the histogram."""
        return histogram_length(self.features, self.cells, self.grid)

    @property
    def sizes(self) -> tuple[int, ...]:
        """The most bins that each feature can have, that for missing values among them."""
        found = []
        for feature in self.features:
            most = len(feature.levels) if feature.kind == "categorical" else max(self.bins, len(feature.edges) + 1)
            found.append(most + feature.missing)
        return tuple(found)

    def histogram(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """As `bins.histogram`."""
        return histogram(columns, self.features, self.cells, self.grid)

    def binning(self, totals: np.ndarray) -> Binning:
        """As `Binning.from_histogram`."""
        return Binning.from_histogram(self.features, self.cells, self.bins, totals, self.grid)

    def records(self, totals: np.ndarray) -> float:
        """As `bins.records_counted`."""
        return records_counted(self.features, self.cells, totals, self.grid)

    def read(self, data: bytes) -> Binning:
        """As `Binning.from_bytes`."""
        return Binning.from_bytes(data, self.features, self.bins)


def bin_rule(plan: Plan, tower: str) -> BinRule:
    """The rule of a tower."""
    features = tower_features(plan, tower)
    if plan.training.auto:
        return BinRule(features, CELLS, BINS, spread_edges)
    return BinRule(features, plan.model.grid_cells, plan.model.bins, grid_edges)
