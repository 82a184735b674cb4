"""The score tables of an evaluation as they were released, each with the noise of its counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

OVERALL = "all"


@dataclass(frozen=True)
class ScoreTables:
    """Noisy counts of test persons by score cell and label, float64 [2 * cells] a table, good first.

    `overall` counts all of them; `bands` has a table for each band of each attribute. The standard deviations are those
    of the noise in one count.
    """

    overall: np.ndarray
    bands: dict[str, dict[str, np.ndarray]]
    noise_std: float
    band_noise_std: float

    @classmethod
    def of_sum(
        cls, values: np.ndarray, bands: Mapping[str, Sequence[str]], weights: tuple[float, float], noise_std: float
    ) -> ScoreTables:
        """From a sum float64 [2 * cells * tables] with noise of that deviation in each entry.

        `bands` are the bands' keys by attribute, in the order of the tables, `weights` those of the overall table and
        of the bands' in the sum.

        Raises:
            ValueError: the sum is no whole number of tables.
        """
        tables = iter(np.split(values, 1 + sum(len(keys) for keys in bands.values())))
        overall, band = weights
        whole = next(tables) / overall
        found = {name: {key: next(tables) / band for key in keys} for name, keys in bands.items()}
        return cls(whole, found, noise_std / overall, noise_std / band)

    @property
    def best(self) -> tuple[np.ndarray, float]:
        """The counts of all test persons as all tables tell them, and the standard deviation of their noise.

        A person is in one band of each attribute, so an attribute's bands sum to the overall table again: the mean of
        these sums, each weighted by one over the variance of its noise, is unbiased and the least noisy.
        """
        if not (self.noise_std and self.band_noise_std):
            return self.overall, 0.0
        weights, total = [self.noise_std**-2], self.overall * self.noise_std**-2
        for bands in self.bands.values():
            weights.append(1 / (len(bands) * self.band_noise_std**2))
            total = total + weights[-1] * np.sum(list(bands.values()), axis=0)
        return total / sum(weights), float(sum(weights) ** -0.5)

    @property
    def tables(self) -> dict[str, np.ndarray]:
        """Each table by its name in a run's record: `all`, `SEX: 1`."""
        found = {OVERALL: self.overall}
        for name, bands in self.bands.items():
            found |= {f"{name}: {key}": table for key, table in bands.items()}
        return found

    def as_record(self) -> dict[str, Any]:
        """What a run's record keeps."""
        tables = {name: table.tolist() for name, table in self.tables.items()}
        return {"noise_std": self.noise_std, "band_noise_std": self.band_noise_std, "tables": tables}

    @classmethod
    def of_record(cls, record: Mapping[str, Any], bands: Mapping[str, Sequence[str]]) -> ScoreTables:
        """From `as_record`, or from a record that was made when all tables had the same noise.

        Raises:
            KeyError: a table or the noise is missing.
        """
        tables = {name: np.array(table, dtype=np.float64) for name, table in record["tables"].items()}
        noise = float(record["noise_std"])
        found = {name: {key: tables[f"{name}: {key}"] for key in keys} for name, keys in bands.items()}
        return cls(tables[OVERALL], found, noise, float(record.get("band_noise_std", noise)))
