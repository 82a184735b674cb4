"""The training records of many parties as segments of one matrix of bins, and the clipped sum of each segment.

Where float order could decide an integer, it is found out. A party's own code adds the same terms in another order, so
both float sums lie near the exact one; `error_bound` says how near. An entry that is farther from the middle between
two integers than that is rounded to the same integer on both sides. Any other makes its party uncertain, and then the
vector is computed by the party's own code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sealscore.shared.dp.clipped_sum import clipped_weights, slopes, squared_norms
from sealscore.shared.model.additive.additive_code import AdditiveCode
from sealscore.shared.model.additive.codes import BinTables
from sealscore.shared.model.additive.kernels import count, gather, layout_of, look_up

_UNIT_ROUNDOFF = 2.0**-53


@dataclass(frozen=True)
class Segments:
    """`bins`, integers [features, n], and `targets` float64 [n], of parties one after the other.

    Party i has the records from `starts[i]` up to `starts[i + 1]`.
    """

    bins: np.ndarray
    targets: np.ndarray
    starts: np.ndarray

    @classmethod
    def of(cls, parts: Sequence[tuple[np.ndarray, np.ndarray]]) -> Segments:
        """From each party's bins [features, n] and targets [n]."""
        starts = np.cumsum([0, *(len(targets) for _, targets in parts)])
        bins = np.concatenate([bins for bins, _ in parts], axis=1)
        return cls(bins, np.concatenate([targets for _, targets in parts]), starts)

    def take(self, rows: np.ndarray) -> Segments:
        """Some of the records: ascending indices."""
        starts = np.searchsorted(rows, self.starts)
        return Segments(gather(self.bins, rows), self.targets.take(rows), starts)

    @property
    def sizes(self) -> np.ndarray:
        """Records of each party, [parties]."""
        return np.diff(self.starts)


def clipped_sums(code: AdditiveCode, tables: BinTables, records: Segments, keep: float = 1.0) -> np.ndarray:
    """Clipped sums of all parties at logits given by tables: float64 [parties, units]; `keep` as in `slopes`."""
    slope = slopes(look_up(tables, records.bins, layout_of(tables)), records.targets, keep)
    weights = clipped_weights(slope, squared_norms(code, records.bins), code.clip)
    owner = np.repeat(np.arange(len(records.starts) - 1), records.sizes)
    constant = np.bincount(owner, weights=weights, minlength=len(records.starts) - 1)[:, None]
    return code.spread(constant, count(records.bins, code.layout, code.cells, weights, records.starts))


def error_bound(code: AdditiveCode, sizes: np.ndarray) -> np.ndarray:
    """How far `clipped_sums` and a party's own sum may differ in an entry, float64 [parties], for `sizes` records.

    With u = 2^-53, n the records, C the clip norm, m the cells and X the largest entry of a code:

        2 n (n + m + 32) C u + 64 n X u

    A party's n terms of an entry are at most C each. In whatever order they are added and multiplied by the codes, the
    float sum is within (n + m + 32) u times n C of that of the float terms, to first order (Higham 2002, "Accuracy
    and Stability of Numerical Algorithms", section 4.2); there are two such sums. Terms may differ in the last bits of
    sigmoid, root and quotient, by 64 u X at most: a slope is within [-1, 1], and clipping brings no two slopes farther
    apart. Second-order terms are below the slack in both constants for n up to 2^20.
    """
    n = sizes.astype(np.float64)
    return np.asarray((2 * n * (n + code.cells + 32) * code.clip + 64 * n * code.largest) * _UNIT_ROUNDOFF)


def rounded(sums: np.ndarray, grid: float, bound: int, error: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sums float64 [parties, units] in grid units, int64, cut off at the bound; and which parties are certain, bool.

    `error` is how far each party's entries may be off, float64 [parties].
    """
    scaled = sums / grid
    whole = np.rint(scaled)
    certain = np.abs(scaled - whole).max(axis=1, initial=0.0) < 0.5 - error / grid
    return np.clip(whole, -bound, bound).astype(np.int64), certain
