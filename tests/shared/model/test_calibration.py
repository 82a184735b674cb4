import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit

from sealscore.shared.model.calibration import MIN_SLOPE, Calibration, fit
from sealscore.shared.model.score_grid import cell_logits
from sealscore.shared.model.score_table import score_table


def table_of(slope: float, intercept: float, n: int, seed: int = 0, cells: int = 32) -> np.ndarray:
    draw = np.random.default_rng(seed)
    logits = draw.normal(-1.2, 1.2, n)
    labels = (draw.random(n) < expit(slope * logits + intercept)).astype(np.int8)
    return score_table(logits, labels, cells).astype(float)


def test_pd_is_the_logistic_of_the_line():
    assert Calibration(2.0, -1.0).pd(np.array([0.0, 0.5, 1e9, -1e9])).tolist() == pytest.approx([expit(-1), 0.5, 1, 0])


@pytest.mark.parametrize(("slope", "intercept"), [(1.0, 0.0), (0.7, 0.4), (1.4, -0.5)])
def test_the_truth_is_found_with_many_records(slope, intercept):
    found = fit(table_of(slope, intercept, 400_000), 0.0)
    assert found.slope == pytest.approx(slope, abs=0.03)
    assert found.intercept == pytest.approx(intercept, abs=0.03)


def test_without_noise_it_is_the_maximum_a_posteriori():
    table = table_of(0.8, 0.3, 3000)
    good, bad = np.split(table, 2)
    at = cell_logits(32)

    def loss(theta):
        z = theta[0] * at + theta[1]
        likelihood = good @ np.logaddexp(0, z) + bad @ np.logaddexp(0, -z)
        return likelihood + ((theta[0] - 1) / 0.3) ** 2 / 2 + (theta[1] / 0.5) ** 2 / 2

    best = minimize(loss, [1.0, 0.0], method="BFGS", tol=1e-10).x
    found = fit(table, 0.0)
    assert (found.slope, found.intercept) == pytest.approx(tuple(best), abs=1e-4)


@pytest.mark.parametrize("std", [5.0, 20.0])
def test_noise_neither_bends_nor_scatters_the_fit_much(std):
    table = table_of(0.7, 0.4, 24_000)
    exact = fit(table, 0.0)
    noisy = [fit(table + np.random.default_rng(seed).normal(0, std, 64), std) for seed in range(100)]
    slopes, intercepts = np.array([(n.slope, n.intercept) for n in noisy]).T
    assert slopes.mean() == pytest.approx(exact.slope, abs=0.02)
    assert intercepts.mean() == pytest.approx(exact.intercept, abs=0.03)
    assert slopes.std() < 0.1


def test_pure_noise_gives_about_the_identity():
    found = [fit(np.random.default_rng(seed).normal(0, 100.0, 64), 100.0) for seed in range(200)]
    slopes, intercepts = np.array([(n.slope, n.intercept) for n in found]).T
    assert abs(slopes.mean() - 1) < 0.03
    assert abs(intercepts.mean()) < 0.05
    assert np.median(np.abs(slopes - 1)) < 0.05
    assert np.median(np.abs(intercepts)) < 0.1
    assert (fit(np.zeros(64), 3.0).slope, fit(np.zeros(64), 0.0).intercept) == (1.0, 0.0)


def test_scores_that_rank_the_wrong_way_are_flattened_and_never_turned():
    found = fit(table_of(-2.0, 0.0, 50_000), 0.0)
    assert found.slope == MIN_SLOPE
    good, bad = np.split(table_of(-2.0, 0.0, 50_000), 2)
    pd = found.pd(cell_logits(32))
    # The intercept still answers for the mean, up to its prior.
    assert pd @ (good + bad) / (good + bad).sum() == pytest.approx(bad.sum() / (good + bad).sum(), abs=0.01)


@given(st.integers(0, 10**6), st.floats(0, 1e6), st.integers(2, 64))
def test_any_table_gives_a_finite_rising_calibration(seed, std, cells):
    draw = np.random.default_rng(seed)
    table = draw.normal(0, 10 ** draw.uniform(-3, 6), 2 * cells)
    found = fit(table, std)
    assert math.isfinite(found.slope)
    assert math.isfinite(found.intercept)
    assert found.slope >= MIN_SLOPE


@pytest.mark.parametrize(
    ("table", "std"), [(np.zeros(3), 0.0), (np.zeros(0), 0.0), (np.array([0.0, np.nan]), 0.0), (np.zeros(4), -1.0)]
)
def test_faulty_tables_are_refused(table, std):
    with pytest.raises(ValueError, match=r"table|noise"):
        fit(table, std)


@pytest.mark.parametrize(("slope", "intercept"), [(0.0, 0.0), (-1.0, 0.0), (math.nan, 0.0), (1.0, math.inf)])
def test_a_calibration_that_could_turn_ranks_is_refused(slope, intercept):
    with pytest.raises(ValueError, match="slope"):
        Calibration(slope, intercept)
