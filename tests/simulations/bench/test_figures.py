"""The benchmark of the protocol's own figures: its exact tables are those that lenders count."""

from __future__ import annotations

import numpy as np
import pytest
from builders import small_federation, small_plan
from scipy.special import expit

from sealscore.shared.model.calibration import Calibration
from sealscore.shared.model.released.score_tables import ScoreTables
from sealscore.shared.model.score_table import score_table
from sealscore.simulations.bench.figures.redraws import coverage, exact_tables, group_coverage
from sealscore.simulations.experiments.oracle import Oracle, figures, pooled_labels


def population() -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(0)
    logits = draw.normal(-1.2, 1.0, 5000)
    return logits, (draw.random(5000) < expit(logits)).astype(np.int8)


def tables() -> ScoreTables:
    logits, labels = population()
    first = np.random.default_rng(1).random(5000) < 0.4
    bands = {"1": score_table(logits[first], labels[first], 12), "2": score_table(logits[~first], labels[~first], 12)}
    counts = {key: table.astype(np.float64) for key, table in bands.items()}
    return ScoreTables(score_table(logits, labels, 12).astype(np.float64), {"sex": counts}, 6.0, 9.0)


def test_bands_of_exact_tables_sum_to_all_and_have_the_plans_noise():
    plan, records = small_plan(evaluation__overall_share=0.6), small_federation()
    oracle = Oracle(plan, records)
    labels = pooled_labels(oracle.test)
    logits = np.random.default_rng(0).normal(-1, 1, len(labels))
    found = exact_tables(plan, oracle, logits, labels)
    assert found.overall.sum() == len(labels)
    for bands in found.bands.values():
        assert np.array_equal(np.sum(list(bands.values()), axis=0), found.overall)
    assert 0 < found.noise_std < found.band_noise_std


def test_coverage_of_figures_and_groups():
    logits, labels = population()
    truth = figures(labels, expit(logits))
    found = coverage(tables(), truth, Calibration(), redraws=40)
    assert found["auc.told"] == 1
    assert abs(found["auc.bias"]) < 0.006
    assert found["auc.covered"] >= 0.85
    assert found["auc.half"] == pytest.approx(2 * found["auc.sd"], rel=0.5)
    groups = group_coverage(tables(), 0.8, Calibration(), redraws=30)
    assert groups["groups.covered_at_once"] >= 0.8
    assert groups["groups.told"] > 0.9
