"""A model as look-up tables over bins: the same bits as `ScoreModel` and `contributions`, without codes.

One record is scored in plain Python, whose calls cost a fraction of numpy's for one number; many are scored by numpy.
Both add the same entries in the same order.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sealscore.shared.model.additive.codes import BinTables, PairTable, narrow
from sealscore.shared.model.additive.table_score import NEAR, TableScore
from sealscore.shared.model.reasons import contributions
from sealscore.shared.model.score_model import ScoreModel


@dataclass(frozen=True, eq=False)
class _Moves:
    """What a bin moves the fitted logit by: of each feature alone, and of each pair for its two features."""

    mains: tuple[np.ndarray, ...]
    pairs: tuple[tuple[int, int, np.ndarray, np.ndarray], ...]
    mean: float


class LookUp:
    """The tables of a model. A tower with a network beside its linear part has none, and is evaluated as it is."""

    def __init__(self, model: ScoreModel) -> None:
        self.model = model
        self.tables, self._moves = _tables(model)
        self._edges = [list(part.edges) for part in model.binning.features]
        self._parts = [(part.feature.name, part.count, part.feature.missing) for part in model.binning.features]
        if self.tables is not None and self._moves is not None:
            moves = self._moves
            self._mains = [table.tolist() for table in self.tables.mains]
            self._pairs = [(pair.left, pair.right, pair.table.tolist()) for pair in self.tables.pairs]
            self._main_moves = [table.tolist() for table in moves.mains]
            self._pair_moves = [(left, right, a.tolist(), b.tolist()) for left, right, a, b in moves.pairs]

    def bins_of(self, values: Mapping[str, float]) -> list[int]:
        """Bins of one record, NaN where a value is missing: as `Binning.quantize`.

        Raises:
            KeyError: a value is absent.
        """
        found = []
        for (name, count, missing), edges in zip(self._parts, self._edges, strict=True):
            value = values[name]
            if value != value:
                found.append(count if missing else 0)
            elif edges:
                found.append(bisect_left(edges, value))
            else:
                found.append(min(max(math.floor(value), 0), count - 1))
        return found

    def logit(self, bins: Sequence[int]) -> float:
        """The logit of one record before calibration, as `ScoreModel.logits_of_bins`."""
        if self.tables is None:
            return float(self.model.logits_of_bins(np.array([bins]))[0])
        fitted = self._fitted(bins)
        weights = self.model.weights
        if isinstance(weights, TableScore):
            return float(weights.calibrated(np.array([fitted]))[0])
        return fitted

    def logits(self, bins: np.ndarray) -> np.ndarray:
        """Bin indices [n, features] -> logits before calibration, float64 [n]."""
        if self.tables is None or isinstance(self.model.weights, TableScore):
            return self.model.logits_of_bins(bins)
        return self.tables.sums(narrow(bins, self.model.binning.sizes))

    def moved(self, bins: Sequence[int]) -> list[float]:
        """Contribution of each feature of one record to its calibrated logit, as `contributions` to the last bits."""
        if self._moves is None:
            return [float(one) for one in contributions(self.model, np.array([bins]))[0]]
        found = [table[at] for table, at in zip(self._main_moves, bins, strict=True)]
        for left, right, of_left, of_right in self._pair_moves:
            found[left] += of_left[bins[left]][bins[right]]
            found[right] += of_right[bins[left]][bins[right]]
        total = 0.0
        for one in found:
            total += one
        stretch = float(self._stretch(np.array([total]))[0])
        return [one * stretch for one in found]

    def moved_of(self, bins: np.ndarray) -> np.ndarray:
        """Contributions of records [n, features]: the same bits as `moved` gives for each of them."""
        found = np.empty((len(bins), bins.shape[1]))
        if self._moves is None:
            # Record by record: the product of matrices in a network's contributions adds otherwise for another number.
            for place in range(len(bins)):
                found[place] = contributions(self.model, bins[place : place + 1])[0]
            return found
        for place, table in enumerate(self._moves.mains):
            found[:, place] = table[bins[:, place]]
        for left, right, of_left, of_right in self._moves.pairs:
            at = (bins[:, left], bins[:, right])
            found[:, left] += of_left[at]
            found[:, right] += of_right[at]
        total = np.zeros(len(bins))
        for place in range(found.shape[1]):
            total += found[:, place]
        return np.asarray(found * self._stretch(total)[:, None], dtype=np.float64)

    def _fitted(self, bins: Sequence[int]) -> float:
        if self.tables is None:
            raise TypeError("a network has no tables")
        total = self.tables.constant
        for table, at in zip(self._mains, bins, strict=True):
            total += table[at]
        for left, right, pair in self._pairs:
            total += pair[bins[left]][bins[right]]
        return total

    def _stretch(self, total: np.ndarray) -> np.ndarray:
        """What calibration makes of a move of the fitted logit, over that move: float64 [n]."""
        weights = self.model.weights
        if not isinstance(weights, TableScore) or self._moves is None:
            return np.full(len(total), self.model.calibration.slope)
        moved = np.where(np.abs(total) < NEAR, NEAR, total)
        mean = self._moves.mean
        return np.asarray((weights.calibrated(mean + moved) - weights.calibrated(np.array([mean]))) / moved)


def _tables(model: ScoreModel) -> tuple[BinTables | None, _Moves | None]:
    shares = [np.array(part.reference) for part in model.binning.features]
    if isinstance(model.weights, TableScore):
        return model.weights.tables, _Moves(*model.weights.moves(shares))
    if model.coding is None or model.weights.hidden:
        return None, None
    parts = model.weights.parts()
    mains = [np.zeros(size) for size in model.binning.sizes]
    pairs, halves = [], []
    for features, table in model.coding.weighed(parts["linear.weight"][0]):
        left, right = features[0], features[-1]
        if left == right:
            mains[left] = table
            continue
        half = (table - shares[left] @ table @ shares[right]) / 2
        # A pair of features is listed as the plan has it; the order of the two changes nothing.
        pairs.append(PairTable(left, right, table))
        halves.append((left, right, half, half))
    centred = tuple(table - share @ table for table, share in zip(mains, shares, strict=True))
    return BinTables(float(parts["linear.bias"][0]), tuple(mains), tuple(pairs)), _Moves(centred, tuple(halves), 0.0)
