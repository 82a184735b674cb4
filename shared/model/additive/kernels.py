"""The loops over bins that every additive score and sum is made of, on nodes as in simulations.

Compiled where the extra `fast` is installed and the work outweighs its import, by numpy otherwise. Both give the same
numbers to the bit: floats are added in the same order, and all else is integers.
"""

from __future__ import annotations

from functools import cache
from types import ModuleType

import numpy as np

from sealscore.shared.model.additive.codes import BinTables

# Bins of one call from which on the compiled loops save more than the import of numba takes, over some hundred calls.
WORTH = 2**16
# Cells of one call that numpy looks at together; beyond it block by block, which takes less memory.
TOGETHER = 2**18


@cache
def compiled() -> ModuleType | None:
    """The compiled loops; None where numba is not installed."""
    try:
        from sealscore.shared.model.additive import compiled as found
    except ImportError:
        return None
    return found


def gather(bins: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Columns `rows` of bins [features, n]."""
    if len(bins) * len(rows) >= WORTH and (loops := compiled()):
        return np.asarray(loops.gather(bins, rows))
    return bins.take(rows, axis=1)


def layout_of(tables: BinTables) -> np.ndarray:
    """Where the entries of each table are when all lie one after the other: int64 [tables, 4].

    Left feature, right feature (-1 where there is none), bins of the right one, and where the table's entries start.
    """
    layout, start = [], 0
    for place, main in enumerate(tables.mains):
        layout.append((place, -1, 1, start))
        start += main.size
    for pair in tables.pairs:
        layout.append((pair.left, pair.right, pair.table.shape[1], start))
        start += pair.table.size
    return np.array(layout, dtype=np.int64).reshape(-1, 4)


def entries_of(tables: BinTables) -> np.ndarray:
    """The entries of all tables, one after the other: float64 [cells]."""
    return np.concatenate([*tables.mains, *(pair.table.ravel() for pair in tables.pairs), np.zeros(0)])


def look_up(tables: BinTables, bins: np.ndarray, layout: np.ndarray) -> np.ndarray:
    """As `BinTables.sums`, without its checks: float64 [n]. `layout` is that of the tables."""
    return add_up(tables.constant, entries_of(tables), bins, layout)


def add_up(constant: float, entries: np.ndarray, bins: np.ndarray, layout: np.ndarray) -> np.ndarray:
    """The constant and each record's entry of each table, added one after the other: float64 [n]."""
    if bins.size >= WORTH and (loops := compiled()):
        return np.asarray(loops.look_up(bins, layout, entries, constant))
    if len(layout) * bins.shape[1] <= TOGETHER:
        # Along the first axis rows are added one after the other.
        return np.asarray(np.add.reduce(entries.take(_cells(bins, layout)), axis=0, initial=constant))
    total = np.full(bins.shape[1], constant)
    for block in layout:
        total += entries.take(_cells(bins, block[None])[0])
    return total


def count(bins: np.ndarray, layout: np.ndarray, cells: int, weights: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Sums of weights by party and cell, float64 [parties, cells]; parties are segments of the columns of `bins`."""
    if bins.size >= WORTH and (loops := compiled()):
        return np.asarray(loops.count(bins, layout, cells, weights, starts))
    parties = len(starts) - 1
    owner = np.repeat(np.arange(parties), np.diff(starts))
    if len(layout) * bins.shape[1] <= TOGETHER:
        at = _cells(bins, layout)
        if parties > 1:
            at += owner * cells
        counts = np.bincount(at.ravel(), weights=np.tile(weights, len(layout)), minlength=parties * cells)
        return counts.reshape(parties, cells)
    found = []
    ends = [*layout[1:, 3].tolist(), cells]
    for block, end in zip(layout, ends, strict=True):
        width = end - int(block[3])
        at = owner * width + (_cells(bins, block[None])[0] - block[3])
        found.append(np.bincount(at, weights=weights, minlength=parties * width).reshape(parties, width))
    return np.concatenate([*found, np.zeros((parties, 0))], axis=1)


def _cells(bins: np.ndarray, layout: np.ndarray) -> np.ndarray:
    """Which cell of each table each record is in, counted through: int64 [tables, n]."""
    mains = int(np.count_nonzero(layout[:, 1] < 0))
    if mains == len(layout) == len(bins):
        return np.asarray(bins + layout[:, 3:])
    found = bins[layout[:, 0]] * layout[:, 2:3] + layout[:, 3:]
    found[mains:] += bins[layout[mains:, 1]]
    return np.asarray(found)
