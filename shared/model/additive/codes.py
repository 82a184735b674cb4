"""Codes of records as the parties use them: published tables on a grid, one for each feature, and pairs of features.

A record's code is (intercept, the units of each feature at the record's bin, the kept products of two features'
factors). It is never built: logits are sums of table entries, and so are squared norms.

BinTables are adversarial input as weights are. Entries are multiples of `CODE_GRID` up to `CODE_LIMIT`, weights are
`admissible` as a tower's are, and a feature has at most `MAX_UNITS` units. So every product and every sum over a
feature's units is exact in float64, in whatever order a matrix product takes them; the tables that follow are made
admissible too, and sums of up to 2^20 of their entries are exact as well. A logit depends on the record's own bins and
on what the server sent, and on nothing else (docs/proofs/additive.md).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import msgpack
import numpy as np

from sealscore.shared.model.coding import CODE_GRID
from sealscore.shared.model.weights import admissible
from sealscore.shared.unpacking import UnpackError, unpack

CODE_LIMIT = 2.0**4
# Products are multiples of 2^-36 up to 2^9: 2^8 of them stay within 2^53 such units.
MAX_UNITS = 2**8
MAX_FACTORS = 10
MAX_LENGTH = 2**18
_FORMAT = "sealscore codes 1"
_MAX_BYTES = 32 * 1024 * 1024
_INTEGER = np.dtype("<i4")


@dataclass(frozen=True)
class Pair:
    """Two features, by place, and how many of the right one's factors each of the left one's factors meets.

    `kept` never rises: products of small eigenvalues are left out.
    """

    left: int
    right: int
    kept: tuple[int, ...]

    @property
    def length(self) -> int:
        """How many products are in the code."""
        return sum(self.kept)

    def mask(self, right: int) -> np.ndarray:
        """bool [left factors, right factors]: which products are in the code."""
        return np.arange(right) < np.array(self.kept, dtype=np.int64)[:, None]


@dataclass(frozen=True, eq=False)
class Codes:
    """The published code of a fit's phase. The vector of weights, and of sums, is in the order of the code.

    `intercept` is the code of the unit that all records have. `mains` are each feature's units, float64
    [bins, units], and `factors` those that enter products, float64 [bins, at most `MAX_FACTORS`].

    Raises:
        ValueError: more units than are exact, a table off its grid or limit, or a pair of features that are not there.
    """

    intercept: float
    mains: tuple[np.ndarray, ...]
    factors: tuple[np.ndarray, ...]
    pairs: tuple[Pair, ...] = ()

    def __post_init__(self) -> None:
        if len(self.mains) != len(self.factors):
            raise ValueError("every feature has units and factors")
        for main, factor in zip(self.mains, self.factors, strict=True):
            for table, most in ((main, MAX_UNITS), (factor, MAX_FACTORS)):
                if table.ndim != 2 or len(table) != len(main) or table.shape[1] > most:
                    raise ValueError(f"a feature has at most {MAX_UNITS} units and {MAX_FACTORS} factors over its bins")
        for table in (np.array([self.intercept]), *self.mains, *self.factors):
            if not np.array_equal(table, on_code_grid(table)):
                raise ValueError("tables of a code must be on its grid, within its limit")
        places = [(pair.left, pair.right) for pair in self.pairs]
        if places != sorted(set(places)):
            raise ValueError("pairs must rise and differ")
        for pair in self.pairs:
            if not 0 <= pair.left < pair.right < len(self.mains):
                raise ValueError("a pair must name two features in their order")
            left, right = (self.factors[place].shape[1] for place in (pair.left, pair.right))
            if len(pair.kept) != left or not all(0 <= kept <= right for kept in pair.kept):
                raise ValueError("a pair must say how many factors meet")
            if list(pair.kept) != sorted(pair.kept, reverse=True):
                raise ValueError("a pair's kept factors must not rise")
        if self.length > MAX_LENGTH:
            raise ValueError(f"a code has at most {MAX_LENGTH} units")

    @property
    def sizes(self) -> tuple[int, ...]:
        """Bins of each feature."""
        return tuple(len(main) for main in self.mains)

    @property
    def length(self) -> int:
        """Numbers in a code: the intercept's, the features' and the pairs'."""
        return 1 + sum(self._lengths())

    def split(self, vector: np.ndarray) -> tuple[float, list[np.ndarray], list[np.ndarray]]:
        """A vector [length] in its parts: the intercept's number, [units] a feature, [left, right factors] a pair.

        Products that are not in the code are 0.

        Raises:
            ValueError: another length.
        """
        if vector.shape != (self.length,):
            raise ValueError(f"a vector of {self.length} numbers is expected, not {list(vector.shape)}")
        numbers = iter(np.split(vector, np.cumsum([1, *self._lengths()])[:-1]))
        intercept = float(next(numbers)[0])
        mains = list(itertools.islice(numbers, len(self.mains)))
        products = []
        for pair, part in zip(self.pairs, numbers, strict=True):
            mask = self.mask(pair)
            table = np.zeros(mask.shape)
            table[mask] = part
            products.append(table)
        return intercept, mains, products

    def mask(self, pair: Pair) -> np.ndarray:
        """Which products of a pair are in the code: bool [left factors, right factors]."""
        return pair.mask(self.factors[pair.right].shape[1])

    def _lengths(self) -> Iterator[int]:
        yield from (main.shape[1] for main in self.mains)
        yield from (pair.length for pair in self.pairs)

    def tables(self, weights: np.ndarray) -> BinTables:
        """The tables of the score at weights float64 [length]: any numbers, whose exact effect is the same everywhere.

        Raises:
            ValueError: another length.
        """
        intercept, mains, products = self.split(_finite(weights))
        pairs = []
        for pair, weight in zip(self.pairs, products, strict=True):
            # Rounded in between: three factors on their grids would take more digits than float64 has.
            folded = admissible(self.factors[pair.left] @ weight)
            pairs.append(PairTable(pair.left, pair.right, admissible(folded @ self.factors[pair.right].T)))
        return BinTables(
            float(admissible(np.array(intercept * self.intercept))),
            tuple(admissible(main @ weight) for main, weight in zip(self.mains, mains, strict=True)),
            tuple(pairs),
        )

    @cached_property
    def squared_norms(self) -> BinTables:
        """The squared norm of a record's code as a sum of table entries."""
        return BinTables(
            self.intercept**2,
            tuple((main**2).sum(axis=1) for main in self.mains),
            tuple(
                PairTable(
                    pair.left,
                    pair.right,
                    (self.factors[pair.left] ** 2) @ self.mask(pair) @ (self.factors[pair.right] ** 2).T,
                )
                for pair in self.pairs
            ),
        )

    def to_bytes(self) -> bytes:
        """The published form: the same bytes for equal codes."""
        tables = [[list(table.shape), _packed(table)] for table in (*self.mains, *self.factors)]
        pairs = [[pair.left, pair.right, list(pair.kept)] for pair in self.pairs]
        data: bytes = msgpack.packb([_FORMAT, _packed(np.array(self.intercept)), tables, pairs], use_bin_type=True)
        return data

    @classmethod
    def from_bytes(cls, data: bytes, sizes: Sequence[int]) -> Codes:
        """Read what a server published for features with that many bins each.

        Raises:
            ValueError: anything but the canonical bytes of a code over these bins.
        """
        most_items = 16 + 8 * len(sizes) + len(sizes) ** 2 * (MAX_FACTORS + 8)
        try:
            content = unpack(data, _MAX_BYTES, most_items)
            name, intercept, tables, pairs = content
            if name != _FORMAT or len(tables) != 2 * len(sizes):
                raise ValueError(f"expected {_FORMAT!r} of {len(sizes)} features")
            found = [_unpacked(packed, tuple(shape)) for shape, packed in tables]
            if tuple(len(table) for table in found[: len(sizes)]) != tuple(sizes):
                raise ValueError("the tables are those of other bins")
            codes = cls(
                float(_unpacked(intercept, ())),
                tuple(found[: len(sizes)]),
                tuple(found[len(sizes) :]),
                tuple(Pair(left, right, tuple(kept)) for left, right, kept in pairs),
            )
        except (UnpackError, TypeError, ValueError) as error:
            raise ValueError(f"published codes cannot be read: {error}") from None
        if codes.to_bytes() != data:
            raise ValueError("published codes are not in canonical form")
        return codes


