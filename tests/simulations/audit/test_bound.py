"""The two tests of one run: sound where the claim is true, and sharp enough to be of use."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, norm

from sealscore.shared.dp.accountant import PldAccountant
from sealscore.shared.dp.events import SampledGaussian
from sealscore.simulations.audit.bound import (
    TradeoffCurve,
    curve_epsilon,
    curve_rejected,
    one_run_epsilon,
    one_run_p_value,
)

GAUSSIAN = SampledGaussian(noise_multiplier=2.0, sample_rate=1.0, count=1)


def least_right(guesses: int, rejects) -> int:
    """The smallest number of right guesses at which a test rejects; more are rejected too."""
    found = [right for right in range(guesses + 1) if rejects(right)]
    assert found == list(range(found[0], guesses + 1))
    return found[0]


class TestOneRun:
    """Steinke et al. 2023."""

    def test_all_right_without_delta_is_the_binomial_tail(self):
        # accuracy^100 = 0.05 at the bound.
        bound = one_run_epsilon(1000, 100, 100, 0.0, 0.05)
        assert (1 / (1 + math.exp(-bound))) ** 100 == pytest.approx(0.05, rel=1e-3)

    @given(st.integers(1, 12), st.data())
    def test_the_p_value_is_that_of_the_theorem_written_out(self, guesses: int, data: st.DataObject):
        right, delta = data.draw(st.integers(0, guesses)), data.draw(st.floats(0, 1e-2))
        epsilon, canaries = data.draw(st.floats(0, 4)), guesses + data.draw(st.integers(0, 30))
        accuracy = math.exp(epsilon) / (1 + math.exp(epsilon))
        chances = [math.comb(guesses, k) * accuracy**k * (1 - accuracy) ** (guesses - k) for k in range(guesses + 1)]
        worst = max([sum(chances[right - i : right]) / i for i in range(1, right + 1)], default=0.0)
        expected = min(1.0, sum(chances[right:]) + 2 * canaries * delta * worst)
        assert one_run_p_value(canaries, guesses, right, epsilon, delta) == pytest.approx(expected, rel=1e-9, abs=1e-12)

    @pytest.mark.parametrize("epsilon", [0.1, 1.0, 3.0])
    def test_randomized_response_is_rejected_as_often_as_allowed_and_hardly_less(self, epsilon: float):
        accuracy = 1 / (1 + math.exp(-epsilon))
        needed = least_right(200, lambda right: one_run_epsilon(1000, 200, right, 0.0, 0.05) > epsilon)
        assert binom.sf(needed - 1, 200, accuracy) <= 0.05 < binom.sf(needed - 2, 200, accuracy)

    def test_coins_alone_bound_nothing(self):
        assert one_run_epsilon(1000, 600, 300, 1e-5, 0.05) == 0.0

    @pytest.mark.parametrize("counts", [(100, 50, 51), (100, 101, 3), (100, 50, -1)])
    def test_impossible_counts_are_refused(self, counts: tuple[int, int, int]):
        with pytest.raises(ValueError, match="there can be none such"):
            one_run_p_value(*counts, 1.0, 1e-5)
        with pytest.raises(ValueError, match="there can be none such"):
            curve_rejected(TradeoffCurve.of(GAUSSIAN), *counts, 0.05)


class TestCurve:
    """Mahloujifar et al. 2024."""

    def test_the_curve_of_a_gaussian_lies_below_the_true_one_and_close_to_it(self):
        curve = TradeoffCurve.of(GAUSSIAN)
        for probability in np.linspace(0.01, 0.99, 25):
            true = norm.cdf(norm.ppf(probability) - 1 / GAUSSIAN.noise_multiplier)
            assert true - 0.01 < curve.least(float(probability)) <= true + 1e-9

    def test_nothing_follows_from_nothing(self):
        curve = TradeoffCurve.of(GAUSSIAN)
        assert curve.least(0.0) == 0.0
        assert curve.least(1.0) == pytest.approx(1 - np.min(curve.deltas))

    @pytest.mark.parametrize("epsilon", [0.5, 2.0])
    def test_randomized_response_is_rejected_no_more_often_than_allowed(self, epsilon: float):
        curve = TradeoffCurve(np.array([epsilon]), np.array([0.0]))
        needed = least_right(200, lambda right: curve_rejected(curve, 200, 200, right, 0.05))
        accuracy = 1 / (1 + math.exp(-epsilon))
        assert 0.001 < binom.sf(needed - 1, 200, accuracy) <= 0.05

    @pytest.mark.parametrize(("canaries", "guesses"), [(1000, 200), (3000, 600)])
    def test_a_gaussian_is_rejected_no_more_often_than_allowed(self, canaries: int, guesses: int):
        curve = TradeoffCurve.of(GAUSSIAN)
        needed = least_right(guesses, lambda right: curve_rejected(curve, canaries, guesses, right, 0.05))
        right = np.array([self._guessed(canaries, guesses, 1 / GAUSSIAN.noise_multiplier, s) for s in range(2000)])
        assert np.mean(right >= needed) <= 0.05
        # And half of the noise is found.
        leaky = np.array([self._guessed(canaries, guesses, 2 / GAUSSIAN.noise_multiplier, s) for s in range(100)])
        assert np.mean(leaky >= needed) > 0.5

    def test_the_bound_is_below_the_truth_and_above_that_of_one_run(self):
        truth = PldAccountant().epsilon([GAUSSIAN], 1e-5)
        right = self._guessed(3000, 600, 1 / GAUSSIAN.noise_multiplier, 0)
        bound = curve_epsilon(GAUSSIAN, 3000, 600, right, 1e-5, 0.05)
        assert one_run_epsilon(3000, 600, right, 1e-5, 0.05) < bound < truth

    def test_the_bound_exceeds_the_claim_where_the_claim_is_rejected(self):
        truth = PldAccountant().epsilon([GAUSSIAN], 1e-5)
        curve = TradeoffCurve.of(GAUSSIAN)
        needed = least_right(60, lambda right: curve_rejected(curve, 300, 60, right, 0.05))
        assert curve_epsilon(GAUSSIAN, 300, 60, needed - 1, 1e-5, 0.05) < truth
        assert curve_epsilon(GAUSSIAN, 300, 60, needed, 1e-5, 0.05) >= truth

    def test_coins_alone_bound_nothing(self):
        assert curve_epsilon(GAUSSIAN, 1000, 600, 300, 1e-5, 0.05) == 0.0

    @staticmethod
    def _guessed(canaries: int, guesses: int, mean: float, seed: int) -> int:
        """Right guesses where a canary that is in has a score of this mean, and each score has unit noise."""
        random = np.random.default_rng(seed)
        coins = random.integers(0, 2, canaries).astype(bool)
        order = np.argsort(coins * mean + random.standard_normal(canaries))
        return int(coins[order[-guesses // 2 :]].sum() + (~coins[order[: guesses // 2]]).sum())
