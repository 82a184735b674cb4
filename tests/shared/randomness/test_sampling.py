"""Poisson sampling: independent coins at a rate never above the one that is accounted for."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from sealscore.shared.randomness.streams import Purpose, StreamSource, poisson_sample


def stream(round=0, party="a"):
    return StreamSource.seeded(3, party).stream("run", "train", round, 0, party, Purpose.SAMPLING)


@given(st.integers(0, 500), st.floats(1e-3, 1.0))
def test_indices_are_ascending_and_in_range(records, rate):
    indices = poisson_sample(stream(), records, rate)
    assert indices.dtype == np.int64
    assert np.all(np.diff(indices) > 0)
    assert np.all((indices >= 0) & (indices < records))


@given(st.integers(0, 300), st.integers(0, 300), st.floats(1e-3, 1.0))
def test_a_coin_does_not_depend_on_the_other_records(fewer, more, rate):
    fewer, more = sorted((fewer, more))
    long = poisson_sample(stream(), more, rate)
    assert np.array_equal(poisson_sample(stream(), fewer, rate), long[long < fewer])


@given(st.floats(1e-3, 1.0), st.floats(1e-3, 1.0))
def test_a_higher_rate_only_adds_records(one, other):
    low, high = sorted((one, other))
    assert set(poisson_sample(stream(), 200, low)) <= set(poisson_sample(stream(), 200, high))


def test_every_record_is_taken_at_the_rate():
    rounds, records, rate = 2000, 50, 0.05
    taken = np.zeros((rounds, records))
    for round in range(rounds):
        taken[round, poisson_sample(stream(round), records, rate)] = 1
    expected = rounds * rate
    statistic = ((taken.sum(axis=0) - expected) ** 2 / (expected * (1 - rate))).sum()
    assert stats.chi2.sf(statistic, records) > 1e-4
    sizes = taken.sum(axis=1)
    # Poisson sampling: the size is binomial, not fixed.
    assert abs(sizes.var() / (records * rate * (1 - rate)) - 1) < 0.2
    correlation = np.corrcoef(taken.T)[np.triu_indices(records, 1)]
    assert np.abs(correlation).max() < 5 / math.sqrt(rounds)


def test_large_sample_hits_the_rate():
    n, rate = 1_000_000, 0.0256
    size = len(poisson_sample(stream(), n, rate))
    assert abs(size - n * rate) < 4.5 * math.sqrt(n * rate * (1 - rate))


def test_rate_one_takes_everything():
    assert poisson_sample(stream(), 1000, 1.0).tolist() == list(range(1000))
    assert poisson_sample(stream(), 0, 1.0).tolist() == []


def test_the_threshold_is_rounded_down():
    class Words:
        def __init__(self, word):
            self.word = word

        def words32(self, n):
            return np.full(n, self.word, dtype=np.uint32)

    rate = 2.5 * 2.0**-32
    assert poisson_sample(Words(1), 1, rate).tolist() == [0]
    assert poisson_sample(Words(2), 1, rate).tolist() == []
    assert poisson_sample(Words(2**32 - 1), 1, 1.0).tolist() == [0]
    assert poisson_sample(Words(2**32 - 1), 1, 1 - 2.0**-32).tolist() == []


def test_parties_and_rounds_have_their_own_coins():
    samples = {tuple(poisson_sample(stream(r, p), 1000, 0.1)) for r in range(5) for p in "abc"}
    assert len(samples) == 15


@pytest.mark.parametrize("rate", [0.0, -0.1, 1.1, math.nan, math.inf, 2.0**-33])
def test_bad_rates_are_refused(rate):
    with pytest.raises(ValueError, match="sample rate"):
        poisson_sample(stream(), 10, rate)


def test_negative_counts_are_refused():
    with pytest.raises(ValueError, match="records"):
        poisson_sample(stream(), -1, 0.5)
