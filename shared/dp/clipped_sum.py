"""The clipped sum of an additive model on bins: what a party computes in a round, and its float error.

The codes are those that the recipe publishes, or those of a linear tower.

A record's gradient is e x, with x its code and e the slope of its loss in the logit. Its norm is |e| |x|, and |x| is a
sum of table entries; the sum over records is a weighted count by (feature, bin), and by the bins of each pair, times
the code's tables. No code is ever built.
"""

from __future__ import annotations

import math

import numpy as np

from sealscore.shared.dp.rounding import CLIP_SLACK
from sealscore.shared.model.additive.additive_code import AdditiveCode, LinearUnits, of_coding
from sealscore.shared.model.additive.codes import CODE_LIMIT
from sealscore.shared.model.additive.kernels import add_up, count, look_up
from sealscore.shared.model.coding import Coding
from sealscore.shared.model.logistic import expit

# Codes are scaled for it, so noise, grid and moduli are constants of a plan whatever codes a server publishes.
CLIP = 1.0


def slopes(logits: np.ndarray, labels: np.ndarray, keep: float = 1.0) -> np.ndarray:
    """Slope of each record's loss in its logit, float64 [n] within [-1, 1].

    Labels are 0 or 1, kept with probability `keep` by randomized response: cross entropy, or its forward correction
    as `loss.ForwardCorrected` has it.
    """
    bad = expit(logits)
    if keep == 1:
        return np.asarray(bad - labels, dtype=np.float64)
    good = expit(-logits)
    seen_bad, seen_good = keep * bad + (1 - keep) * good, keep * good + (1 - keep) * bad
    return np.asarray((2 * keep - 1) * (bad * ((1 - labels) / seen_good) * good - good * (labels / seen_bad) * bad))


def clipped_sum(code: AdditiveCode, bins: np.ndarray, slopes: np.ndarray) -> np.ndarray:
    """Sum of clipped gradients: bins, integers [features, n], and slopes float64 [n] -> float64 [units].

    Each record's vector e x is scaled by min(1, C / (|e| |x| + 1e-6)), with C the code's clip norm, as Opacus does. A
    record whose slope is not finite counts as zero.

    Formal guarantees: adding or removing a record moves the result by at most C (1 + `clip_error`) in L2 norm, at any
    published codes, and for a linear tower's that `bins_suffice` by at most C (1 + `rounding.clip_error`), provided
    that its slope depends on no other record but for the last bits of functions of one entry.
    """
    weights = clipped_weights(slopes, squared_norms(code, bins), code.clip)
    counts = count(bins, code.layout, code.cells, weights, np.array([0, len(weights)]))[0]
    return code.spread(np.array([weights.sum()]), counts)


def squared_norms(code: AdditiveCode, bins: np.ndarray) -> np.ndarray:
    """Squared norms of the codes of records, float64 [n]; [1] where all codes have the same."""
    return code.one_norm if code.one_norm is not None else look_up(code.squared_norms, bins, code.layout)


class TowerSum:
    """The clipped sum of a linear tower on bins, with the loss of labels that are kept with probability `keep`."""

    def __init__(self, coding: Coding, clip_norm: float, keep: float = 1.0) -> None:
        self._units, self._code, self._keep = LinearUnits(coding), of_coding(coding, clip_norm), keep

    def __call__(self, parameters: np.ndarray, bins: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Weights float64 [p], bins, integers [features, b], targets [b] -> float64 [p], for any b, 0 included."""
        logits = add_up(*self._units.entries(parameters), bins, self._code.layout)
        return clipped_sum(self._code, bins, slopes(logits, targets, self._keep))


def bins_suffice(coding: Coding) -> bool:
    """Whether a linear tower's sum on bins moves by no more than `rounding.clip_error` says of its dense codes.

    So it is, at any number of records, where no feature or cross has more cells than the tower has weights, and 12
    (docs/proofs/rounding.md, section 3).
    """
    return max((table[..., 0].size for _, table in coding.tables), default=0) <= coding.width + 1 + 12


def clipped_weights(slopes: np.ndarray, squared_norms: np.ndarray, clip: float) -> np.ndarray:
    """What each record's code counts with in a clipped sum, float64 [n], from the squared norms of codes [n]."""
    finite = np.where(np.isfinite(slopes), slopes, 0.0)
    return np.asarray(finite * np.minimum(1.0, clip / (np.abs(finite) * np.sqrt(squared_norms) + CLIP_SLACK)))


def clip_error(records: int, length: int, bins: int) -> float:
    """gamma: a record moves the float64 sum of `clipped_sum` by at most CLIP (1 + gamma), at any codes and weights.

    For at most `records` records, codes of `length` units and features of at most `bins` bins. With u = 2^-53:

        gamma = 1.01 (eta + 2 n (n + 2 bins + 4) u + n (2 eta + 64 u X)),    eta = (length + 16) u

    with X = CODE_LIMIT^2 sqrt(length) above any code's norm (docs/proofs/additive.md).

    Raises:
        ValueError: a number is out of its range.
    """
    if records < 0 or length < 1 or bins < 1:
        raise ValueError("records >= 0, length >= 1 and bins >= 1 are needed")
    u, n = 2.0**-53, float(records)
    eta = (length + 16) * u
    drift = 64 * u * CODE_LIMIT**2 * math.sqrt(length)
    return 1.01 * (eta + 2 * n * (n + 2 * bins + 4) * u + n * (2 * eta + drift / CLIP))
