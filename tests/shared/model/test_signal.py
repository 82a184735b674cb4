"""The signal: a logit becomes one of a few levels of about equal shares, whatever the noise in the histogram."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sealscore.shared.model.signal import CELLS, level_edges, signal_histogram, signal_levels


def logits(n: int = 20_000, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(-1.2, 0.8, n)


@given(arrays(np.float64, st.integers(0, 50), elements=st.floats(-1e6, 1e6)), st.floats(-1e6, 1e6))
def test_one_record_changes_one_cell_by_one(others: np.ndarray, one: float):
    change = signal_histogram(np.append(others, one)) - signal_histogram(others)
    assert change.shape == (CELLS,)
    assert np.abs(change).sum() == change.sum() == 1


@pytest.mark.parametrize("levels", [2, 5, 16])
def test_levels_have_about_equal_shares(levels: int):
    found = signal_levels(logits(), level_edges(signal_histogram(logits()).astype(float), levels))
    shares = np.bincount(found, minlength=levels) / len(found)
    assert len(shares) == levels
    assert np.abs(shares - 1 / levels).max() < 0.03


def test_noise_moves_edges_a_little():
    random = np.random.default_rng(1)
    noisy = signal_histogram(logits()) + random.normal(0, 30, CELLS)
    shares = np.bincount(signal_levels(logits(), level_edges(noisy, 8)), minlength=8) / 20_000
    assert np.abs(shares - 1 / 8).max() < 0.05


@given(
    arrays(np.float64, CELLS, elements=st.floats(-1e9, 1e9)),
    st.integers(2, 64),
    arrays(np.float64, 20, elements=st.floats(-1e300, 1e300)),
)
def test_any_histogram_gives_edges_and_any_logit_a_level(noisy: np.ndarray, levels: int, some: np.ndarray):
    edges = level_edges(noisy, levels)
    assert edges.shape == (levels - 1,)
    assert np.isfinite(edges).all()
    assert (np.diff(edges) >= 0).all()
    found = signal_levels(some, edges)
    assert ((found >= 0) & (found < levels)).all()


def test_levels_keep_the_order_of_logits_and_an_edge_belongs_to_the_lower_level():
    edges = np.array([-1.0, 0.0, 1.0])
    assert signal_levels(np.array([-2.0, -1.0, -0.5, 0.0, 1.0, 1.5]), edges).tolist() == [0, 0, 1, 1, 2, 3]


def test_cells_that_hold_next_to_nothing_do_not_turn_edges_round():
    noisy = np.zeros(CELLS)
    noisy[[28, 79, 32, 90]] = [1e-8, 1e-8, 1.0, 1e-7]
    assert (np.diff(level_edges(noisy, 17)) >= 0).all()


def test_a_level_between_equal_edges_is_never_used():
    assert signal_levels(np.array([-1.0, 0.0, 1.0]), np.array([0.0, 0.0])).tolist() == [0, 0, 2]
