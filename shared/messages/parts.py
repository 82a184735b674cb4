"""The public parts of a model as bytes, beside the bins: weights of a tower, and the edges of a signal's levels."""

from __future__ import annotations

import numpy as np

from sealscore.shared.model.weights import admissible

_FLOAT = np.dtype("<f8")


def weights_to_bytes(weights: np.ndarray) -> bytes:
    """Admissible weights, float64 [p] -> bytes."""
    return admissible(weights).astype(_FLOAT).tobytes()


def weights_from_bytes(data: bytes, length: int) -> np.ndarray:
    """Bytes -> float64 [length]; ValueError where they are not that many finite, admissible weights."""
    weights = _floats(data, length, "weights")
    if not np.array_equal(weights, admissible(weights)):
        raise ValueError("weights must be admissible")
    return weights


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
