"""The integer grid of a party's clipped sum, and how much float arithmetic adds to its sensitivity.

`docs/proofs/rounding.md` has the proof of both.
"""

from __future__ import annotations

import math
from fractions import Fraction

from sealscore.shared.model.weights import MAX_WIDTH, WEIGHT_LIMIT

# Counts are summed in this unit: on whole counts, the noise of a small share would be far from Gaussian.
COUNT_GRID = 2.0**-6
# Opacus 1.6, DPOptimizer.clip_and_accumulate: keeps the factor finite for a gradient of zero.
CLIP_SLACK = 1e-6
_UNIT_ROUNDOFF = 2.0**-53


def grid_for(clip_norm: float, parameters: int) -> float:
    """The largest power of two `g` with g * sqrt(parameters) <= 0.01 * clip_norm, found in exact arithmetic.

    Raises:
        ValueError: clip_norm is not positive and finite, or there are no parameters.
    """
    if not (math.isfinite(clip_norm) and clip_norm > 0) or parameters < 1:
        raise ValueError(f"a positive clip norm and a parameter are needed, got {clip_norm} and {parameters}")
    limit = Fraction(clip_norm) ** 2 / 10_000 / parameters
    exponent = math.ceil(math.log2(clip_norm)) - 6
    while Fraction(2) ** (2 * exponent) > limit:
        exponent -= 1
    return math.ldexp(1.0, exponent)


def clip_error(records: int, parameters: int, hidden: int = 0, clip_norm: float = 1.0) -> float:
    """gamma: adding a record moves the float64 sum of clipped gradients by at most clip_norm * (1 + gamma).

    Holds for a `Tower` with `hidden` units and `parameters` weights in all, on codes with entries in [-1, 1] on
    their grid, with `cross_entropy` or `ForwardCorrected`, at any weights, for samples of at most `records`
    records. With u = 2^-53, p the parameters, n the records, h the hidden units, k one more than the width of a
    code, and L the limit of a weight:

        gamma = 1.01 (eta + 2 (n + 2)^2 u + n (2 eta + drift / clip_norm)),    eta = (p + 16) u
        drift = (64 u + logit) (sqrt(k) + sqrt(h) + L sqrt(h k)) + 16 u (sqrt(h) + L sqrt(h k))
        logit = 2 u L ((h + 8) h + 2 (h + k)) with hidden units, 0 without

    eta is the error of one record's norm and factor, 2 (n + 2)^2 u
    that of two sums, and the last term bounds how far the other records' vectors can move when one is added.

    Raises:
        ValueError: the code would be too wide for exact products, or no tower has such numbers.
    """
    if records < 0 or parameters < 1 or hidden < 0 or not clip_norm > 0:
        raise ValueError("records >= 0, parameters >= 1, hidden >= 0 and clip_norm > 0 are needed")
    # A tower has k weights for the linear part, k for each hidden unit and one from each.
    k, left = divmod(parameters - hidden, hidden + 1)
    if left or k < 2:
        raise ValueError(f"no tower with {hidden} hidden units has {parameters} weights")
    if k - 1 > MAX_WIDTH:
        raise ValueError(f"codes of {k - 1} units are too wide: products are exact up to {MAX_WIDTH}")
    u, n, h, limit = _UNIT_ROUNDOFF, float(records), float(hidden), WEIGHT_LIMIT
    eta = (parameters + 16) * u
    logit = 2 * u * limit * ((h + 8) * h + 2 * (h + k)) if hidden else 0.0
    inner = math.sqrt(h) + limit * math.sqrt(h * k)
    drift = (64 * u + logit) * (math.sqrt(k) + inner) + 16 * u * inner
    return 1.01 * (eta + 2 * (n + 2) ** 2 * u + n * (2 * eta + drift / clip_norm))
