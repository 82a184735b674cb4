"""Tables of scores by label: what a party counts. Figures of noisy sums of them: `released`."""

from __future__ import annotations

import numpy as np

from sealscore.shared.model.score_grid import cell_edges


def score_table(logits: np.ndarray, labels: np.ndarray, cells: int) -> np.ndarray:
    """Count records by label and score cell: logits [n], labels [n] (1 is bad) -> int64 [2 * cells], good first.

    Formal guarantees: one record changes one cell by one, provided that its logit depends on no other record
    (`row_logits`); sensitivity 1, square root of k for k tables released together.

    Raises:
        ValueError: lengths differ, or a label is neither 0 nor 1.
    """
    if logits.shape != labels.shape or logits.ndim != 1:
        raise ValueError(f"logits and labels must be two lists of one length, got {logits.shape} and {labels.shape}")
    if not np.isin(labels, (0, 1)).all():
        raise ValueError("labels must be 0 (good) or 1 (bad)")
    cell = np.searchsorted(cell_edges(cells), logits, side="left")
    return np.bincount(cell + cells * labels.astype(np.int64), minlength=2 * cells).astype(np.int64)
