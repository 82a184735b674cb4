"""Weights and edges as bytes: what a server publishes is read exactly, or not at all."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sealscore.shared.messages.parts import edges_from_bytes, edges_to_bytes, weights_from_bytes, weights_to_bytes
from sealscore.shared.model.weights import WEIGHT_LIMIT, admissible

NUMBERS = st.floats(-1e3, 1e3, width=32)


@given(arrays(np.float64, st.integers(0, 20), elements=NUMBERS))
def test_weights_come_back_as_parties_evaluate_them(weights: np.ndarray):
    data = weights_to_bytes(weights)
    assert np.array_equal(weights_from_bytes(data, len(weights)), admissible(weights))
    assert weights_to_bytes(weights_from_bytes(data, len(weights))) == data


@given(arrays(np.float64, st.integers(1, 20), elements=NUMBERS))
def test_edges_come_back_bit_for_bit(edges: np.ndarray):
    rising = np.sort(edges)
    assert np.array_equal(edges_from_bytes(edges_to_bytes(rising), len(rising) + 1), rising)


def raw(*numbers: float) -> bytes:
    return np.array(numbers, dtype="<f8").tobytes()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (raw(0.5), "weights must be 2 numbers"),
        (raw(0.5, 0.5, 0.5), "weights must be 2 numbers"),
        (raw(0.5, 0.5)[:-1], "weights must be 2 numbers"),
        (b"", "weights must be 2 numbers"),
        (raw(0.5, np.nan), "weights must be finite"),
        (raw(0.5, -np.inf), "weights must be finite"),
        (raw(0.5, 2 * WEIGHT_LIMIT), "weights must be admissible"),
        (raw(0.5, 2.0**-30), "weights must be admissible"),
    ],
)
def test_weights_that_are_none(data: bytes, said: str):
    with pytest.raises(ValueError, match=said):
        weights_from_bytes(data, 2)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (raw(0.5), "edges must be 2 numbers"),
        (raw(0.5, 0.6, 0.7), "edges must be 2 numbers"),
        (raw(0.5, np.inf), "edges must be finite"),
        (raw(0.5, np.nan), "edges must be finite"),
        (raw(0.5, 0.4), "edges must not fall"),
    ],
)
def test_edges_that_are_none(data: bytes, said: str):
    with pytest.raises(ValueError, match=said):
        edges_from_bytes(data, 3)


def test_two_edges_may_be_equal():
    assert edges_from_bytes(raw(0.5, 0.5), 3).tolist() == [0.5, 0.5]
