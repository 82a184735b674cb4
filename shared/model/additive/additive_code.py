"""A model that is additive over bins, in the one form that nodes and the research engine compute with.

Weights of a linear tower and of the additive recipe both give a logit as a sum of table entries, a squared norm as
well, and a clipped sum as counts by bin times the codes. No code is ever built.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np

from sealscore.shared.model.additive.codes import BinTables, Codes, PairTable
from sealscore.shared.model.additive.kernels import layout_of
from sealscore.shared.model.coding import Coding
from sealscore.shared.model.weights import admissible

# Weighted counts float64 [..., cells of the block] -> their part of the sum, float64 [..., units].
Spread = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class AdditiveCode:
    """The code of a tower over bins: the units of each block in the order of the sum, the constant unit first or last.

    `squared_norms` has a table for each block, in that order. `spreads` make a block's part of the sum. `intercept` is
    the code of the constant unit, and no entry of a code is above `largest` in absolute value.
    """

    squared_norms: BinTables
    spreads: tuple[Spread, ...]
    intercept: float
    intercept_first: bool
    clip: float
    largest: float

    @cached_property
    def layout(self) -> np.ndarray:
        """As `kernels.layout_of` gives it."""
        return layout_of(self.squared_norms)

    @cached_property
    def one_norm(self) -> np.ndarray | None:
        """The squared norm of all codes, float64 [1], added up as `BinTables.sums` does; None where it varies."""
        tables = [*self.squared_norms.mains, *(pair.table for pair in self.squared_norms.pairs)]
        if any(table.min(initial=np.inf) != table.max(initial=-np.inf) for table in tables):
            return None
        return np.array([sum((float(table.flat[0]) for table in tables), start=self.squared_norms.constant)])

    @cached_property
    def cells(self) -> int:
        """Cells of all blocks."""
        return sum(self._sizes)

    @property
    def widest(self) -> int:
        """Cells of the block that has most, 0 where there is none."""
        return max(self._sizes, default=0)

    @property
    def _sizes(self) -> list[int]:
        norms = self.squared_norms
        return [len(main) for main in norms.mains] + [pair.table.size for pair in norms.pairs]

    def spread(self, constant: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """The sum of codes from that of all weights, float64 [..., 1], and from those by cell, float64 [..., cells]."""
        by_block = np.split(counts, self.layout[1:, 3], axis=-1)
        parts = [spread(part) for spread, part in zip(self.spreads, by_block, strict=True)]
        constant = self.intercept * constant
        return np.concatenate([constant, *parts] if self.intercept_first else [*parts, constant], axis=-1)


def of_codes(codes: Codes, clip: float) -> AdditiveCode:
    """The recipe's published codes, under its clip norm."""
    spreads: list[Spread] = [partial(_times, main) for main in codes.mains]
    for pair in codes.pairs:
        spreads.append(partial(_products, codes.factors[pair.left], codes.factors[pair.right], codes.mask(pair)))
    largest, factor = (
        max((float(np.abs(table).max(initial=0.0)) for table in tables), default=0.0)
        for tables in ((np.array([codes.intercept]), *codes.mains), codes.factors if codes.pairs else ())
    )
    return AdditiveCode(codes.squared_norms, tuple(spreads), codes.intercept, True, clip, max(largest, factor**2))


def of_coding(coding: Coding, clip: float) -> AdditiveCode:
    """The code of a linear tower, with crosses where it has any, under the plan's clip norm."""
    squares = _tables(coding, 1.0, [(table**2).sum(axis=-1) for _, table in coding.tables])
    spreads = tuple(partial(_times, table.reshape(-1, table.shape[-1])) for _, table in coding.tables)
    return AdditiveCode(squares, spreads, 1.0, False, clip, 1.0)


def linear_tables(coding: Coding, parameters: np.ndarray) -> BinTables:
    """The logit of a linear tower at weights float64 [width + 1] as tables: exact, as its matrix product is."""
    weights = admissible(parameters)
    return _tables(coding, float(weights[-1]), [table for _, table in coding.weighed(weights[:-1])])


def _tables(coding: Coding, constant: float, tables: Sequence[np.ndarray]) -> BinTables:
    """One table for each block of a coding: features come before crosses there."""
    named = list(zip((features for features, _ in coding.tables), tables, strict=True))
    pairs = (PairTable(features[0], features[1], table) for features, table in named if len(features) == 2)
    return BinTables(constant, tuple(table for features, table in named if len(features) == 1), tuple(pairs))


def _times(table: np.ndarray, counts: np.ndarray) -> np.ndarray:
    return np.asarray(counts @ table)


def _products(left: np.ndarray, right: np.ndarray, mask: np.ndarray, counts: np.ndarray) -> np.ndarray:
    shaped = counts.reshape(*counts.shape[:-1], len(left), len(right))
    return np.asarray((left.T @ shaped @ right)[..., mask])
