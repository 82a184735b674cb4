"""The signal: a platform tower's logit, cut into few levels at edges that come from a noisy histogram."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from sealscore.shared.model.bins import consistent_counts
from sealscore.shared.model.score_grid import cell_edges

CELLS = 128


def signal_histogram(logits: np.ndarray) -> np.ndarray:
    """Counts of logits [n] over the public cells of the score axis: int64 [CELLS]; one record changes one cell."""
    return np.bincount(np.searchsorted(cell_edges(CELLS), logits, side="left"), minlength=CELLS).astype(np.int64)


def level_edges(noisy: np.ndarray, levels: int) -> np.ndarray:
    """Edges float64 [levels - 1] that cut the noisy histogram [CELLS] into about equal shares: post-processing.

    Two edges may be equal where a cell holds more than a share; the level between them is then never used.
    """
    counts = consistent_counts(noisy, float(max(1.0, noisy.sum())))
    below = np.cumsum(counts)[:-1] / counts.sum()
    wanted = np.arange(1, levels) / levels
    nearest = np.abs(below[None, :] - wanted[:, None]).argmin(axis=1)
    # Cells that hold next to nothing are as near as each other but for rounding, and the first of them may be either.
    return np.asarray(cell_edges(CELLS)[np.maximum.accumulate(nearest)])


def signal_levels(logits: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Level of each logit, int64 [n] in 0 .. levels - 1; an edge belongs to the lower level."""
    return np.searchsorted(edges, logits, side="left").astype(np.int64)


def merged_levels(told: Iterable[Sequence[int]]) -> np.ndarray:
    """Of what platforms of a kind told of each person, float64 [n]: the rounded mean, NaN where none told anything."""
    return np.array([float(np.rint(np.mean(levels))) if levels else np.nan for levels in told])
