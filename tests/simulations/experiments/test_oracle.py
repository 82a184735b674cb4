"""Exact figures: against definitions by hand, and over all parties' test rows and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from builders import small_federation, small_plan, with_columns
from doubles import DirectExchange, nodes_of
from hypothesis import given
from hypothesis import strategies as st

from sealscore.server.run.run import run_coordinator
from sealscore.shared.model.score_model import ScoreModel
from sealscore.simulations.experiments.oracle import (
    Oracle,
    expected_calibration_error,
    figures,
    pooled_labels,
    pooled_matrix,
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ScoreModel:
    plan = small_plan(privacy__noise="none")
    folder = tmp_path_factory.mktemp("oracle")
    run_coordinator(plan.canonical(), DirectExchange(nodes_of(plan, small_federation())[0]), folder)
    return ScoreModel.load(folder / "model")


def by_pairs(label: np.ndarray, pd: np.ndarray) -> float:
    """AUC as the share of (bad, good) pairs in the right order, ties half."""
    bad, good = pd[label == 1][:, None], pd[label == 0][None, :]
    return float(((bad > good) + 0.5 * (bad == good)).mean())


def by_thresholds(label: np.ndarray, pd: np.ndarray) -> float:
    """KS as the largest gap between the two distributions, over every threshold."""
    return max(float((pd[label == 0] <= cut).mean() - (pd[label == 1] <= cut).mean()) for cut in pd)


class TestFigures:
    @given(seed=st.integers(0, 200), n=st.integers(4, 60), levels=st.integers(2, 30))
    def test_are_their_definitions(self, seed: int, n: int, levels: int):
        random = np.random.default_rng(seed)
        pd = random.integers(0, levels, n) / levels
        label = (random.random(n) < 0.3 + 0.4 * pd).astype(np.int8)
        label[:2] = [0, 1]
        found = figures(label, pd)
        assert found["auc"] == pytest.approx(by_pairs(label, pd))
        assert found["ks"] == pytest.approx(max(0.0, by_thresholds(label, pd)))
        assert found["brier"] == pytest.approx(float(np.mean((pd - label) ** 2)))

    def test_of_a_perfect_and_a_useless_score(self):
        label = np.array([0, 0, 1, 1], dtype=np.int8)
        assert figures(label, np.array([0.1, 0.2, 0.8, 0.9]))["auc"] == 1.0
        assert figures(label, np.array([0.9, 0.8, 0.2, 0.1]))["auc"] == 0.0
        assert figures(label, np.full(4, 0.5)) | {"ece": 0} == {"auc": 0.5, "ks": 0.0, "brier": 0.25, "ece": 0}

    def test_calibration_error_over_ten_equal_masses(self):
        """Tenths with known bad rates and one PD each: the mean of their gaps."""
        pd = np.repeat(np.linspace(0.05, 0.95, 10), 100)
        bad = np.array(
            [round(100 * p) + (5 if tenth % 2 else -5) for tenth, p in enumerate(np.linspace(0.05, 0.95, 10))]
        )
        label = np.concatenate([np.r_[np.ones(k), np.zeros(100 - k)] for k in bad])
        assert expected_calibration_error(label, pd) == pytest.approx(0.05, abs=0.006)
        assert expected_calibration_error(pd.copy(), pd) == 0.0

    def test_calibration_error_is_measured_for_equal_masses_not_equal_widths(self):
        """All PDs in a hair's breadth: one bin of equal width, ten of equal mass, and the error within shows."""
        pd = np.linspace(0.50, 0.5001, 1000)
        label = (np.arange(1000) >= 500).astype(np.float64)
        assert expected_calibration_error(label, pd) == pytest.approx(0.5, abs=0.01)

    def test_order_of_rows_does_not_matter(self):
        random = np.random.default_rng(0)
        pd = random.random(500)
        label = (random.random(500) < pd).astype(np.int8)
        turn = random.permutation(500)
        found = [figures(label, pd), figures(label[turn], pd[turn])]
        assert found[0] == pytest.approx(found[1])


class TestPooling:
    def test_judges_the_test_rows_of_all_parties(self, model: ScoreModel):
        records = small_federation()
        oracle = Oracle(small_plan(), records)
        parts = [part.test_part() for part in records.values()]
        pd = np.concatenate([model.pd(part.columns) for part in parts])
        assert oracle.judge(model, records.values()) == figures(np.concatenate([part.label for part in parts]), pd)
        assert len(pd) == sum(int(part.test.sum()) for part in records.values())

    def test_training_rows_do_not_count(self, model: ScoreModel):
        records = small_federation()
        spoilt = {
            name: with_columns(part, income=np.where(part.test, part.columns["income"], 0.0))
            for name, part in records.items()
        }
        oracle = Oracle(small_plan(), records)
        assert oracle.judge(model, records.values()) == oracle.judge(model, spoilt.values())

    def test_protected_columns_are_left_out(self):
        parts = [part.training_part() for part in small_federation().values()]
        matrix = pooled_matrix(small_plan(), parts)
        assert matrix.shape == (len(pooled_labels(parts)), 3)
        assert np.array_equal(matrix[:, 0], np.concatenate([part.columns["income"] for part in parts]))

    def test_named_columns_of_lenders_are_left_out(self):
        parts = [part.training_part() for part in small_federation().values()]
        whole, less = (pooled_matrix(small_plan(), parts, without) for without in ((), ("income",)))
        assert np.array_equal(less, whole[:, 1:], equal_nan=True)

    def test_the_folder_of_a_run_is_enough(self, model: ScoreModel, tmp_path: Path):
        model.save(tmp_path / "model")
        records = small_federation()
        oracle = Oracle(small_plan(), records)
        loaded = ScoreModel.load(tmp_path / "model")
        assert oracle.judge(loaded, records.values()) == oracle.judge(model, records.values())