@dataclass(frozen=True, eq=False)
class PairTable:
    """A table over the bins of two features, by place: float64 [bins of the left, bins of the right]."""

    left: int
    right: int
    table: np.ndarray


@dataclass(frozen=True, eq=False)
class BinTables:
    """A number of a record as a sum of table entries: a constant, one of each feature, one of each pair."""

    constant: float
    mains: tuple[np.ndarray, ...]
    pairs: tuple[PairTable, ...] = ()

    def sums(self, bins: np.ndarray) -> np.ndarray:
        """Bins, integers [features, n] -> float64 [n]; entries are added in one order, record by record.

        Raises:
            ValueError: another number of features.
            IndexError: an index that is no bin.
        """
        if bins.ndim != 2 or len(bins) != len(self.mains):
            raise ValueError(f"bins of {len(self.mains)} features are expected, got shape {list(bins.shape)}")
        total = np.full(bins.shape[1], self.constant)
        for table, at in zip(self.mains, bins, strict=True):
            total += table[at]
        for pair in self.pairs:
            total += pair.table[bins[pair.left], bins[pair.right]]
        return total


def narrow(bins: np.ndarray, sizes: Sequence[int]) -> np.ndarray:
    """Bin indices [n, features] -> the same by feature, [features, n], in one byte each where that is enough."""
    return np.ascontiguousarray(bins.T.astype(np.uint8 if max(sizes, default=1) <= 2**8 else np.uint16))


def on_code_grid(table: np.ndarray) -> np.ndarray:
    """The nearest table that a code may have."""
    return np.asarray(np.rint(np.clip(table, -CODE_LIMIT, CODE_LIMIT) / CODE_GRID) * CODE_GRID, dtype=np.float64)


def _finite(weights: np.ndarray) -> np.ndarray:
    """Admissible weights; what is not a number counts as 0."""
    return admissible(np.where(np.isnan(weights), 0.0, weights))


def _packed(table: np.ndarray) -> bytes:
    return np.rint(table / CODE_GRID).astype(_INTEGER).tobytes()


def _unpacked(data: bytes, shape: tuple[int, ...]) -> np.ndarray:
    return np.asarray(np.frombuffer(data, dtype=_INTEGER).reshape(shape) * CODE_GRID, dtype=np.float64)
