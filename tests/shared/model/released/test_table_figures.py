"""Figures of noisy tables: exact without noise, and with it in intervals that hold as often as they say."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.metrics import brier_score_loss, roc_auc_score, roc_curve

from sealscore.shared.model.calibration import Calibration
from sealscore.shared.model.released.table_figures import WIDEST, Figure, TableFigures
from sealscore.shared.model.released.table_posterior import TablePosterior
from sealscore.shared.model.score_table import score_table
from sealscore.simulations.experiments.oracle import figures

METRICS = ("auc", "ks", "brier", "ece")


def population(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    logits = draw.normal(-1.5, 1.1, n)
    return logits, (draw.random(n) < expit(logits)).astype(np.int8)


def table_of(n: int, cells: int, seed: int = 0) -> np.ndarray:
    return score_table(*population(n, seed), cells).astype(np.float64)


def redrawn(table: np.ndarray, std: float, draws: int, calibration: Calibration | None = None) -> list[TableFigures]:
    random = np.random.default_rng(1)
    noisy = (table + random.normal(0, std, len(table)) for _ in range(draws))
    return [TableFigures.of(one, calibration or Calibration(), std, draws=200) for one in noisy]


def shown(found: TableFigures) -> dict[str, Figure | None]:
    return {name: getattr(found, name) for name in (*METRICS, "bad_rate")}


class TestWithoutNoise:
    @pytest.mark.parametrize("cells", [12, 32, 128, 300])
    def test_figures_are_about_exact_at_any_number_of_cells(self, cells: int):
        logits, labels = population(60_000)
        found = TableFigures.of(table_of(60_000, cells), Calibration())
        false_rate, true_rate, _ = roc_curve(labels, logits)
        assert found.auc.value == pytest.approx(roc_auc_score(labels, logits), abs=0.001)
        assert found.ks.value == pytest.approx(np.max(true_rate - false_rate), abs=0.005)
        assert found.brier.value == pytest.approx(brier_score_loss(labels, expit(logits)), abs=0.001)
        assert found.bad_rate.value == pytest.approx(labels.mean())
        assert found.records.value == 60_000
        assert found.ece.value < 0.006

    def test_intervals_have_no_width(self):
        found = TableFigures.of(table_of(6000, 32), Calibration())
        for figure in (*shown(found).values(), found.records):
            assert figure.low == figure.value == figure.high

    def test_a_wrong_calibration_shows(self):
        logits, table = population(60_000)[0], table_of(60_000, 64)
        found = TableFigures.of(table, Calibration(1.0, 0.5))
        assert found.ece.value == pytest.approx(abs(expit(logits + 0.5) - expit(logits)).mean(), abs=0.006)
        assert found.auc.value == pytest.approx(TableFigures.of(table, Calibration()).auc.value, abs=1e-3)


class TestIntervals:
    @pytest.mark.parametrize(("cells", "std"), [(12, 8.0), (32, 8.0), (12, 30.0)])
    def test_they_cover_the_exact_figures_of_the_same_persons(self, cells: int, std: float):
        logits, labels = population(6000)
        truth = figures(labels, expit(logits))
        found = redrawn(table_of(6000, cells), std, 100)
        for name in METRICS:
            told = [figure for one in found if (figure := getattr(one, name)) is not None]
            assert len(told) > 90, name
            covered = np.mean([figure.low <= truth[name] <= figure.high for figure in told])
            # One standard deviation of 100 trials at 0.95 is 0.022.
            assert covered >= 0.87, name
        values = np.array([one.auc.value for one in found if one.auc is not None])
        stated = np.mean([one.auc.half for one in found if one.auc is not None])
        assert abs(values.mean() - truth["auc"]) < 0.35 * values.std() + 0.001
        assert 1.4 * values.std() < stated < 3 * values.std()

    def test_a_ranking_without_signal_is_told_as_none(self):
        logits, _ = population(6000)
        labels = (np.random.default_rng(5).random(6000) < 0.25).astype(np.int8)
        truth = roc_auc_score(labels, logits)
        found = redrawn(score_table(logits, labels, 12).astype(np.float64), 8.0, 60)
        told = [one.auc for one in found if one.auc is not None]
        assert np.mean([figure.low <= truth <= figure.high for figure in told]) > 0.85
        assert abs(np.mean([figure.value for figure in told]) - truth) < 0.004

    def test_they_hold_the_noise_alone_and_grow_with_it(self):
        halves = [TableFigures.of(table_of(6000, 12), Calibration(), std).auc.half for std in (2.0, 8.0, 32.0)]
        assert halves[0] < 0.7 * halves[1] < 0.4 * halves[2]

    def test_the_same_table_gives_the_same_figures(self):
        first, second = (TableFigures.of(table_of(3000, 12), Calibration(), 5.0).as_dict() for _ in range(2))
        assert first == second


class TestLostInNoise:
    @pytest.mark.parametrize("table", [np.zeros(64), np.full(64, -5.0), np.append(np.full(32, 100.0), np.zeros(32))])
    def test_without_good_or_bad_records_there_is_no_figure(self, table: np.ndarray):
        found = TableFigures.of(table, Calibration(), 3.0)
        assert set(shown(found).values()) == {None}
        assert found.records.low >= 0

    def test_no_interval_is_wider_than_what_tells_something(self):
        table = table_of(600, 32)
        found = redrawn(table, 40.0, 30)
        assert any(one.auc is None for one in found)
        for one in found:
            for name, figure in shown(one).items():
                assert figure is None or figure.half <= WIDEST[name]

    def test_a_record_names_each_figure_and_its_ends(self):
        told = TableFigures.of(table_of(6000, 12), Calibration(), 5.0).as_dict()
        names = {"auc", "ks", "brier", "ece", "bad_rate", "records"}
        assert set(told) == names | {"intervals"}
        assert set(told["intervals"]) == names
        low, high = told["intervals"]["auc"]
        assert low < told["auc"] < high
        assert TableFigures.of(np.zeros(24), Calibration(), 5.0).as_dict()["intervals"]["auc"] is None


@given(st.integers(0, 10**6), st.floats(0, 300), st.sampled_from([8, 16, 100]))
def test_figures_of_any_noise_stay_in_their_range(seed: int, std: float, cells: int):
    table = table_of(500, cells, seed) + np.random.default_rng(seed).normal(0, std, 2 * cells)
    for figure in shown(TableFigures.of(table, Calibration(), std, draws=20)).values():
        if figure is not None:
            assert all(math.isfinite(end) for end in (figure.low, figure.value, figure.high))
            assert 0 <= figure.low <= figure.value <= figure.high <= 1


@pytest.mark.parametrize(
    ("table", "std"),
    [(np.zeros(7), 1.0), (np.zeros(6), 1.0), (np.full(16, math.nan), 1.0), (np.full(16, 100.0), -1.0)],
)
def test_what_is_no_table_or_no_noise_is_refused(table: np.ndarray, std: float):
    with pytest.raises(ValueError, match=r"table has finite counts|noise must be"):
        TablePosterior.of(table, std, Calibration())


class TestSeveralFigures:
    def test_the_mean_of_one_keeps_its_own_interval(self):
        assert Figure.mean([Figure(0.7, 0.6, 0.72)]) == Figure(0.7, pytest.approx(0.6), pytest.approx(0.72))

    def test_independent_noises_average_out(self):
        found = Figure.mean([Figure(0.7, 0.6, 0.9), Figure(0.8, 0.7, 1.0)] * 2)
        assert (found.value, found.low, found.high) == pytest.approx((0.75, 0.70, 0.85))

    def test_there_is_no_mean_of_nothing(self):
        with pytest.raises(ValueError, match="at least one"):
            Figure.mean([])

    def test_a_difference_has_the_noise_of_both(self):
        found = Figure(0.8, 0.77, 0.82).less(Figure(0.7, 0.65, 0.74))
        assert (found.value, found.low, found.high) == pytest.approx((0.1, 0.05, 0.1 + math.hypot(0.02, 0.05)))

    def test_intervals_of_means_and_differences_cover(self):
        exact, other = table_of(6000, 12), table_of(6000, 12, seed=9)
        truth, low = (TableFigures.of(table, Calibration()).auc.value for table in (exact, other))
        first = [one.auc for one in redrawn(exact, 12.0, 80)]
        random = np.random.default_rng(2)
        noisy = (other + random.normal(0, 12.0, 24) for _ in range(80))
        second = [TableFigures.of(one, Calibration(), 12.0, draws=200).auc for one in noisy]
        gaps = [ours.less(theirs) for ours, theirs in zip(first, second, strict=True)]
        assert np.mean([gap.low <= truth - low <= gap.high for gap in gaps]) >= 0.87
        means = [Figure.mean(first[at : at + 4]) for at in range(0, 80, 4)]
        assert np.mean([mean.low <= truth <= mean.high for mean in means]) >= 0.75

    @pytest.mark.parametrize("record", [{}, {"auc": None}, {"auc": 0.98}, {"auc": 0.98, "intervals": {"auc": None}}])
    def test_a_record_without_an_interval_gives_none(self, record: dict[str, object]):
        assert Figure.of_record(record, "auc") is None

    def test_a_record_gives_what_it_keeps(self):
        found = TableFigures.of(table_of(6000, 12), Calibration(), 5.0)
        assert Figure.of_record(found.as_dict(), "auc") == found.auc
