"""The published model: bins, tower and calibration of one score, its file form, and the way from columns to a PD."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from sealscore.shared.files import write_whole
from sealscore.shared.model.additive.table_score import TableScore
from sealscore.shared.model.bins import AnyFeature, Binning, FeatureBins, check_columns
from sealscore.shared.model.calibration import Calibration
from sealscore.shared.model.coding import Coding, Crosses
from sealscore.shared.model.weights import TowerWeights, admissible
from sealscore.shared.plan.schema import Feature

if TYPE_CHECKING:
    from torch import nn

# Score points: 600 where 20 borrowers repay for one that does not, and 20 points more double these odds.
BASE_POINTS, BASE_ODDS, POINTS_TO_DOUBLE = 600.0, 20.0, 20.0
# Beyond one in a million a PD says nothing; points end there.
_EXTREME_PD = 1e-6

_FORMAT, _TABLES_FORMAT = "sealscore model 1", "sealscore table model 1"
_WEIGHTS_FILE, _CARD_FILE = "model.safetensors", "card.json"
_SHARED_KEYS = {"format", "features", "weights_sha256", "card"}
_KEYS = {_FORMAT: _SHARED_KEYS | {"crosses", "hidden"}, _TABLES_FORMAT: _SHARED_KEYS}
_FEATURES: TypeAdapter[tuple[Feature, ...]] = TypeAdapter(tuple[Feature, ...])


class ModelFileError(ValueError):
    """A folder that holds no model that this code wrote whole."""


class ScoreModel:
    """A score: equal columns give equal bits, alone or in a batch, before and after saving.

    `weights` are a tower's, or the tables of an additive model, which has its calibration in itself. `card` holds what
    is to be known about the model (the plan's hash, figures): any JSON object.

    Raises:
        ValueError: the parts do not belong together, or a weight is not finite.
    """

    def __init__(
        self,
        features: Sequence[AnyFeature],
        binning: Binning,
        weights: TowerWeights | TableScore,
        calibration: Calibration,
        card: Mapping[str, Any],
        crosses: Crosses | None = None,
    ) -> None:
        if tuple(part.feature for part in binning.features) != tuple(features):
            raise ValueError("the bins are those of other features")
        self.features, self.binning, self.calibration = tuple(features), binning, calibration
        self.weights, self.coding = weights, None
        if isinstance(weights, TableScore):
            weights.check(binning.sizes)
        else:
            self.coding = Coding(binning, crosses)
            if not np.isfinite(weights.vector).all():
                raise ValueError("a weight of the tower is not finite")
            if weights.width != self.coding.width:
                raise ValueError(f"the tower reads {weights.width} units, the bins have {self.coding.width}")
            # Parties train and evaluate at these weights, so the published ones are the same.
            self.weights = replace(weights, vector=admissible(weights.vector))
        self.card: dict[str, Any] = json.loads(json.dumps(dict(card), allow_nan=False))

    def logits_of_bins(self, bins: np.ndarray) -> np.ndarray:
        """Bin indices [n, features] -> logits before calibration, float64 [n]."""
        return self.weights.logits(bins if self.coding is None else self.coding.encode(bins))

    def logits(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """Columns as in Records, float64 [n] each -> logits before calibration, float64 [n].

        Raises:
            ValueError: a column is absent or of another length, or a value has no place in the model's bins.
        """
        check_columns(columns, self.features)
        return self.logits_of_bins(self.binning.quantize(columns))

    def pd(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """Columns as in Records -> probabilities of default, float64 [n]."""
        return self.calibration.pd(self.logits(columns))

    def module(self) -> nn.Module:
        """The score before calibration as a torch module with the published numbers as its parameters.

        Of a tower it maps codes float64 [n, width] to logits [n], of an additive model bin indices int64 [n, features].
        """
        from sealscore.shared.model.additive.module import TableModule
        from sealscore.shared.model.tower import Tower, load_flat

        if isinstance(self.weights, TableScore):
            return TableModule(self.weights.tables)
        tower = Tower(self.weights.width, self.weights.hidden, seed=0)
        load_flat(tower, self.weights.vector)
        return tower

    def save(self, folder: Path) -> None:
        """Write the model into a folder; the card comes last, so a folder without one is not whole."""
        folder.mkdir(parents=True, exist_ok=True)
        weights = save_tensors(self._tensors())
        content = {
            "format": _TABLES_FORMAT,
            "features": _FEATURES.dump_python(self.features, mode="json"),
            "weights_sha256": hashlib.sha256(weights).hexdigest(),
            "card": self.card,
        }
        if isinstance(self.weights, TowerWeights) and self.coding is not None:
            content |= {"format": _FORMAT, "crosses": asdict(self.coding.crosses), "hidden": self.weights.hidden}
        text = json.dumps(content, sort_keys=True, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
        for name, data in ((_WEIGHTS_FILE, weights), (_CARD_FILE, text.encode())):
            write_whole(folder / name, data)

    def _tensors(self) -> dict[str, np.ndarray]:
        if isinstance(self.weights, TableScore):
            tensors = self.weights.tensors()
        else:
            tensors = {f"tower.{name}": part.copy() for name, part in self.weights.parts().items()}
            tensors["calibration"] = np.array([self.calibration.slope, self.calibration.intercept])
        for index, part in enumerate(self.binning.features):
            tensors[f"edges.{index}"] = np.array(part.edges, dtype=np.float64)
            tensors[f"reference.{index}"] = np.array(part.reference, dtype=np.float64)
        return tensors

    @classmethod
    def load(cls, folder: Path) -> ScoreModel:
        """Read a model that `save` wrote.

        Raises:
            ModelFileError: a file is missing, cut off or altered, or holds anything that `save` does not write.
        """
        try:
            content = json.loads((folder / _CARD_FILE).read_text(encoding="utf-8"))
            weights = (folder / _WEIGHTS_FILE).read_bytes()
        except (OSError, ValueError) as error:
            raise ModelFileError(f"{folder}: {_CARD_FILE} and {_WEIGHTS_FILE} cannot be read: {error}") from error
        form = content.get("format") if isinstance(content, dict) else None
        if not isinstance(form, str) or set(content) != _KEYS.get(form):
            raise ModelFileError(f"{folder / _CARD_FILE}: expected exactly the keys of {' or '.join(map(repr, _KEYS))}")
        if hashlib.sha256(weights).hexdigest() != content["weights_sha256"]:
            raise ModelFileError(f"{folder / _WEIGHTS_FILE}: is not the file that {_CARD_FILE} describes")
        try:
            return cls._of(content, load_tensors(weights))
        except (ValidationError, SafetensorError, ValueError, TypeError, KeyError) as error:
            raise ModelFileError(f"{folder}: holds no valid model: {error}") from error

    @classmethod
    def _of(cls, content: dict[str, Any], tensors: dict[str, np.ndarray]) -> ScoreModel:
        features = _FEATURES.validate_python(content["features"])
        card = content["card"]
        if not isinstance(card, dict):
            raise ValueError("card must be an object")
        for name, tensor in tensors.items():
            if tensor.dtype != np.float64:
                raise ValueError(f"tensor {name!r} must be float64, is {tensor.dtype}")
        given = dict(tensors)
        published = []
        for index, feature in enumerate(features):
            edges, reference = (tuple(map(float, given.pop(f"{kind}.{index}"))) for kind in ("edges", "reference"))
            published.append(FeatureBins(feature, edges, reference))
        bins = max(len(part.edges) for part in published) + 1 if published else 1
        # The reader of published bins checks order, bounds and shares; the file is not trusted more than a server.
        binning = Binning.from_bytes(Binning(tuple(published)).to_bytes(), features, bins)
        if content["format"] == _TABLES_FORMAT:
            return cls(features, binning, TableScore.of_tensors(given), Calibration(), card)
        hidden = content["hidden"]
        if type(hidden) is not int or hidden < 0:
            raise ValueError("hidden must be a whole number")
        slope, intercept = given.pop("calibration")
        if hidden and len(given["tower.inner.weight"]) != hidden:
            raise ValueError(f"the card says {hidden} hidden units, the weights say otherwise")
        crosses = _crosses(content["crosses"])
        width = Coding(binning, crosses).width
        flat = []
        for name, shape in TowerWeights.shapes(width, hidden).items():
            tensor = given.pop(f"tower.{name}")
            if tensor.shape != shape:
                raise ValueError(f"tensor 'tower.{name}' has shape {tensor.shape}, not {shape}")
            flat.append(tensor.reshape(-1))
        if given:
            raise ValueError(f"unknown tensors {sorted(given)}")
        vector = np.concatenate(flat)
        if not np.array_equal(vector, admissible(vector)):
            raise ValueError("a weight is not on the grid of published weights")
        weights = TowerWeights(vector, width, hidden)
        return cls(features, binning, weights, Calibration(float(slope), float(intercept)), card, crosses)


def _crosses(content: dict[str, Any]) -> Crosses:
    found = Crosses(tuple((str(a), str(b)) for a, b in content["pairs"]), int(content["bins"]), float(content["scale"]))
    if json.loads(json.dumps(asdict(found))) != content:
        raise ValueError("the crosses are not as they are written")
    return found


def points(pd: np.ndarray) -> np.ndarray:
    """Score points of PDs: 600 at odds of 20 good to 1 bad, 20 more for doubled odds (Siddiqi 2006, chapter 6).

    float64, not rounded; a PD counts as between one in a million and all but one in a million.
    """
    bounded = np.clip(pd, _EXTREME_PD, 1 - _EXTREME_PD)
    factor = POINTS_TO_DOUBLE / math.log(2)
    odds = np.log1p(-bounded) - np.log(bounded)
    return np.asarray(BASE_POINTS + factor * (odds - math.log(BASE_ODDS)), dtype=np.float64)
