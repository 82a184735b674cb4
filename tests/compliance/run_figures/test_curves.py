"""Curves from tables: exact without noise; with noise their bands cover the truth about as often as they say."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import roc_auc_score, roc_curve

from sealscore.compliance.run_figures.curves import Draws
from sealscore.shared.model.calibration import Calibration
from sealscore.shared.model.score_model import points
from sealscore.shared.model.score_table import TableMetrics, score_table

CELLS = 32


def population(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    logits = random.normal(-1.5, 1.2, n)
    return logits, (random.random(n) < expit(logits)).astype(np.int8)


def drawn(n: int = 6000, seed: int = 0, noise: float = 0.0, cells: int = CELLS, draws: int = 100) -> Draws:
    counts = score_table(*population(n, seed), cells).astype(np.float64)
    noisy = counts + np.random.default_rng([seed, 1]).normal(0, noise, counts.shape)
    return Draws.of(noisy, noise, Calibration(), draws)


def test_without_noise_the_roc_is_the_exact_one():
    logits, labels = population(60_000, 3)
    false_rate, true_rate, _ = roc_curve(labels, logits)
    curve = drawn(60_000, 3, cells=256, draws=20).roc()
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
    metrics = TableMetrics.of(found.table, found.calibration)
    assert float((bad.y - good.y).max()) == pytest.approx(metrics.ks)


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
    assert ((curve.low <= curve.x) & (curve.x <= curve.high)).mean() >= 0.7


def test_calibration_points_that_noise_swamps_are_left_out():
    assert len(drawn(600, 1, noise=100.0).calibration_points().x) < 5


def test_intervals_hold_noise_and_sampling():
    """Over many populations and noises, the AUC's interval covers what the whole population gives."""
    truth = roc_auc_score(*population(400_000, 99)[::-1])
    covered, widths = [], {}
    for noise in (0.0, 8.0):
        for seed in range(60):
            found = drawn(3000, seed, noise, draws=60)
            half = found.errors()["auc"]
            auc = TableMetrics.of(found.table, found.calibration, noise).auc
            covered.append(abs(auc - truth) <= half)
            widths.setdefault(noise, []).append(half)
    assert 0.88 <= np.mean(covered) <= 0.99
    assert np.mean(widths[8.0]) > 1.3 * np.mean(widths[0.0])


def test_bands_lie_around_their_curve():
    for curve in (drawn(noise=6.0).roc(), *drawn(noise=6.0).cumulative(), *drawn(noise=6.0).density()):
        assert ((curve.low >= 0) & (curve.high <= 1) & (curve.low <= curve.high)).all()
        inner = (curve.y > 0.05) & (curve.y < 0.95)
        assert (curve.low[inner] <= curve.y[inner]).all()
        assert (curve.y[inner] <= curve.high[inner]).all()


def test_the_same_table_gives_the_same_curves():
    first, second = (drawn(noise=5.0).roc() for _ in range(2))
    assert np.array_equal(first.low, second.low)
    assert np.array_equal(first.high, second.high)


def test_where_noise_leaves_nothing_no_error_is_told():
    assert set(drawn(50, 0, noise=200.0).errors().values()) >= {None}
    assert drawn(50, 0, noise=200.0).errors()["auc"] is None
