"""Curves from tables: exact without noise; with noise their bands cover the truth about as often as they say."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import roc_auc_score, roc_curve

from sealscore.compliance.run_figures.curves import Curves
from sealscore.shared.model.calibration import Calibration
from sealscore.shared.model.released.table_figures import TableFigures
from sealscore.shared.model.released.table_posterior import TablePosterior
from sealscore.shared.model.score_model import points
from sealscore.shared.model.score_table import score_table

CELLS = 32


def population(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    logits = random.normal(-1.5, 1.2, n)
    return logits, (random.random(n) < expit(logits)).astype(np.int8)


def noisy(n: int, seed: int, noise: float, cells: int) -> np.ndarray:
    counts = score_table(*population(n, seed), cells).astype(np.float64)
    return counts + np.random.default_rng([seed, 1]).normal(0, noise, counts.shape)


def drawn(n: int = 6000, seed: int = 0, noise: float = 0.0, cells: int = CELLS, draws: int = 100) -> Curves:
    posterior = TablePosterior.of(noisy(n, seed, noise, cells), noise, Calibration(), draws=draws)
    return Curves(posterior, Calibration())


def test_without_noise_the_roc_is_the_exact_one():
    logits, labels = population(60_000, 3)
    false_rate, true_rate, _ = roc_curve(labels, logits)
    curve = drawn(60_000, 3, cells=256).roc()
    assert curve.y == pytest.approx(np.interp(curve.x, false_rate, true_rate), abs=0.01)
    area = float(((curve.y[1:] + curve.y[:-1]) / 2 * np.diff(curve.x)).sum())
    assert area == pytest.approx(roc_auc_score(labels, logits), abs=0.003)


def test_cumulative_shares_end_at_one_and_their_distance_is_ks():
    found = drawn()
    good, bad = found.cumulative()
    for curve in (good, bad):
        assert (curve.y[0], curve.y[-1]) == (0, pytest.approx(1))
        assert (np.diff(curve.y) >= 0).all()
        assert (np.diff(curve.x) > 0).all()
    figures = TableFigures.of(noisy(6000, 0, 0.0, CELLS), Calibration())
    assert float((bad.y - good.y).max()) == pytest.approx(figures.ks.value, abs=0.005)


def test_densities_are_shares_of_each_kind_by_points():
    logits, labels = population(6000, 0)
    good, bad = drawn().density()
    for curve, kind in ((good, 0), (bad, 1)):
        assert curve.y[:-1].sum() == pytest.approx(1)
        of_kind = points(expit(logits[labels == kind]))
        within = (of_kind >= curve.x[10]) & (of_kind < curve.x[11])
        assert curve.y[10] == pytest.approx(within.mean(), abs=1e-9)


def test_calibration_points_of_calibrated_scores_lie_on_the_line():
    curve = drawn(50_000, 5).calibration_points()
    assert 6 <= len(curve.x) <= 10
    assert curve.y == pytest.approx(curve.x, abs=0.02)
    assert np.array_equal(curve.low, curve.high)


def test_calibration_points_that_noise_swamps_are_left_out():
    assert len(drawn(600, 1, noise=100.0).calibration_points().x) < 5


def test_bands_cover_the_exact_curve_of_the_same_persons():
    logits, labels = population(6000, 0)
    counts = score_table(logits, labels, 12).astype(np.float64)
    refused, caught, _ = roc_curve(labels, logits)
    covered = []
    for seed in range(60):
        table = counts + np.random.default_rng(seed).normal(0, 8.0, 24)
        curve = Curves(TablePosterior.of(table, 8.0, Calibration(), draws=150), Calibration()).roc()
        inner = slice(10, 90, 8)
        exact = np.interp(curve.x[inner], refused, caught)
        covered.append((curve.low[inner] <= exact) & (exact <= curve.high[inner]))
    assert 0.88 <= np.mean(covered) <= 0.995


def test_bands_lie_around_their_curve():
    for curve in (drawn(noise=6.0).roc(), *drawn(noise=6.0).cumulative(), *drawn(noise=6.0).density()):
        assert ((curve.low >= 0) & (curve.high <= 1 + 1e-9) & (curve.low <= curve.high)).all()
        inner = (curve.y > 0.05) & (curve.y < 0.95)
        assert (curve.low[inner] <= curve.y[inner]).all()
        assert (curve.y[inner] <= curve.high[inner]).all()


def test_the_same_table_gives_the_same_curves():
    first, second = (drawn(noise=5.0).roc() for _ in range(2))
    assert np.array_equal(first.low, second.low)
    assert np.array_equal(first.high, second.high)
