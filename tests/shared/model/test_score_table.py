import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.metrics import brier_score_loss, roc_auc_score, roc_curve

from sealscore.shared.model.calibration import Calibration
from sealscore.shared.model.score_grid import cell_edges, cell_logits
from sealscore.shared.model.score_table import TableMetrics, score_table


def population(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    logits = draw.normal(-1.5, 1.0, n)
    return logits, (draw.random(n) < expit(logits)).astype(np.int8)


def test_every_record_stands_in_one_cell_of_its_label():
    edges = cell_edges(9)
    assert np.allclose(edges, np.arange(-4, 4))
    table = score_table(np.array([-99.0, -4.0, np.nextafter(-4.0, 0), 3.0, 99.0]), np.array([0, 0, 0, 1, 1]), 9)
    assert table.dtype == np.int64
    assert table.tolist() == [2, 1, *[0] * 14, 1, 1]
    assert np.allclose(cell_logits(9), np.arange(-4.5, 4))


@given(st.lists(st.tuples(st.floats(), st.integers(0, 1)), min_size=1, max_size=30), st.integers(2, 64))
def test_one_record_changes_one_cell_by_one(records, cells):
    logits, labels = np.array([r[0] for r in records]), np.array([r[1] for r in records], dtype=np.int8)
    difference = score_table(logits, labels, cells) - score_table(logits[1:], labels[1:], cells)
    assert sorted(difference) == [0] * (2 * cells - 1) + [1]


def test_an_empty_part_has_an_empty_table():
    assert score_table(np.zeros(0), np.zeros(0, dtype=np.int8), 8).tolist() == [0] * 16


@pytest.mark.parametrize(
    ("logits", "labels", "word"), [(np.zeros(2), np.zeros(3), "one length"), (np.zeros(2), np.array([0, 2]), "good")]
)
def test_faulty_input_is_refused(logits, labels, word):
    with pytest.raises(ValueError, match=word):
        score_table(logits, labels, 8)


def test_figures_of_a_table_without_noise_are_the_exact_ones():
    logits, labels = population(60_000)
    found = TableMetrics.of(score_table(logits, labels, 128).astype(float), Calibration())
    false_rate, true_rate, _ = roc_curve(labels, logits)
    assert found.auc == pytest.approx(roc_auc_score(labels, logits), abs=0.001)
    assert found.ks == pytest.approx(np.max(true_rate - false_rate), abs=0.005)
    assert found.brier == pytest.approx(brier_score_loss(labels, expit(logits)), abs=0.001)
    assert found.bad_rate == pytest.approx(labels.mean())
    assert found.records == 60_000
    assert found.ece < 0.006


def test_a_wrong_calibration_shows():
    logits, labels = population(60_000)
    table = score_table(logits, labels, 64).astype(float)
    found = TableMetrics.of(table, Calibration(1.0, 0.5))
    expected = abs(expit(logits + 0.5) - expit(logits)).mean()
    assert found.ece == pytest.approx(expected, abs=0.006)
    assert found.auc == TableMetrics.of(table, Calibration()).auc


def test_noise_leaves_the_figures_about_right():
    logits, labels = population(6000)
    table, std = score_table(logits, labels, 32).astype(float), 8.0
    exact = TableMetrics.of(table, Calibration())
    noisy = [
        TableMetrics.of(table + np.random.default_rng(seed).normal(0, std, 64), Calibration(), std)
        for seed in range(200)
    ]
    assert np.mean([n.auc for n in noisy]) == pytest.approx(exact.auc, abs=0.003)
    assert np.mean([n.brier for n in noisy]) == pytest.approx(exact.brier, abs=0.002)
    assert np.mean([n.ks for n in noisy]) == pytest.approx(exact.ks, abs=0.02)
    assert np.mean([n.ece for n in noisy]) == pytest.approx(exact.ece, abs=0.005)


@pytest.mark.parametrize("table", [np.zeros(64), np.full(64, -5.0), np.append(np.full(32, 100.0), np.zeros(32))])
def test_figures_that_the_noise_hides_are_not_given(table):
    found = TableMetrics.of(table, Calibration(), 3.0)
    assert (found.auc, found.ks, found.brier, found.ece, found.bad_rate) == (None,) * 5
    assert found.records >= 0
    assert set(found.as_dict()) == {"auc", "ks", "brier", "ece", "bad_rate", "records"}


@given(st.integers(0, 10**6), st.floats(0, 300))
def test_figures_of_any_noise_stay_in_their_range(seed, std):
    logits, labels = population(500, seed)
    table = score_table(logits, labels, 16) + np.random.default_rng(seed).normal(0, std, 32)
    for name, value in TableMetrics.of(table, Calibration(), std).as_dict().items():
        assert value is None or (math.isfinite(value) and value >= 0 and (name == "records" or value <= 1))
