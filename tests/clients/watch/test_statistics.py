"""The figures of a month against formulas that are written out."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealscore.clients.watch.months import closing_month, days_in, last_day, month_number, month_text
from sealscore.clients.watch.noise.statistics import against_expected, psi, rate_interval, two_rates

COUNTS = st.lists(st.tuples(st.integers(0, 5000), st.integers(1, 5000)), min_size=2, max_size=20)


@given(COUNTS)
def test_the_index_is_its_formula(cells: list[tuple[int, int]]):
    counts, weights = zip(*cells, strict=True)
    reference = [weight / sum(weights) for weight in weights]
    direct = 0.0
    for count, share in zip(counts, reference, strict=True):
        now = (count + 0.5) / (sum(counts) + 0.5 * len(counts))
        direct += (now - share) * math.log(now / share)
    found = float(psi(np.array(counts), np.array(reference)))
    assert found == pytest.approx(direct, abs=1e-12)
    assert found >= 0


def test_many_months_at_once_give_what_each_gives():
    random = np.random.default_rng(0)
    shares = random.dirichlet(np.ones(6))
    counts = random.multinomial(400, shares, (3, 5))
    together = psi(counts, shares)
    assert together.shape == (3, 5)
    assert together[2, 4] == psi(counts[2, 4], shares)


@given(st.integers(0, 50), st.integers(0, 50), st.integers(50, 400), st.integers(50, 400))
def test_two_rates_are_apart_by_their_standard_errors(hits: int, before: int, of: int, of_before: int):
    common = (hits + before) / (of + of_before)
    error = math.sqrt(common * (1 - common) * (1 / of + 1 / of_before))
    expected = abs(hits / of - before / of_before) / error if error else 0.0
    found = two_rates(*(np.array(one) for one in (hits, of, before, of_before)))
    assert float(found) == pytest.approx(expected)


def test_what_cannot_vary_is_no_breach():
    assert float(two_rates(np.array(0), np.array(50), np.array(0), np.array(90))) == 0
    assert float(two_rates(np.array(0), np.array(0), np.array(3), np.array(90))) == 0
    assert float(against_expected(np.array(3), np.array(3.0), np.array(0.0))) == 0
    assert float(against_expected(np.array(9), np.array(3.0), np.array(4.0))) == 3


@given(st.integers(0, 300), st.integers(0, 300))
def test_an_interval_has_its_rate_in_it(hits: int, more: int):
    low, high = rate_interval(hits, hits + more)
    assert 0 <= low <= high <= 1
    if hits + more:
        assert low - 1e-12 <= hits / (hits + more) <= high + 1e-12
        # Both ends are as far from the rate as a score test lets them be.
        for end in (low, high):
            if 1e-9 < end < 1 - 1e-9:
                z = (hits / (hits + more) - end) / math.sqrt(end * (1 - end) / (hits + more))
                assert abs(z) == pytest.approx(1.959964, rel=1e-4)


def test_months_are_numbers_in_a_row():
    assert month_text(month_number("2027-12-31") + 1) == "2028-01"
    assert (days_in(month_number("2028-02")), str(last_day(month_number("2028-02")))) == (29, "2028-02-29")
    january, june = month_number("2027-01"), month_number("2027-06")
    # The loan of 31 January is over 90 days old on 1 May alone; one of 30 June on 28 September.
    assert [closing_month(january, days) - january for days in (1, 30, 90, 180, 365, 730)] == [1, 2, 4, 6, 12, 24]
    assert [closing_month(june, days) - june for days in (1, 30, 90, 180, 365, 730)] == [1, 1, 3, 6, 12, 24]
    for text in ("2027-13", "27-01", "", "2027/01"):
        with pytest.raises(ValueError, match="month"):
            month_number(text)
