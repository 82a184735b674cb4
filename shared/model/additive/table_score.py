"""What an additive model publishes in the place of a tower: a table for each feature and pair, and the curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sealscore.shared.model.additive.codes import BinTables, PairTable, narrow
from sealscore.shared.model.additive.curve import PdCurve
from sealscore.shared.model.weights import admissible

# Below this distance of two logits the slope of the curve between them has no digits left.
NEAR = 1e-9


@dataclass(frozen=True, eq=False)
class TableScore:
    """A score that is a sum of table entries. Its logits are calibrated, by the curve if there is one.

    Raises:
        ValueError: an entry is not finite, or not admissible as weights are.
    """

    tables: BinTables
    curve: PdCurve | None = None

    def __post_init__(self) -> None:
        for table in (np.array(self.tables.constant), *self._tables()):
            if not np.array_equal(table, admissible(table)):
                raise ValueError("an entry of a table is not on the grid of published weights")

    def check(self, sizes: Sequence[int]) -> None:
        """Refuse bins of features that have other sizes.

        Raises:
            ValueError: these are not the tables' bins.
        """
        mains = tuple(table.shape for table in self.tables.mains)
        if mains != tuple((size,) for size in sizes) or any(
            not 0 <= pair.left < pair.right < len(sizes) or pair.table.shape != (sizes[pair.left], sizes[pair.right])
            for pair in self.tables.pairs
        ):
            raise ValueError("the tables are those of other bins")

    def logits(self, bins: np.ndarray) -> np.ndarray:
        """Bin indices [n, features] -> logits, float64 [n]."""
        sizes = [len(table) for table in self.tables.mains]
        return self.calibrated(self.tables.sums(narrow(bins, sizes)))

    def contributions(self, bins: np.ndarray, shares: Sequence[np.ndarray]) -> np.ndarray:
        """Contribution of each feature to the logit: bin indices [n, features] -> float64 [n, features].

        They add to the applicant's logit less that of the mean fitted score, were features independent with these
        `shares` of their bins. A feature's is its centred table, and half of what each of its pairs adds beyond that:
        the Shapley value under independent features (Lundberg and Lee 2017). The curve stretches all of an
        applicant's alike.
        """
        mains, pairs, mean = self.moves(shares)
        found = np.zeros(bins.shape)
        for place, table in enumerate(mains):
            found[:, place] += table[bins[:, place]]
        for left, right, of_left, of_right in pairs:
            at = bins[:, left], bins[:, right]
            found[:, left] += of_left[at]
            found[:, right] += of_right[at]
        moved = found.sum(axis=1)
        moved = np.where(np.abs(moved) < NEAR, NEAR, moved)
        stretch = (self.calibrated(mean + moved) - self.calibrated(np.array([mean]))) / moved
        return np.asarray(found * stretch[:, None], dtype=np.float64)

    def moves(
        self, shares: Sequence[np.ndarray]
    ) -> tuple[tuple[np.ndarray, ...], tuple[tuple[int, int, np.ndarray, np.ndarray], ...], float]:
        """What each bin moves the fitted logit by, and its mean: tables by feature, and of pairs for both features."""
        mean = self.tables.constant
        mains = []
        for place, table in enumerate(self.tables.mains):
            mean += float(shares[place] @ table)
            mains.append(table - shares[place] @ table)
        pairs = []
        for pair in self.tables.pairs:
            by_left, by_right = pair.table @ shares[pair.right], shares[pair.left] @ pair.table
            middle = float(shares[pair.left] @ by_left)
            mean += middle
            left, right = by_left[:, None], by_right[None, :]
            of_left, of_right = (pair.table - right + left - middle) / 2, (pair.table - left + right - middle) / 2
            pairs.append((pair.left, pair.right, of_left, of_right))
        return tuple(mains), tuple(pairs), mean

    def tensors(self) -> dict[str, np.ndarray]:
        """All numbers by name."""
        tensors = {f"table.{place}": table.copy() for place, table in enumerate(self.tables.mains)}
        tensors |= {f"pair.{pair.left}.{pair.right}": pair.table.copy() for pair in self.tables.pairs}
        tensors["constant"] = np.array([self.tables.constant])
        if self.curve is not None:
            tensors["curve"] = self.curve.vector()
        return tensors

    @classmethod
    def of_tensors(cls, tensors: Mapping[str, np.ndarray]) -> TableScore:
        """From what `tensors` gives.

        Raises:
            ValueError: anything that it does not give; KeyError where something is absent.
        """
        given = dict(tensors)
        (constant,) = given.pop("constant")
        curve = PdCurve.of_vector(given.pop("curve")) if "curve" in given else None
        places = sorted(int(name.removeprefix("table.")) for name in given if name.startswith("table."))
        mains = tuple(given.pop(f"table.{place}") for place in range(len(places)))
        pairs = []
        for name, table in given.items():
            kind, left, right = name.split(".")
            if kind != "pair" or name != f"pair.{int(left)}.{int(right)}":
                raise ValueError(f"unknown tensor {name!r}")
            pairs.append(PairTable(int(left), int(right), table))
        ordered = tuple(sorted(pairs, key=lambda pair: (pair.left, pair.right)))
        return cls(BinTables(float(constant), mains, ordered), curve)

    def _tables(self) -> list[np.ndarray]:
        return [*self.tables.mains, *(pair.table for pair in self.tables.pairs)]

    def calibrated(self, fitted: np.ndarray) -> np.ndarray:
        """Fitted logits -> calibrated ones, of the same shape."""
        if self.curve is None:
            return fitted
        return self.curve.logits(fitted)
