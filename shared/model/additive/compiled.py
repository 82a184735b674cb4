"""The inner loops over bins, compiled by numba: the extra `fast`. `kernels` has what they compute."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True)
def gather(bins, rows):  # type: ignore[no-untyped-def]
    """As `kernels.gather`."""
    found = np.empty((bins.shape[0], rows.shape[0]), bins.dtype)
    for feature in range(bins.shape[0]):
        for at in range(rows.shape[0]):
            found[feature, at] = bins[feature, rows[at]]
    return found


@njit(cache=True)
def look_up(bins, layout, entries, constant):  # type: ignore[no-untyped-def]
    """As `kernels.look_up`."""
    total = np.full(bins.shape[1], constant)
    for block in range(layout.shape[0]):
        left, right, stride, start = layout[block]
        if right < 0:
            for at in range(bins.shape[1]):
                total[at] += entries[np.uintp(start) + np.uintp(bins[left, at])]
        else:
            for at in range(bins.shape[1]):
                cell = np.uintp(start) + np.uintp(bins[left, at]) * np.uintp(stride) + np.uintp(bins[right, at])
                total[at] += entries[cell]
    return total


@njit(cache=True)
def count(bins, layout, cells, weights, starts):  # type: ignore[no-untyped-def]
    """As `kernels.count`."""
    parties = starts.shape[0] - 1
    counts = np.zeros((parties, cells))
    for party in range(parties):
        own = counts[party]
        for block in range(layout.shape[0]):
            left, right, stride, start = layout[block]
            if right < 0:
                for at in range(starts[party], starts[party + 1]):
                    own[np.uintp(start) + np.uintp(bins[left, at])] += weights[at]
            else:
                for at in range(starts[party], starts[party + 1]):
                    cell = np.uintp(start) + np.uintp(bins[left, at]) * np.uintp(stride) + np.uintp(bins[right, at])
                    own[cell] += weights[at]
    return counts
