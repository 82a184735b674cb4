"""The bounds on a membership attacker, against a search over all tests that an (epsilon, delta) claim allows."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealscore.shared.dp.membership import BASE_RATES, least_believed, most_believed, precision, success

epsilons = st.floats(0, 20)
rates = st.floats(0.001, 0.999)
deltas = st.floats(0, 0.1)


def allowed(epsilon: float, delta: float, a: np.ndarray) -> np.ndarray:
    """The most true positives at each share of false positives: both inequalities of the claim."""
    return np.minimum(np.minimum(np.exp(epsilon) * a + delta, 1 - np.exp(-epsilon) * (1 - delta - a)), 1.0)


@pytest.mark.parametrize("epsilon", [0.0, 0.5, 1.0, 3.0])
@pytest.mark.parametrize("delta", [0.0, 1e-5, 0.05])
@pytest.mark.parametrize("rate", [*BASE_RATES, 0.9])
def test_the_best_guess_is_the_best_of_all_tests(epsilon: float, delta: float, rate: float):
    a = np.linspace(0, 1, 200_001)
    right = rate * allowed(epsilon, delta, a) + (1 - rate) * (1 - a)
    assert success(epsilon, delta, rate) == pytest.approx(float(right.max()), abs=1e-5)
    assert success(epsilon, delta, rate) >= float(right.max()) - 1e-12


@given(epsilon=epsilons, rate=rates)
def test_beliefs_are_bayes_rule_under_the_largest_ratio(epsilon: float, rate: float):
    odds = rate / (1 - rate)
    most, least = most_believed(epsilon, rate), least_believed(epsilon, rate)
    assert most / (1 - most) == pytest.approx(odds * math.exp(epsilon), rel=1e-4)
    assert least / (1 - least) == pytest.approx(odds * math.exp(-epsilon), rel=1e-4)
    assert 0 < least <= rate * (1 + 1e-9)
    assert rate * (1 - 1e-9) <= most <= 1


@given(epsilon=epsilons, delta=deltas, rate=rates, a=st.floats(1e-6, 1))
def test_accusations_are_no_more_precise_than_the_claim_allows(epsilon: float, delta: float, rate: float, a: float):
    bound = precision(epsilon, delta, rate, a)
    b = min(1.0, math.exp(epsilon) * a + delta)
    assert bound == pytest.approx(rate * b / (rate * b + (1 - rate) * a))
    assert precision(epsilon, 0.0, rate, a) <= most_believed(epsilon, rate) + 1e-12
    assert bound >= precision(epsilon, 0.0, rate, a) - 1e-12


def test_known_figures():
    assert most_believed(math.log(3), 0.5) == pytest.approx(0.75)
    assert least_believed(math.log(3), 0.5) == pytest.approx(0.25)
    assert most_believed(1.0, 0.01) == pytest.approx(0.0267236, abs=1e-6)
    assert success(0.0, 0.0, 0.5) == 0.5
    assert success(math.log(3), 0.0, 0.5) == pytest.approx(0.75)
    assert precision(1.0, 1e-5, 0.1, 0.0) == 1.0  # who never accuses wrongly may be right about a share of delta
    assert precision(1.0, 0.0, 0.1, 0.0) == 0.1


@pytest.mark.parametrize(
    "bad",
    [(-0.1, 0.0, 0.5), (math.nan, 0.0, 0.5), (1.0, -1e-9, 0.5), (1.0, 1.0, 0.5), (1.0, 0.0, 0.0), (1.0, 0.0, 1.0)],
)
def test_numbers_out_of_their_range_are_refused(bad: tuple[float, float, float]):
    with pytest.raises(ValueError, match="must be"):
        success(*bad)


def test_a_share_out_of_its_range_is_refused():
    with pytest.raises(ValueError, match="false positives"):
        precision(1.0, 0.0, 0.5, 1.5)
