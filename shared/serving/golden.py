"""Golden vectors: invented applicants, and what the models of a release say of them. Whoever takes a release checks
that its own libraries and its own machine give the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sealscore.shared.model.bins import AnyFeature
from sealscore.shared.model.score_model import ScoreModel

APPLICANTS = 64
PD_TOLERANCE = 1e-9
"""exp and log differ between processors in their last bits; bins and logits do not."""


class GoldenError(ValueError):
    """A model that does not say here what it said where the release was made."""


def invented(features: Sequence[AnyFeature], seed: str, count: int = APPLICANTS) -> dict[str, np.ndarray]:
    """Columns of invented applicants, float64 [count] each, from public bounds and a text alone.

    Each feature is spread over its whole range with its bounds among the values, and is missing now and then where it
    may be.
    """
    columns = {}
    for feature in features:
        digest = hashlib.sha256(f"{seed}\0{feature.name}".encode()).digest()
        random = np.random.Generator(np.random.PCG64(int.from_bytes(digest, "big")))
        if feature.kind == "categorical":
            values = random.integers(0, len(feature.levels), count).astype(np.float64)
        else:
            low, high = feature.transform(np.array([feature.lower, feature.upper]))
            values = np.clip(feature.inverse(random.uniform(low, high, count)), feature.lower, feature.upper)
            values[:2] = feature.lower, feature.upper
            if feature.integer:
                values = np.round(values)
        if feature.missing:
            values[random.random(count) < 0.2] = np.nan
        columns[feature.name] = values
    return columns


def golden(models: Mapping[str, ScoreModel], seed: str) -> str:
    """The golden vectors of models by their names, as JSON: inputs, bins, logits and PDs."""
    found = {}
    for name, model in models.items():
        columns = invented(model.features, seed)
        bins = model.binning.quantize(columns)
        logits = model.logits_of_bins(bins)
        found[name] = {
            "columns": {column: [_written(value) for value in values] for column, values in columns.items()},
            "bins": bins.tolist(),
            "logits": [float.hex(float(value)) for value in logits],
            "pd": [float.hex(float(value)) for value in model.calibration.pd(logits)],
        }
    return json.dumps(found, sort_keys=True, separators=(",", ":"), allow_nan=False) + "\n"


def check_golden(text: str, models: Mapping[str, ScoreModel]) -> None:
    """Check that models say here what they said there: bins and logits exactly, PDs to 1e-9.

    Raises:
        GoldenError: they do not, or the text holds no golden vectors of these models.
    """
    try:
        found = json.loads(text)
        if set(found) != set(models):
            raise GoldenError("the golden vectors are those of other models")
        for name, model in models.items():
            _check(name, found[name], model)
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        if isinstance(error, GoldenError):
            raise
        raise GoldenError("the golden vectors cannot be read") from None


def _check(name: str, expected: dict[str, Any], model: ScoreModel) -> None:
    columns = {column: np.array([_read(value) for value in values]) for column, values in expected["columns"].items()}
    bins = model.binning.quantize(columns)
    if bins.tolist() != expected["bins"]:
        raise GoldenError(f"{name}: other bins here than where the release was made")
    logits = model.logits_of_bins(bins)
    if [float.hex(float(value)) for value in logits] != expected["logits"]:
        raise GoldenError(f"{name}: other logits here than where the release was made")
    pds = np.array([float.fromhex(value) for value in expected["pd"]])
    # Of nobody anything holds.
    if not len(pds) == len(logits) == APPLICANTS:
        raise GoldenError(f"{name}: golden vectors have {APPLICANTS} applicants")
    if not (np.abs(model.calibration.pd(logits) - pds) <= PD_TOLERANCE).all():
        raise GoldenError(f"{name}: other PDs here than where the release was made")


def _written(value: float) -> str | None:
    return None if np.isnan(value) else float.hex(float(value))


def _read(value: str | None) -> float:
    return np.nan if value is None else float.fromhex(value)
