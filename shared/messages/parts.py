"""The public parts of a model as bytes, beside the bins: weights of a tower, and the edges of a signal's levels."""

from __future__ import annotations

import hashlib

import numpy as np

from sealscore.shared.fields import pack_fields
from sealscore.shared.model.weights import admissible

_FLOAT = np.dtype("<f8")
_SCORE = b"sealscore score 1"


def weights_to_bytes(weights: np.ndarray) -> bytes:
    """Admissible weights, float64 [p] -> bytes."""
    return admissible(weights).astype(_FLOAT).tobytes()


def weights_from_bytes(data: bytes, length: int) -> np.ndarray:
    """Bytes -> float64 [length]; ValueError where they are not that many finite, admissible weights."""
    weights = _floats(data, length, "weights")
    if not np.array_equal(weights, admissible(weights)):
        raise ValueError("weights must be admissible")
    return weights


def score_digest(bins: bytes, codes: bytes | None, weights: np.ndarray) -> str:
    """What stands for a score that is not calibrated, by its published parts and weights: 64 hexadecimal digits."""
    parts = (_SCORE, bins, b"" if codes is None else codes, weights_to_bytes(weights))
    return hashlib.sha256(pack_fields(*parts)).hexdigest()


def edges_to_bytes(edges: np.ndarray) -> bytes:
    """Rising edges, float64 [levels - 1] -> bytes."""
    return np.asarray(edges, dtype=_FLOAT).tobytes()


def edges_from_bytes(data: bytes, levels: int) -> np.ndarray:
    """Bytes -> float64 [levels - 1]; ValueError where they are not that many finite edges that never fall."""
    edges = _floats(data, levels - 1, "edges")
    if (np.diff(edges) < 0).any():
        raise ValueError("edges must not fall")
    return edges


def _floats(data: bytes, length: int, what: str) -> np.ndarray:
    if len(data) != length * _FLOAT.itemsize:
        raise ValueError(f"{what} must be {length} numbers")
    found = np.frombuffer(data, dtype=_FLOAT).astype(np.float64)
    if not np.isfinite(found).all():
        raise ValueError(f"{what} must be finite")
    return found
