"""Fairness figures: exact on tables without noise, honest about their errors on noisy ones."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealscore.compliance.run_figures.fairness import (
    MAX_STANDARD_ERROR,
    MIN_RECORDS,
    BandFigures,
    Cutoff,
    Estimate,
    approved_share,
    cutoff,
    fairness,
    simultaneous,
)
from sealscore.shared.model.calibration import Calibration
from sealscore.shared.model.released.table_posterior import TablePosterior
from sealscore.shared.model.score_grid import cell_edges, cell_logits

CELLS = 8
EVEN = Calibration()


def table(good: list[float], bad: list[float]) -> np.ndarray:
    return np.array([*good, *bad], dtype=np.float64)


# 1000 loans, 800 good; with four cells approved: 600 of the good and 50 of the bad.
FIRST = table([200, 200, 100, 100, 100, 50, 25, 25], [10, 10, 10, 20, 30, 40, 40, 40])
# 500 loans, 400 good; with four cells approved: 200 of the good and 50 of the bad.
SECOND = table([50, 50, 50, 50, 50, 50, 50, 50], [5, 15, 15, 15, 20, 10, 10, 10])
CUT = Cutoff(4, float(cell_edges(CELLS)[3]), 0.5)


def posterior(counts: np.ndarray, noise: float = 0.0, seed: int = 0) -> TablePosterior:
    return TablePosterior.of(counts, noise, EVEN, draws=200, seed=seed)


def judged(
    tables: dict[str, np.ndarray], cut: Cutoff, noise: float = 0.0, compared: int = 1
) -> tuple[BandFigures, ...]:
    draws = {name: posterior(counts, noise, place) for place, (name, counts) in enumerate(tables.items())}
    return fairness(draws, cut, EVEN, compared)


class TestCutoff:
    def test_it_lies_at_the_edge_nearest_to_the_rate(self):
        # Shares up to each edge: 0.21, 0.42, 0.53, 0.65, 0.78, 0.87, 0.935.
        for rate, cells in ((0.01, 1), (0.47, 2), (0.6, 4), (0.7, 4), (0.72, 5), (0.99, 7)):
            found = cutoff(posterior(FIRST), rate, EVEN)
            assert found.cells == cells
            assert found.logit == cell_edges(CELLS)[cells - 1]
            assert found.pd == pytest.approx(1 / (1 + math.exp(-found.logit)))

    def test_the_pd_is_the_calibrated_one(self):
        found = cutoff(posterior(FIRST), 0.65, Calibration(0.5, -1.0))
        assert found.pd == pytest.approx(1 / (1 + math.exp(1.0 - 0.5 * found.logit)))

    def test_a_table_of_noise_alone_has_one_too(self):
        noise = np.random.default_rng(0).normal(-3, 5, 2 * CELLS)
        assert 1 <= cutoff(posterior(noise, 5.0), 0.8, EVEN).cells < CELLS

    @pytest.mark.parametrize("rate", [0.0, 1.0])
    def test_what_is_no_rate_is_refused(self, rate: float):
        with pytest.raises(ValueError, match="approval rate between 0 and 1"):
            cutoff(posterior(FIRST), rate, EVEN)


class TestWithoutNoise:
    def figures(self) -> dict[str, object]:
        return {band.band: band for band in judged({"a": FIRST, "b": SECOND}, CUT)}

    def test_the_figures_are_the_exact_ones(self):
        first, second = self.figures()["a"], self.figures()["b"]
        assert first.approved.value == pytest.approx(0.65)
        assert second.approved.value == pytest.approx(0.5)
        assert first.good_approved.value == pytest.approx(600 / 800)
        assert second.good_approved.value == pytest.approx(200 / 400)
        assert first.bad_refused.value == pytest.approx(150 / 200)
        assert second.bad_refused.value == pytest.approx(50 / 100)
        assert (first.records.value, first.records.standard_error) == (1000, 0)

    def test_the_group_with_the_highest_rate_is_the_reference(self):
        first, second = self.figures()["a"], self.figures()["b"]
        assert first.reference
        assert (first.ratio, first.good_gap, first.bad_gap) == (None, None, None)
        assert first.verdict == "reference"
        assert not second.reference
        assert second.ratio.value == pytest.approx(0.5 / 0.65)
        assert second.good_gap.value == pytest.approx(0.5 - 0.75)
        assert second.bad_gap.value == pytest.approx(0.5 - 0.75)

    def test_the_calibration_gap_is_bad_rate_less_mean_pd(self):
        pd = EVEN.pd(cell_logits(CELLS))
        for band, counts in zip(self.figures().values(), (FIRST, SECOND), strict=True):
            good, bad = np.split(counts, 2)
            assert band.calibration_gap.value == pytest.approx(
                bad.sum() / counts.sum() - pd @ (good + bad) / counts.sum()
            )

    def test_without_noise_no_interval_has_a_width_and_sampling_is_that_of_a_binomial(self):
        for band, records in zip(self.figures().values(), (1000, 500), strict=True):
            rate = band.approved.value
            assert band.approved.low == band.approved.high == rate
            assert band.approved.sampling_error == pytest.approx(math.sqrt(rate * (1 - rate) / records))

    def test_differences_and_ratios_carry_the_errors_of_both(self):
        first, second = self.figures()["a"], self.figures()["b"]
        errors = first.good_approved.sampling_error, second.good_approved.sampling_error
        assert second.good_gap.sampling_error == pytest.approx(math.hypot(*errors))
        relative = [band.approved.sampling_error / band.approved.value for band in (first, second)]
        assert second.ratio.sampling_error / second.ratio.value == pytest.approx(math.hypot(*relative))

    @given(
        st.lists(st.lists(st.integers(10, 500), min_size=16, max_size=16), min_size=1, max_size=4), st.integers(1, 7)
    )
    def test_groups_add_up_to_all(self, rows: list[list[int]], cells: int):
        tables = {str(place): np.array(row, dtype=np.float64) for place, row in enumerate(rows)}
        cut = Cutoff(cells, 0.0, 0.5)
        bands = judged(tables, cut)
        whole = approved_share(posterior(sum(tables.values())), cut)
        parts = sum(band.approved.value * band.records.value for band in bands)
        assert parts == pytest.approx(whole.value * sum(band.records.value for band in bands))
        assert sum(band.reference for band in bands) == 1
        best = next(band for band in bands if band.reference)
        assert all(band.approved.value <= best.approved.value for band in bands)


class TestVerdicts:
    def of(self, share: float, records: int, noise: float = 0.0) -> str:
        """The verdict on a group of which a share is approved, beside a large one of which 90 % are."""
        approved, refused = round(records * share), records - round(records * share)
        tables = {
            "large": table([90_000, 0, 0, 0, 10_000, 0, 0, 0], [0] * 8),
            "group": table([approved, 0, 0, 0, refused, 0, 0, 0], [0] * 8),
        }
        return next(b for b in judged(tables, CUT, noise) if b.band == "group").verdict

    def test_what_can_be_said(self):
        assert self.of(0.60, 2000) == "below four fifths"
        assert self.of(0.85, 2000) == "at least four fifths"
        assert self.of(0.72, 2000) == "cannot tell"
        assert self.of(0.60, 60) == "cannot tell"
        assert self.of(0.60, 20) == "too few to tell"

    def test_noise_takes_a_verdict_back(self):
        assert self.of(0.65, 2000, noise=1.0) == "below four fifths"
        assert self.of(0.65, 2000, noise=60.0) == "cannot tell"
        assert self.of(0.65, 2000, noise=200.0) == "too few to tell"


class TestTooFew:
    def test_few_records_tell_nothing(self):
        few = SECOND * (MIN_RECORDS - 1) / SECOND.sum()
        band = judged({"few": few}, CUT)[0]
        assert (band.approved, band.good_approved, band.bad_refused, band.calibration_gap) == (None,) * 4
        assert not band.reference
        assert band.verdict == "too few to tell"

    def test_a_wide_interval_tells_nothing(self):
        small = table([10, 10, 0, 0, 10, 10, 0, 0], [0] * 8)
        assert approved_share(posterior(small), CUT).standard_error < MAX_STANDARD_ERROR
        assert approved_share(posterior(small, 8.0), CUT) is None

    def test_without_a_group_that_can_be_told_there_is_no_reference(self):
        bands = judged({"a": FIRST, "b": SECOND}, CUT, 500.0)
        assert [band.verdict for band in bands] == ["too few to tell"] * 2
        assert not any(band.reference for band in bands)

    def test_a_group_names_the_size_from_which_it_is_told(self):
        small, large = judged({"small": SECOND / 100, "large": FIRST * 100}, CUT, 10.0)
        assert small.records.value < small.least
        assert large.records.value > large.least >= MIN_RECORDS


class TestMultiplicity:
    def test_intervals_widen_with_the_comparisons(self):
        assert simultaneous(1) == pytest.approx(1.959964)
        assert simultaneous(10) == pytest.approx(2.807034)
        one, many = (judged({"a": FIRST, "b": SECOND}, CUT, 4.0, compared)[1].ratio for compared in (1, 10))
        assert (many.high - many.value) / (one.high - one.value) == pytest.approx(2.807034 / 1.959964)

    def test_a_verdict_holds_noise_and_sampling(self):
        estimate = Estimate(0.75, 0.01, 0.04, 2.0)
        assert estimate.high < 0.8 < estimate.value + estimate.half_with_sampling
        band = BandFigures("a", False, estimate, 30.0, None, estimate, None, None, None, None, None)
        assert band.verdict == "cannot tell"


class TestErrors:
    """Many draws of noise on the same persons: errors are as large as they say, and intervals cover the exact."""

    NOISE, TIMES = 6.0, 200

    def test_errors_are_as_large_as_they_say(self):
        random, exact = np.random.default_rng(1), {"a": FIRST * 3, "b": SECOND * 3}
        truth = {band.band: band for band in judged(exact, CUT)}
        found: dict[str, list[Estimate]] = {}
        for _ in range(self.TIMES):
            noisy = {name: counts + random.normal(0, self.NOISE, 2 * CELLS) for name, counts in exact.items()}
            for band in judged(noisy, CUT, self.NOISE):
                for figure in ("approved", "good_approved", "bad_refused", "calibration_gap", "ratio", "good_gap"):
                    if (estimate := getattr(band, figure)) is not None:
                        found.setdefault(f"{band.band} {figure}", []).append(estimate)
        assert set(found) >= {"a approved", "b ratio", "b good_gap", "b bad_refused", "a calibration_gap"}
        for name, drawn in found.items():
            known = getattr(truth[name[0]], name[2:]).value
            values = np.array([estimate.value for estimate in drawn])
            stated = np.mean([estimate.standard_error for estimate in drawn])
            assert values.std() == pytest.approx(stated, rel=0.25), name
            assert values.mean() == pytest.approx(known, abs=0.4 * stated), name
            covered = np.mean([estimate.low <= known <= estimate.high for estimate in drawn])
            assert 0.9 <= covered <= 0.99, name
