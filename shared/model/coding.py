"""The code of a record: the one place where bin indices become the numbers that towers read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sealscore.shared.model.bins import Binning, FeatureBins

# Entries of a code are multiples of this; with weights on their own grid every product sum is exact (see `weights`).
CODE_GRID = 2.0**-12


@dataclass(frozen=True)
class Crosses:
    """Pairs of features whose products enter the code, of at most `bins` bins each.

    `scale` is the root mean square size of all products together against that of the features' own units.
    """

    pairs: tuple[tuple[str, str], ...] = ()
    bins: int = 4
    scale: float = 0.5


def _on_grid(table: np.ndarray) -> np.ndarray:
    return np.asarray(np.rint(np.clip(table, -1.0, 1.0) / CODE_GRID) * CODE_GRID, dtype=np.float64)


def _thermometer(part: FeatureBins) -> np.ndarray:
    position = np.arange(part.count)[:, None]
    return np.where(position > np.arange(part.count - 1), 1.0, -1.0)


def _table(part: FeatureBins) -> np.ndarray:
    """The units of each bin of a feature: float64 [bins, units]."""
    units = _thermometer(part) if part.ordered else np.eye(part.count)
    if part.feature.missing:
        units = np.block([[units, np.zeros((part.count, 1))], [np.zeros((1, units.shape[1])), np.ones((1, 1))]])
    return _on_grid(part.feature.weight * units / np.sqrt(part.count))


def _coarse(part: FeatureBins, bins: int) -> np.ndarray:
    """Units of a feature for products: float64 [bins, units], mean 0 over the reference, 0 where it is missing.

    A thermometer over the edges nearest in mass to the quantiles (all edges where they are public), one-hot for a
    category without order.
    """
    shares = np.array(part.reference)[: part.count]
    shares = shares / shares.sum()
    units = np.eye(part.count)
    if part.ordered:
        units = _thermometer(part)
        public = part.feature.kind == "numeric" and part.feature.edges
        if not public and part.count > bins:
            below = np.cumsum(shares)[:-1]
            wanted = np.arange(1, bins) / bins
            units = units[:, np.unique(np.abs(below[:, None] - wanted).argmin(axis=0))]
    centred = (units - shares @ units) / np.sqrt(units.shape[1] + 1)
    return np.vstack([centred, np.zeros((1, centred.shape[1]))]) if part.feature.missing else centred


def _size(part: FeatureBins, table: np.ndarray) -> float:
    """Mean squared norm of a feature's units under the released share of each bin."""
    return float(np.array(part.reference) @ (table**2).sum(axis=1))


def _mean(table: np.ndarray, shares: list[np.ndarray]) -> np.ndarray:
    """Mean over the bins of each feature in turn: float64 [bins, ..., units] -> float64 [units]."""
    for share in shares:
        table = np.tensordot(share, table, axes=(0, 0))
    return table


class Coding:
    """Codes of records under a binning.

    An ordered feature is a thermometer: one unit for each edge, +1 above it and -1 at or below it. A category is
    one-hot. A missing value sets a unit of its own to 1 and all others to 0. All are divided by the square root of
    the number of bins that are not missing and multiplied by the feature's weight, so that a feature of weight 1 adds
    at most about 1 to the squared norm of a code.
    After the features come the crosses: for each pair, the products of the two features' coarse, centred units,
    scaled so that they are `crosses.scale` times as large as the features' units together in root mean square, were
    features independent. Everything is cut off at 1 and rounded to `CODE_GRID`. Only released numbers shape a code.

    `units` lists (indices of the features, slice of their units) in the order of the code; `width` is its length.

    Raises:
        ValueError: a cross names a feature that is not there.
    """

    def __init__(self, binning: Binning, crosses: Crosses | None = None) -> None:
        self.crosses = crosses or Crosses()
        parts = binning.features
        self._sizes = [part.size for part in parts]
        tables: list[tuple[tuple[int, ...], np.ndarray]] = [((i,), _table(part)) for i, part in enumerate(parts)]
        tables += self._products(parts, sum(_size(parts[i], table) for (i,), table in tables))
        self._tables = tables
        ends = np.cumsum([table.shape[-1] for _, table in tables])
        self.width = int(ends[-1]) if len(ends) else 0
        self.units = [
            (features, slice(int(end) - table.shape[-1], int(end)))
            for (features, table), end in zip(tables, ends, strict=True)
        ]
        shares = [np.array(part.reference) for part in parts]
        means = [_mean(table, [shares[index] for index in features]) for features, table in tables]
        self._reference = np.concatenate(means) if means else np.zeros(0)

    def _products(self, parts: tuple[FeatureBins, ...], size: float) -> list[tuple[tuple[int, ...], np.ndarray]]:
        """The units of each pair: float64 [bins of the one, bins of the other, units]."""
        names = [part.feature.name for part in parts]
        unknown = sorted({name for pair in self.crosses.pairs for name in pair} - set(names))
        if unknown:
            raise ValueError(f"crosses name features that are not there: {', '.join(unknown)}")
        pairs = [(names.index(left), names.index(right)) for left, right in self.crosses.pairs]
        coarse = {i: _coarse(parts[i], self.crosses.bins) for pair in pairs for i in pair}
        total = sum(_size(parts[i], coarse[i]) * _size(parts[j], coarse[j]) for i, j in pairs)
        scale = self.crosses.scale * np.sqrt(size / total) if total > 0 else 0.0
        found: list[tuple[tuple[int, ...], np.ndarray]] = []
        for i, j in pairs:
            product = coarse[i][:, None, :, None] * coarse[j][None, :, None, :]
            flat = product.reshape(len(coarse[i]), len(coarse[j]), -1)
            found.append(((i, j), _on_grid(scale * flat)))
        return found

    def encode(self, bins: np.ndarray) -> np.ndarray:
        """Bin indices, integers [n, features] as `Binning.quantize` gives them -> float64 [n, width].

        Raises:
            ValueError: another number of features, or an index that is no bin.
        """
        if bins.ndim != 2 or bins.shape[1] != len(self._sizes):
            raise ValueError(f"bin indices of {len(self._sizes)} features are expected, got shape {bins.shape}")
        if len(bins) and not ((bins >= 0).all() and (bins < np.array(self._sizes)).all()):
            raise ValueError("an index is none of the bins of its feature")
        code = np.empty((len(bins), self.width))
        for (features, place), (_, table) in zip(self.units, self._tables, strict=True):
            code[:, place] = table[tuple(bins[:, index] for index in features)]
        return code

    @property
    def tables(self) -> list[tuple[tuple[int, ...], np.ndarray]]:
        """(indices of the features, the units of each bin or pair of bins, float64 [bins, ..., units]), in order."""
        return list(self._tables)

    def weighed(self, weights: np.ndarray) -> list[tuple[tuple[int, ...], np.ndarray]]:
        """What linear weights [width] make of each feature's bins, and of those of each pair: float64 [bins, ...].

        Their sums are exact for admissible weights, so they add to the logit of the code, bit for bit.
        """
        return [
            (features, table @ weights[place])
            for (features, place), (_, table) in zip(self.units, self._tables, strict=True)
        ]

    def reference(self) -> np.ndarray:
        """The mean code under the released share of each bin, as if features were independent: float64 [width]."""
        return self._reference.copy()
