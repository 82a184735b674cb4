"""Bins: cells of a public grid, quantile edges from a noisy histogram over them, and a record's bin indices.

An edge belongs to the lower bin everywhere: bin k holds the values in (edge k-1, edge k]. Values beyond the bounds
of the schema fall into the outermost bin. A missing value has a bin of its own, the last, where the schema allows it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgpack
import numpy as np

from sealscore.shared.plan.schema import CategoricalFeature, NumericFeature
from sealscore.shared.unpacking import UnpackError, unpack

AnyFeature = NumericFeature | CategoricalFeature
# Inner edges of a feature's public cells, ascending, from the feature and about how many cells there are to be.
Grid = Callable[[NumericFeature, int], tuple[float, ...]]
_FORMAT = "sealscore bins 1"
_MAX_BYTES = 8 * 1024 * 1024
# Records of a column that are binned at once.
_ROWS = 2**14
# Values that are compared at once: they stay in a core's cache. And edges up to which that is faster than a search.
_BLOCK, _FEW_EDGES = 2**14, 40
# Edges and shares of one feature: a public edge list is the longest.
_ITEMS_OF_ONE = 4096


@lru_cache(maxsize=4096)
def grid_edges(feature: NumericFeature, grid_cells: int) -> tuple[float, ...]:
    """Inner edges of a feature's public cells, ascending; there is one cell more than edges.

    Public edges of the schema are taken as they are. An integer feature with at most `grid_cells` values has a cell
    for each of them. Other cells are uniform on the feature's axis; an edge is rounded to 12 digits (parties whose
    libraries differ in the last bit of sinh must still agree on the number of cells), and down to an integer for an
    integer feature, as nothing lies between.
    """
    if feature.edges:
        return feature.edges
    if feature.integer and feature.upper - feature.lower + 1 <= grid_cells:
        return tuple(np.arange(feature.lower, feature.upper) + 0.0)
    with np.errstate(all="ignore"):  # bounds near the largest float: what is not finite is dropped below
        low, high = feature.transform(np.array([feature.lower, feature.upper]))
        exact = feature.inverse(np.linspace(low, high, grid_cells + 1)[1:-1])
    edges = np.array([float(f"{edge:.12g}") for edge in exact])
    if feature.integer:
        edges = np.floor(edges)
    inside = np.unique(edges[(edges >= feature.lower) & (edges < feature.upper)]) + 0.0
    return tuple(float(edge) for edge in inside) or (feature.lower,)


def _cells(feature: AnyFeature, grid_cells: int, grid: Grid) -> int:
    ordinary = len(feature.levels) if feature.kind == "categorical" else len(grid(feature, grid_cells)) + 1
    return ordinary + feature.missing


def _indices(feature: AnyFeature, edges: Sequence[float], values: np.ndarray) -> np.ndarray:
    """Cell or bin of each value; float64 [n] -> int64 [n].

    Never raises for a value: whether a party's answer fails would tell that there is such a record. What has no place,
    by `check_columns`, counts in the first cell or in that of the nearest level.
    """
    absent = np.isnan(values)
    if feature.kind == "numeric":
        ordinary = len(edges) + 1
        found = _edges_below(edges, values)
    else:
        ordinary = len(feature.levels)
        found = np.clip(np.where(absent, 0, np.floor(values)), 0, ordinary - 1)
    if absent.any():
        found = np.where(absent, ordinary if feature.missing else 0, found)
    return found.astype(np.int64)


def _edges_below(edges: Sequence[float], values: np.ndarray) -> np.ndarray:
    """How many ascending edges lie below each value, integers [n]: what a binary search finds; any number for NaN.

    Few edges are compared with blocks of many values one after the other, which costs a fifth of a search.
    """
    if len(values) < _BLOCK or len(edges) > _FEW_EDGES:
        return np.searchsorted(np.asarray(edges), values, side="left")
    found = np.empty(len(values), dtype=np.uint8)
    for start in range(0, len(values), _BLOCK):
        block = values[start : start + _BLOCK]
        below = found[start : start + _BLOCK]
        below[:] = 0
        for edge in edges:
            below += block > edge
    return found


def check_columns(columns: Mapping[str, np.ndarray], features: Sequence[AnyFeature]) -> None:
    """Find values that have no place in a feature's bins; columns as in `histogram`.

    Raises:
        ValueError: a value is missing where it must not be, or is no index of a level. It names no value.
    """
    for feature in features:
        values = _column(columns, feature, None)
        absent = np.isnan(values)
        if not feature.missing and absent.any():
            raise ValueError(f"feature {feature.name!r} has missing values; its schema does not allow them")
        if feature.kind == "categorical":
            present, levels = values[~absent], len(feature.levels)
            if ((present < 0) | (present >= levels) | (present != np.floor(present))).any():
                raise ValueError(f"feature {feature.name!r} has values that are no index of its {levels} levels")


def _column(columns: Mapping[str, np.ndarray], feature: AnyFeature, records: int | None) -> np.ndarray:
    if feature.name not in columns:
        raise ValueError(f"column {feature.name!r} is missing")
    values = np.asarray(columns[feature.name], dtype=np.float64)
    if values.ndim != 1 or (records is not None and len(values) != records):
        raise ValueError(f"column {feature.name!r} must have one entry a record")
    return values


def histogram_length(features: Sequence[AnyFeature], grid_cells: int, grid: Grid = grid_edges) -> int:
    """Entries of the histogram: the cells of all features, the missing cells among them."""
    return sum(_cells(feature, grid_cells, grid) for feature in features)


def histogram(
    columns: Mapping[str, np.ndarray], features: Sequence[AnyFeature], grid_cells: int, grid: Grid = grid_edges
) -> np.ndarray:
    """Counts over the public cells of all features, one after the other: int64 [histogram_length].

    `columns` are as in Records: float64 [n], NaN where missing, the index of the level where categorical.

    Formal guarantees: adding or removing a record changes exactly one cell of each feature by one, whatever its values
    are, so the L2 sensitivity is the square root of the number of features.

    Raises:
        ValueError: a column is absent or has another length; never for a value.
    """
    parts, records = [], None
    for feature in features:
        values = _column(columns, feature, records)
        records = len(values)
        edges = grid(feature, grid_cells) if feature.kind == "numeric" else ()
        parts.append(np.bincount(_indices(feature, edges, values), minlength=_cells(feature, grid_cells, grid)))
    return np.asarray(np.concatenate(parts), dtype=np.int64)


def consistent_counts(noisy: np.ndarray, total: float) -> np.ndarray:
    """The non-negative counts with sum `total` that lie nearest to noisy ones: float64 [n] -> float64 [n].

    Clipping alone would add the noise's positive half to every empty cell; this takes it off again (Wang et al.
    2020, "Locally Differentially Private Frequency Estimation with Consistency", section 4.2, Norm-Sub; algorithm of
    Duchi et al. 2008, figure 1). Where the total is not positive nothing is known, and all cells share one record.
    """
    if not (np.isfinite(noisy).all() and math.isfinite(total) and total > 0):
        return np.full(len(noisy), 1.0 / len(noisy))
    descending = np.sort(noisy)[::-1]
    excess = (np.cumsum(descending) - total) / np.arange(1, len(noisy) + 1)
    kept = np.flatnonzero(descending > excess)
    if not kept.size:
        return np.full(len(noisy), total / len(noisy))
    return np.asarray(np.maximum(noisy - excess[kept[-1]], 0.0), dtype=np.float64)


@dataclass(frozen=True)
class FeatureBins:
    """The bins of one feature. `edges` are ascending values (none for categories: a bin is a level).

    `reference` is the share of each bin, the missing bin last, from the released histogram.
    """

    feature: AnyFeature
    edges: tuple[float, ...]
    reference: tuple[float, ...]

    @property
    def count(self) -> int:
        """Bins of values that are there."""
        return len(self.feature.levels) if self.feature.kind == "categorical" else len(self.edges) + 1

    @property
    def size(self) -> int:
        """All bins, with the one for missing values where the feature has one."""
        return self.count + self.feature.missing

    @property
    def ordered(self) -> bool:
        """Whether bins have an order."""
        return self.feature.kind == "numeric" or self.feature.ordered


@dataclass(frozen=True)
class Binning:
    """The bins of all features of a tower, in the order of the schema."""

    features: tuple[FeatureBins, ...]

    @classmethod
    def from_histogram(
        cls,
        features: Sequence[AnyFeature],
        grid_cells: int,
        bins: int,
        totals: np.ndarray,
        grid: Grid = grid_edges,
    ) -> Binning:
        """Quantile bins from a noisy histogram [histogram_length]: post-processing, valid for any noise.

        A numeric feature without public edges gets at most `bins` bins and at least two. Each quantile is cut at
        the edge of a public cell that is nearest to it in mass, so a value with more than a bin's mass gets a bin of
        its own.

        Raises:
            ValueError: the histogram has another length.
        """
        parts = _split(features, grid_cells, totals, grid)
        total = _records(parts)
        return cls(
            tuple(_bins_of(f, grid_cells, bins, part, total, grid) for f, part in zip(features, parts, strict=True))
        )

    def only(self, features: Sequence[AnyFeature]) -> Binning:
        """The bins of some of the features, in the order of the schema."""
        return Binning(tuple(part for part in self.features if part.feature in features))

    @property
    def sizes(self) -> tuple[int, ...]:
        """Bins of each feature."""
        return tuple(part.size for part in self.features)

    def quantize(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """Bin indices of records: columns as in `histogram`, float64 [n] each -> int16 [n, features].

        Raises:
            ValueError: as `histogram` does.
        """
        return np.ascontiguousarray(self._by_feature(columns, np.dtype(np.int16)).T)

    def narrow_bins(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """As `quantize`, by feature, and in one byte each where that is enough: uint8 or uint16 [features, n].

        A column at a time: of millions of records nothing else is held.

        Raises:
            ValueError: as `histogram` does.
        """
        return self._by_feature(columns, np.dtype(np.uint8 if max(self.sizes, default=1) <= 2**8 else np.uint16))

    def _by_feature(self, columns: Mapping[str, np.ndarray], kind: np.dtype[Any]) -> np.ndarray:
        found: np.ndarray | None = None
        for place, part in enumerate(self.features):
            values = _column(columns, part.feature, None if found is None else found.shape[1])
            if found is None:
                found = np.empty((len(self.features), len(values)), dtype=kind)
            for start in range(0, len(values), _ROWS):
                found[place, start : start + _ROWS] = _indices(part.feature, part.edges, values[start : start + _ROWS])
        if found is None:
            raise ValueError("bins of no feature have no records")
        return found

    def to_bytes(self) -> bytes:
        """The published form: the same bytes for equal bins."""
        parts = [[part.feature.name, list(part.edges), list(part.reference)] for part in self.features]
        data: bytes = msgpack.packb([_FORMAT, parts], use_bin_type=True)
        return data

    @classmethod
    def from_bytes(cls, data: bytes, features: Sequence[AnyFeature], bins: int) -> Binning:
        """Read what a server published for these features of the plan, which allows `bins` bins a feature.

        Raises:
            ValueError: anything but the canonical bytes of bins that `from_histogram` could have made: other
                features, too many edges, edges out of order or bounds, shares that are none.
        """
        try:
            content = unpack(data, _MAX_BYTES, _ITEMS_OF_ONE * (len(features) + 1))
        except UnpackError as error:
            raise ValueError(f"published bins cannot be read: {error}") from None
        if not (isinstance(content, list) and len(content) == 2 and content[0] == _FORMAT):
            raise ValueError(f"published bins must be in the format {_FORMAT!r}")
        if not (isinstance(content[1], list) and len(content[1]) == len(features)):
            raise ValueError(f"published bins must be those of {len(features)} features")
        binning = cls(tuple(_read(f, part, bins) for f, part in zip(features, content[1], strict=True)))
        if binning.to_bytes() != data:
            raise ValueError("published bins are not in canonical form")
        return binning


def records_counted(
    features: Sequence[AnyFeature], grid_cells: int, totals: np.ndarray, grid: Grid = grid_edges
) -> float:
    """How many records a noisy histogram [histogram_length] counted: the estimate that `from_histogram` uses.

    Raises:
        ValueError: the histogram has another length.
    """
    return _records(_split(features, grid_cells, totals, grid))


def _split(features: Sequence[AnyFeature], grid_cells: int, totals: np.ndarray, grid: Grid) -> list[np.ndarray]:
    """The cells of each feature, float64."""
    expected = histogram_length(features, grid_cells, grid)
    if totals.shape != (expected,):
        raise ValueError(f"a histogram of {expected} cells is expected")
    sizes = [_cells(feature, grid_cells, grid) for feature in features]
    return np.split(totals.astype(np.float64), np.cumsum(sizes)[:-1])


def _records(parts: Sequence[np.ndarray]) -> float:
    """Every feature counts the same records; the sum over fewer cells has less noise."""
    weights = np.array([1.0 / len(part) for part in parts])
    return float(np.sum(weights * np.array([part.sum() for part in parts])) / np.sum(weights))


def _bins_of(
    feature: AnyFeature, grid_cells: int, bins: int, noisy: np.ndarray, total: float, grid_of: Grid
) -> FeatureBins:
    mass = consistent_counts(noisy, total)
    ordinary = mass[:-1] if feature.missing else mass
    edges: tuple[float, ...] = ()
    counts = ordinary
    if feature.kind == "numeric":
        grid = grid_of(feature, grid_cells)
        chosen = np.arange(len(grid)) if feature.edges else _quantiles(ordinary, bins)
        edges = tuple(grid[index] for index in chosen)
        counts = np.asarray(np.add.reduceat(ordinary, [0, *(chosen + 1)]))
    smoothed = np.append(counts, mass[-1]) + 1.0 if feature.missing else counts + 1.0
    return FeatureBins(feature, edges, tuple(float(share) for share in smoothed / smoothed.sum()))


def _quantiles(mass: np.ndarray, bins: int) -> np.ndarray:
    """Indices of the inner edges (edge i closes cell i) nearest in mass to the quantiles: ascending, at least one."""
    if mass.sum() <= 0:
        mass = np.ones(len(mass))
    below = np.cumsum(mass)[:-1] / mass.sum()
    wanted = np.arange(1, bins) / bins
    upper = np.minimum(np.searchsorted(below, wanted, side="left"), len(below) - 1)
    lower = np.maximum(upper - 1, 0)
    chosen = np.unique(np.where(wanted - below[lower] < below[upper] - wanted, lower, upper))
    # An edge without mass on one of its sides parts nothing; keep one all the same, so that no code is empty.
    parting = chosen[(below[chosen] > 0) & (below[chosen] < 1)]
    return parting if parting.size else chosen[:1]


def _read(feature: AnyFeature, part: Any, bins: int) -> FeatureBins:
    where = f"published bins of {feature.name!r}"
    if not (isinstance(part, list) and len(part) == 3 and part[0] == feature.name):
        raise ValueError(f"{where}: expected name, edges and reference")
    for values in part[1:]:
        if not (isinstance(values, list) and all(type(value) is float and math.isfinite(value) for value in values)):
            raise ValueError(f"{where}: edges and reference must be lists of finite numbers")
    found = FeatureBins(feature, tuple(part[1]), tuple(part[2]))
    if feature.kind == "categorical":
        if found.edges:
            raise ValueError(f"{where}: a categorical feature has no edges")
    elif feature.edges:
        if found.edges != feature.edges:
            raise ValueError(f"{where}: the edges must be those of the schema")
    else:
        if not 1 <= len(found.edges) <= bins - 1:
            raise ValueError(f"{where}: from 1 to {bins - 1} edges are allowed, found {len(found.edges)}")
        if any(low >= high for low, high in zip(found.edges, found.edges[1:], strict=False)):
            raise ValueError(f"{where}: edges must ascend")
        if found.edges[0] < feature.lower or found.edges[-1] >= feature.upper:
            raise ValueError(f"{where}: edges must lie within the bounds of the schema")
    if len(found.reference) != found.size:
        raise ValueError(f"{where}: the reference must have {found.size} shares")
    if not all(0 < share <= 1 for share in found.reference) or abs(math.fsum(found.reference) - 1) > 1e-9:
        raise ValueError(f"{where}: the reference must be positive shares that add to 1")
    return found
