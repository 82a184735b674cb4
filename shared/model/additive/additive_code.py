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

# Weighted counts float64 [..., cells] -> the sum of codes without the constant unit, float64 [..., units].
Spread = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class AdditiveCode:
    """The code of a tower over bins: the units of each block in the order of the sum, the constant unit first or last.

    `squared_norms` has a table for each block, in that order. `units` make the sum of the cells. `intercept` is the
    code of the constant unit, and no entry of a code is above `largest` in absolute value.
    """

    squared_norms: BinTables
    units: Spread
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
        norms = self.squared_norms
        return sum(len(main) for main in norms.mains) + sum(pair.table.size for pair in norms.pairs)

    def spread(self, constant: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """The sum of codes from that of all weights, float64 [..., 1], and from those by cell, float64 [..., cells]."""
        parts = [self.intercept * constant, self.units(counts)]
        return np.concatenate(parts if self.intercept_first else parts[::-1], axis=-1)


class LinearUnits:
    """The units of a linear tower; blocks of one shape are multiplied together."""

    def __init__(self, coding: Coding) -> None:
        alike: dict[tuple[int, int], list[tuple[np.ndarray, int, int]]] = {}
        cell = 0
        for (_, place), (_, table) in zip(coding.units, coding.tables, strict=True):
            flat = table.reshape(-1, table.shape[-1])
            alike.setdefault(flat.shape, []).append((flat, cell, place.start))
            cell += len(flat)
        self._cells, self._width = cell, coding.width
        # Tables [blocks, cells, units], and where these cells and units are among all.
        self._alike = [
            (
                np.stack([table for table, _, _ in blocks]),
                np.array([start for _, start, _ in blocks])[:, None] + np.arange(cells),
                np.array([start for _, _, start in blocks])[:, None] + np.arange(units),
            )
            for (cells, units), blocks in alike.items()
        ]

    def entries(self, parameters: np.ndarray) -> tuple[float, np.ndarray]:
        """The logit at weights float64 [width + 1] as a constant and the entries of all cells: `linear_tables`."""
        weights, found = admissible(parameters), np.empty(self._cells)
        for tables, cells, units in self._alike:
            found[cells] = (tables @ weights[units][..., None])[..., 0]
        return float(weights[-1]), found

    def __call__(self, counts: np.ndarray) -> np.ndarray:
        """As `Spread`."""
        found = np.empty((*counts.shape[:-1], self._width))
        for tables, cells, units in self._alike:
            by_block = np.moveaxis(np.atleast_2d(counts)[:, cells], 1, 0) @ tables
            found[..., units] = np.moveaxis(by_block, 0, 1).reshape(*found.shape[:-1], *units.shape)
        return found


def of_codes(codes: Codes, clip: float) -> AdditiveCode:
    """The recipe's published codes, under its clip norm."""
    largest, factor = (
        max((float(np.abs(table).max(initial=0.0)) for table in tables), default=0.0)
        for tables in ((np.array([codes.intercept]), *codes.mains), codes.factors if codes.pairs else ())
    )
    units = partial(_published, codes, layout_of(codes.squared_norms)[1:, 3])
    return AdditiveCode(codes.squared_norms, units, codes.intercept, True, clip, max(largest, factor**2))


def of_coding(coding: Coding, clip: float) -> AdditiveCode:
    """The code of a linear tower, with crosses where it has any, under the plan's clip norm."""
    squares = _tables(coding, 1.0, [(table**2).sum(axis=-1) for _, table in coding.tables])
    return AdditiveCode(squares, LinearUnits(coding), 1.0, False, clip, 1.0)


def linear_tables(coding: Coding, parameters: np.ndarray) -> BinTables:
    """The logit of a linear tower at weights float64 [width + 1] as tables: exact, as its matrix product is."""
    weights = admissible(parameters)
    return _tables(coding, float(weights[-1]), [table for _, table in coding.weighed(weights[:-1])])


def _tables(coding: Coding, constant: float, tables: Sequence[np.ndarray]) -> BinTables:
    """One table for each block of a coding: features come before crosses there."""
    named = list(zip((features for features, _ in coding.tables), tables, strict=True))
    pairs = (PairTable(features[0], features[1], table) for features, table in named if len(features) == 2)
    return BinTables(constant, tuple(table for features, table in named if len(features) == 1), tuple(pairs))


def _published(codes: Codes, starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """`Spread` of published codes, whose blocks but the first start at these cells."""
    by_block = iter(np.split(counts, starts, axis=-1))
    parts = [next(by_block) @ main for main in codes.mains]
    for pair, block in zip(codes.pairs, by_block, strict=True):
        left, right = codes.factors[pair.left], codes.factors[pair.right]
        shaped = block.reshape(*block.shape[:-1], len(left), len(right))
        parts.append((left.T @ shaped @ right)[..., codes.mask(pair)])
    return np.concatenate([*parts, np.zeros((*counts.shape[:-1], 0))], axis=-1)
