"""The public cells of the score: uniform on the logit axis, the outermost ones open."""

from __future__ import annotations

import numpy as np

LOWEST, HIGHEST = -5.0, 4.0


def cell_edges(cells: int) -> np.ndarray:
    """Inner edges, float64 [cells - 1]; an edge belongs to the lower cell."""
    return np.linspace(LOWEST, HIGHEST, cells + 1)[1:-1]


def cell_logits(cells: int) -> np.ndarray:
    """The middle of each cell, float64 [cells]."""
    width = (HIGHEST - LOWEST) / cells
    return LOWEST + width * (np.arange(cells) + 0.5)
