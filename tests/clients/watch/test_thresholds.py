"""Thresholds by their own noise: over all measures, an alert in 24 quiet months has a chance of 5 %."""

from __future__ import annotations

import numpy as np
import pytest

from sealscore.clients.watch.noise.nulls import LEAST, ExpectedNull, RateNull, SharesNull
from sealscore.clients.watch.noise.statistics import psi
from sealscore.clients.watch.noise.thresholds import CHANCE, HORIZON, Planned, horizon, thresholds
from sealscore.simulations.bench.watch import LENDERS, SEEDS
from sealscore.simulations.bench.watch.quiet import QuietLender, with_alert

MONTHS = range(HORIZON)


def uniform_level(measures: int) -> float:
    """The level at which so many independent measures of 24 months have two breaches in a row with chance 5 %."""
    low, high = 0.0, 1.0
    for _ in range(60):
        level = (low + high) / 2
        # Chance of no two in a row by whether the last month breached.
        calm, breached = 1 - level, level
        for _ in range(HORIZON - 1):
            calm, breached = (calm + breached) * (1 - level), calm * level
        low, high = (level, high) if (calm + breached) ** measures > 1 - CHANCE else (low, level)
    return low


@pytest.mark.parametrize("measures", [1, 20])
def test_the_level_of_independent_measures_is_that_of_theory(measures: int):
    planned = {str(number): Planned(0) for number in range(measures)}
    found = thresholds(planned, -1, MONTHS, np.random.default_rng(0), 4000)
    assert found.level == pytest.approx(uniform_level(measures), rel=0.08)
    assert found.chance <= CHANCE
    assert found.values == {}


def test_the_threshold_of_a_month_is_passed_as_often_as_the_level_says():
    shares = np.array([0.05, 0.15, 0.3, 0.5])
    counts = {month: np.array([20, 60, 120, 200]) for month in MONTHS}
    found = thresholds({"psi": Planned(0, SharesNull(counts, shares))}, 5, MONTHS, np.random.default_rng(1), 4000)
    drawn = psi(np.random.default_rng(2).multinomial(400, shares, 40_000), shares)
    assert (drawn > found.values["psi"]).mean() == pytest.approx(found.level, rel=0.2)


def test_months_with_few_cases_are_not_judged():
    counts = {0: np.array([LEAST - 1, 0]), 1: np.array([LEAST, 0])}
    null = SharesNull(counts, np.array([0.5, 0.5]))
    assert null.sizes == {1: LEAST}
    assert RateNull({0: (3, LEAST - 1), 1: (3, LEAST)}, (3, 90)).sizes == {1: LEAST}
    assert ExpectedNull({0: 1}, {0: np.full(LEAST - 1, 0.1)}).sizes == {}
    planned = {"psi": Planned(0, null)}
    assert thresholds(planned, 0, MONTHS, np.random.default_rng(0), 200).values == {}
    assert set(thresholds(planned, 1, MONTHS, np.random.default_rng(0), 200).values) == {"psi"}


def test_what_is_to_come_keeps_its_part_of_the_chance():
    shares = np.array([0.4, 0.6])
    now = {"psi": Planned(0, SharesNull({0: np.array([200, 300])}, shares))}
    later = {f"later.{number}": Planned(12) for number in range(40)}
    alone = thresholds(now, 0, MONTHS, np.random.default_rng(0), 2000)
    together = thresholds(now | later, 0, MONTHS, np.random.default_rng(0), 2000)
    assert together.level < alone.level / 2


def test_the_same_counts_give_the_same_thresholds():
    measures = QuietLender.drawn(0, 2).measures(np.random.default_rng(0))
    one, other = (thresholds(measures, 23, MONTHS, np.random.default_rng(5), 300) for _ in range(2))
    assert one == other


def test_horizons_follow_one_another():
    assert horizon(100, 123) == range(100, 124)
    assert horizon(100, 124) == range(124, 148)


def test_few_quiet_lives_have_an_alert():
    """A small version of the next: 400 lives, whose share is within four of its standard errors."""
    alerts = with_alert(QuietLender.drawn(7, 2), 7, 400, 1000)
    assert abs(alerts / 400 - CHANCE) < 4 * (CHANCE * (1 - CHANCE) / 400) ** 0.5


@pytest.mark.long
def test_an_alert_in_quiet_months_has_a_chance_of_five_per_cent():
    alerts = sum(with_alert(QuietLender.drawn(seed), seed, SEEDS) for seed in range(LENDERS))
    assert LENDERS * SEEDS == 2000
    assert abs(alerts / (LENDERS * SEEDS) - CHANCE) <= 0.01
