"""The published additive model: a table for each feature and each pair, and the curve to probabilities."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from sealscore.shared.model.additive.calibration import PdCurve
from sealscore.shared.model.additive.codes import BinTables, PairTable, narrow
from sealscore.shared.model.bins import Binning
from sealscore.shared.model.calibration import Calibration
from sealscore.shared.model.score_model import ScoreModel, binning_tensors, read_binning
from sealscore.shared.model.weights import admissible

# Below this distance of two logits the slope of the curve between them has no digits left.
_NEAR = 1e-9


class TableModel(ScoreModel):
    """A score that is a sum of table entries. Its logits are calibrated, by the curve if there is one.

    Raises:
        ValueError: the tables are those of other bins, or an entry is not admissible.
    """

    form: ClassVar[str] = "sealscore table model 1"

    def __init__(self, binning: Binning, tables: BinTables, curve: PdCurve | None, card: Mapping[str, Any]) -> None:
        self.features = tuple(part.feature for part in binning.features)
        self.binning, self.tables, self.curve, self.calibration = binning, tables, curve, Calibration()
        if tuple(len(table) for table in tables.mains) != binning.sizes or any(
            pair.table.shape != (binning.sizes[pair.left], binning.sizes[pair.right]) for pair in tables.pairs
        ):
            raise ValueError("the tables are those of other bins")
        for table in (np.array(tables.constant), *tables.mains, *(pair.table for pair in tables.pairs)):
            if not np.array_equal(table, admissible(table)):
                raise ValueError("an entry of a table is not on the grid of published weights")
        self.card: dict[str, Any] = json.loads(json.dumps(dict(card), allow_nan=False))

    def logits_of_bins(self, bins: np.ndarray) -> np.ndarray:
        """Bin indices [n, features] -> logits, float64 [n]."""
        return self._calibrated(self.tables.sums(narrow(bins, self.binning.sizes)))

    def contributions(self, bins: np.ndarray) -> np.ndarray:
        """Contribution of each feature to the logit: bin indices [n, features] -> float64 [n, features].

        They add to the applicant's logit less that of the mean fitted score, were features independent with the
        released shares. A feature's is its centred table, and half of what each of its pairs adds beyond that: the
        Shapley value under independent features (Lundberg and Lee 2017). The curve stretches all of an applicant's
        alike.
        """
        shares = [np.array(part.reference) for part in self.binning.features]
        found = np.zeros(bins.shape)
        mean = self.tables.constant
        for place, table in enumerate(self.tables.mains):
            mean += float(shares[place] @ table)
            found[:, place] += (table - shares[place] @ table)[bins[:, place]]
        for pair in self.tables.pairs:
            by_left, by_right = pair.table @ shares[pair.right], shares[pair.left] @ pair.table
            middle = float(shares[pair.left] @ by_left)
            mean += middle
            left, right = by_left[bins[:, pair.left]], by_right[bins[:, pair.right]]
            both = pair.table[bins[:, pair.left], bins[:, pair.right]]
            found[:, pair.left] += (both - right + left - middle) / 2
            found[:, pair.right] += (both - left + right - middle) / 2
        return np.asarray(found * self._stretch(mean, found.sum(axis=1))[:, None], dtype=np.float64)

    def _stretch(self, mean: float, moved: np.ndarray) -> np.ndarray:
        """By how much the curve stretches the way from the mean fitted logit, float64 [n]."""
        moved = np.where(np.abs(moved) < _NEAR, _NEAR, moved)
        stretched: np.ndarray = (self._calibrated(mean + moved) - self._calibrated(np.array([mean]))) / moved
        return stretched

    def _calibrated(self, fitted: np.ndarray) -> np.ndarray:
        if self.curve is None:
            return fitted
        return self.curve.logits(fitted)

    def _described(self) -> dict[str, Any]:
        return {}

    def _tensors(self) -> dict[str, np.ndarray]:
        tensors = {f"table.{place}": table.copy() for place, table in enumerate(self.tables.mains)}
        tensors |= {f"pair.{pair.left}.{pair.right}": pair.table.copy() for pair in self.tables.pairs}
        tensors["constant"] = np.array([self.tables.constant])
        if self.curve is not None:
            tensors["curve"] = self.curve.vector()
        return tensors | binning_tensors(self.binning)

    @classmethod
    def of_files(cls, content: dict[str, Any], tensors: dict[str, np.ndarray]) -> ScoreModel:
        """From what the files hold; ValueError, TypeError or KeyError for anything that `save` does not write."""
        if not isinstance(content["card"], dict):
            raise ValueError("card must be an object")
        given = dict(tensors)
        features, binning = read_binning(content, given)
        mains = tuple(given.pop(f"table.{place}") for place in range(len(features)))
        if any(table.ndim != 1 for table in mains):
            raise ValueError("a feature's table must be a list")
        (constant,) = given.pop("constant")
        curve = PdCurve.of_vector(given.pop("curve")) if "curve" in given else None
        pairs = []
        for name, table in given.items():
            kind, left, right = name.split(".")
            if kind != "pair" or name != f"pair.{int(left)}.{int(right)}" or not 0 <= int(left) < int(right):
                raise ValueError(f"unknown tensor {name!r}")
            pairs.append(PairTable(int(left), int(right), table))
        if pairs and max(pair.right for pair in pairs) >= len(features):
            raise ValueError("a pair names a feature that is not there")
        ordered = tuple(sorted(pairs, key=lambda pair: (pair.left, pair.right)))
        return cls(binning, BinTables(float(constant), mains, ordered), curve, content["card"])
