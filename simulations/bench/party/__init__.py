"""A party of 10 million records of 30 columns: its bins in memory, and a full-batch round over them.

Columns are invented one by one and binned at once, as they would be read; what is invented is not counted. The round
is the party's clipped sum: logits from tables, slopes, clipped weights, counts by bin. `ratio` is the CPU that is asked
for (3 s) over that which both took; `bins_gb` is what stays in memory, `most_gb` the most that the process held.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from sealscore.shared.model.additive.additive_code import linear_tables, of_coding
from sealscore.shared.model.bins import Binning, FeatureBins
from sealscore.shared.model.coding import Coding
from sealscore.shared.plan.schema import NumericFeature
from sealscore.simulations.engine.fast.segments import Segments, clipped_sums

RECORDS, COLUMNS, BINS = 10_000_000, 30, 16
ASKED_SECONDS = 3.0


class InventedColumns(Mapping[str, np.ndarray]):
    """Columns that are made when they are asked for, and the CPU that this took."""

    def __init__(self, names: tuple[str, ...], records: int) -> None:
        self._names, self._records = names, records
        self.seconds = 0.0

    def __getitem__(self, name: str) -> np.ndarray:
        began = time.process_time()
        made = np.random.default_rng(self._names.index(name)).random(self._records)
        self.seconds += time.process_time() - began
        return made

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def run(records: int = RECORDS) -> dict[str, Any]:
    """`ratio`, seconds of CPU of both parts, and memory in GB."""
    features = tuple(NumericFeature(name=f"x{place:02}", lower=0, upper=1) for place in range(COLUMNS))
    edges = tuple((np.arange(1, BINS) / BINS).tolist())
    binning = Binning(tuple(FeatureBins(feature, edges, (1 / BINS,) * BINS) for feature in features))
    columns = InventedColumns(tuple(feature.name for feature in features), records)
    began = time.process_time()
    bins = binning.narrow_bins(columns)
    binned = time.process_time() - began - columns.seconds
    targets = (np.random.default_rng(COLUMNS).random(records) < 0.2).astype(np.float64)
    code = of_coding(Coding(binning), 1.0)
    weights = np.random.default_rng(0).normal(0, 0.1, Coding(binning).width + 1)
    _ = clipped_sums(
        code, linear_tables(Coding(binning), weights), Segments(bins[:, :9], targets[:9], np.array([0, 9]))
    )
    began = time.process_time()
    found = clipped_sums(code, linear_tables(Coding(binning), weights), Segments(bins, targets, np.array([0, records])))
    took = time.process_time() - began
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    return {
        "ratio": ASKED_SECONDS / (binned + took),
        "bins_seconds": binned,
        "round_seconds": took,
        "bins_gb": bins.nbytes / 1e9,
        "most_gb": most,
        "records": records,
        "sum_norm": float(np.linalg.norm(found)),
    }
