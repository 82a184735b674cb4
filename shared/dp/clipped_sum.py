"""The clipped sum of an additive model on bins: what a party computes in a round, and its float error.

A record's gradient is e x, with x its code and e the slope of its loss in the logit. Its norm is |e| |x|, and |x| is a
sum of table entries; the sum over records is a weighted count by (feature, bin), and by the bins of each pair, times
the code's tables. No code is ever built.
"""

from __future__ import annotations

import math

import numpy as np

from sealscore.shared.dp.rounding import CLIP_SLACK
from sealscore.shared.model.additive.codes import CODE_LIMIT, Codes
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


def clipped_sum(codes: Codes, bins: np.ndarray, slopes: np.ndarray) -> np.ndarray:
    """Sum of clipped gradients: bins, integers [features, n], and slopes float64 [n] -> float64 [codes.length].

    Each record's vector e x is scaled by min(1, CLIP / (|e| |x| + 1e-6)), as Opacus does. A record whose slope is not
    finite counts as zero.

    Formal guarantees: adding or removing a record moves the result by at most CLIP (1 + `clip_error`) in L2 norm, at
    any codes, provided that its slope depends on no other record but for the last bits of functions of one entry.
    """
    weights = clipped_weights(slopes, codes.squared_norms.sums(bins), CLIP)
    parts = [np.array([codes.intercept * weights.sum()])]
    for main, at in zip(codes.mains, bins, strict=True):
        parts.append(np.bincount(at, weights=weights, minlength=len(main)) @ main)
    for pair in codes.pairs:
        left, right = codes.factors[pair.left], codes.factors[pair.right]
        at = bins[pair.left].astype(np.intp) * len(right) + bins[pair.right]
        counts = np.bincount(at, weights=weights, minlength=len(left) * len(right)).reshape(len(left), len(right))
        parts.append((left.T @ counts @ right)[codes.mask(pair)])
    return np.concatenate(parts)


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
