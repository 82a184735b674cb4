"""The logistic function, from scipy: imported when it is first needed, since most commands never do."""

from __future__ import annotations

import numpy as np


def expit(logits: np.ndarray) -> np.ndarray:
    """Logits -> probabilities, float64 of the same shape."""
    from scipy.special import expit as found

    return np.asarray(found(logits), dtype=np.float64)
