"""The figures of one month: how far shares moved, how far a rate is from its reference, and intervals of rates."""

from __future__ import annotations

import math

import numpy as np

_HALF = 0.5
_Z95 = 1.959963984540054


def smoothed(counts: np.ndarray) -> np.ndarray:
    """Shares of counts [..., cells] with half a case more in each cell, so that an empty one has a logarithm."""
    more = np.asarray(counts, dtype=np.float64) + _HALF
    return np.asarray(more / more.sum(axis=-1, keepdims=True))


def psi(counts: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Population stability index of counts [..., cells] against shares [..., cells]: sum (a - b) ln(a / b).

    Shares of counts are smoothed (see `smoothed`); those of the reference must be positive.
    """
    shares = smoothed(counts)
    return np.asarray(((shares - reference) * np.log(shares / reference)).sum(axis=-1))


def two_rates(hits: np.ndarray, of: np.ndarray, hits_before: np.ndarray, of_before: np.ndarray) -> np.ndarray:
    """How far a rate is from an earlier one, in standard errors of the difference under one common rate; never below 0.

    0 where nothing was counted, or where nobody or everybody was hit in both.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        common = (hits + hits_before) / (of + of_before)
        error = np.sqrt(common * (1 - common) * (1 / of + 1 / of_before))
        found = np.abs(hits / of - hits_before / of_before) / error
    return np.asarray(np.nan_to_num(found, nan=0.0, posinf=0.0))


def against_expected(hits: np.ndarray, expected: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """How far a count is from what was predicted, in its own standard errors; 0 where nothing could vary."""
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.abs(hits - expected) / np.sqrt(variance)
    return np.asarray(np.nan_to_num(found, nan=0.0, posinf=0.0))


def rate_interval(hits: int, of: int) -> tuple[float, float]:
    """The 95 % interval of a rate (Wilson 1927); 0 to 1 where nothing was counted."""
    if of == 0:
        return 0.0, 1.0
    rate, z2 = hits / of, _Z95**2
    middle = (rate + z2 / (2 * of)) / (1 + z2 / of)
    half = _Z95 * math.sqrt(rate * (1 - rate) / of + z2 / (4 * of * of)) / (1 + z2 / of)
    return max(0.0, middle - half), min(1.0, middle + half)
