"""A model that is additive over bins, in the one form that the research engine computes with.

Weights of a linear tower and of the additive recipe both give a logit as a sum of table entries, a squared norm as
well, and a clipped sum as counts by bin times the codes. No code is ever built.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from sealscore.shared.dp.clipped_sum import CLIP
from sealscore.shared.model.additive.codes import BinTables, Codes, PairTable
from sealscore.shared.model.coding import Coding
from sealscore.shared.model.weights import admissible

# Weighted counts float64 [parties, cells of the block] -> their part of the sum, float64 [parties, units].
Spread = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Block:
    """The units of one feature, or of a pair: `cells` bins, or pairs of bins with those of the `right` feature."""

    left: int
    right: int | None
    cells: int
    spread: Spread


@dataclass(frozen=True)
class AdditiveCode:
    """The code of a tower over bins: its units in the order of the sum, with the constant one first or last.

    `intercept` is the code of the constant unit, `largest` no entry of a code is above, in absolute value.
    """

    blocks: tuple[Block, ...]
    intercept: float
    intercept_first: bool
    squared_norms: BinTables
    clip: float
    largest: float

    @property
    def cells(self) -> int:
        """Cells of all blocks."""
        return sum(block.cells for block in self.blocks)


def of_codes(codes: Codes) -> AdditiveCode:
    """The recipe's published codes."""
    blocks = [Block(place, None, len(main), partial(_times, main)) for place, main in enumerate(codes.mains)]
    for pair in codes.pairs:
        left, right = codes.factors[pair.left], codes.factors[pair.right]
        spread = partial(_products, left, right, codes.mask(pair))
        blocks.append(Block(pair.left, pair.right, len(left) * len(right), spread))
    tables = [np.array([codes.intercept]), *codes.mains, *codes.factors]
    largest = max((float(np.abs(table).max(initial=0.0)) for table in tables), default=0.0)
    return AdditiveCode(
        tuple(blocks), codes.intercept, True, codes.squared_norms, CLIP, max(largest, largest**2 if codes.pairs else 0)
    )


def of_coding(coding: Coding, clip: float) -> AdditiveCode:
    """The code of a linear tower, with crosses where it has any, under the plan's clip norm."""
    blocks, mains, pairs = [], [], []
    for features, table in coding.tables:
        flat = table.reshape(-1, table.shape[-1])
        blocks.append(Block(features[0], features[1] if len(features) > 1 else None, len(flat), partial(_times, flat)))
        squares = (table**2).sum(axis=-1)
        if len(features) == 1:
            mains.append(squares)
        else:
            pairs.append(PairTable(features[0], features[1], squares))
    return AdditiveCode(tuple(blocks), 1.0, False, BinTables(1.0, tuple(mains), tuple(pairs)), clip, 1.0)


def linear_tables(coding: Coding, parameters: np.ndarray) -> BinTables:
    """The logit of a linear tower at weights float64 [width + 1] as tables: exact, as its matrix product is."""
    weights = admissible(parameters)
    weighed = coding.weighed(weights[:-1])
    mains = tuple(table for features, table in weighed if len(features) == 1)
    pairs = tuple(PairTable(features[0], features[1], table) for features, table in weighed if len(features) == 2)
    return BinTables(float(weights[-1]), mains, pairs)


def _times(table: np.ndarray, counts: np.ndarray) -> np.ndarray:
    return np.asarray(counts @ table)


def _products(left: np.ndarray, right: np.ndarray, mask: np.ndarray, counts: np.ndarray) -> np.ndarray:
    shaped = counts.reshape(len(counts), len(left), len(right))
    return np.asarray((left.T @ shaped @ right)[:, mask])
