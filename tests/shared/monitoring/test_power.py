"""What the noise lets be seen: the formula against simulation, and the refusal where it hides everything."""

from __future__ import annotations

import numpy as np
import pytest
from counted_loans import counts_plan, loans

from sealscore.shared.dp.mechanisms import Mechanisms
from sealscore.shared.monitoring.counting import first_passages
from sealscore.shared.monitoring.figures import WatchFigures
from sealscore.shared.monitoring.power import (
    ALL_ALARMS,
    Comparison,
    alarm_level,
    loans_a_month,
    noise_of,
    power,
    scale_of,
    too_weak,
)


def test_twenty_tables_of_few_records_under_a_small_epsilon_are_refused_with_their_power():
    plan = counts_plan(20, privacy__epsilon=0.1, parties=_parties(667))
    assert sum(party.nominal_records for party in plan.parties) == pytest.approx(2000, abs=1)
    found = power(plan)
    assert found.chance < 0.001
    (words,) = too_weak(plan)
    assert f"{found.chance:.3g}" in words
    assert "privacy.epsilon" in words


def test_a_plan_that_would_show_a_shift_is_not():
    plan = counts_plan()
    assert power(plan).chance > 0.9
    assert too_weak(plan) == []


def test_the_epsilon_that_a_refusal_names_would_do():
    plan = counts_plan(privacy__epsilon=0.3)
    (words,) = too_weak(plan)
    named = float(words.split("privacy.epsilon to about ")[1].split(",")[0])
    assert too_weak(plan.replace(privacy__epsilon=named * 1.05)) == []
    assert too_weak(plan.replace(privacy__epsilon=named * 0.9)) != []


def test_without_originations_the_power_is_that_of_loans_that_pass():
    plan = counts_plan(monitoring__originations=False, monitoring__passing=0.2)
    assert loans_a_month(plan) == pytest.approx(120_000 / 24 * 0.2)
    assert power(plan).chance < power(counts_plan()).chance


def test_the_formula_is_what_simulated_months_show():
    """20,000 invented months of equal shares, with chance and noise, and one of index 0.1."""
    random, n, bands, noise, months = np.random.default_rng(1), 3000, 5, 40.0, 6
    compared = Comparison(scale_of(n, bands, noise**2, months), bands - 1, 0.01)
    even = np.full(bands, 1 / bands)
    tilted = even + np.array([1, -1, 1, -1, 0]) * np.sqrt(0.1 / bands / 4)
    assert ((tilted - even) ** 2 / even).sum() == pytest.approx(0.1)

    def index(shares: np.ndarray) -> np.ndarray:
        now = random.multinomial(n, shares, 20_000) + random.normal(0, noise, (20_000, bands))
        before = random.multinomial(n * months, even, 20_000) + random.normal(0, noise * months**0.5, (20_000, bands))
        a, b = (counts / counts.sum(axis=1, keepdims=True) for counts in (now, before))
        return np.asarray(((a - b) ** 2 / b).sum(axis=1)) - compared.by_chance

    quiet, moved = index(even), index(tilted)
    assert np.mean(quiet) == pytest.approx(0.0, abs=2e-4)
    assert np.mean(quiet > compared.threshold) == pytest.approx(0.01, abs=0.004)
    assert np.mean(moved > compared.threshold) == pytest.approx(compared.power(0.1), abs=0.03)
    ends = [compared.interval(float(one)) for one in moved[:1000]]
    assert np.mean([low <= 0.1 <= high for low, high in ends]) == pytest.approx(0.95, abs=0.02)


def test_quiet_months_alarm_as_often_as_is_said():
    """Of 200 runs in which nothing moves about 5 % alarm, over all their comparisons, and rates are in their intervals.

    Each month opens 1,667 loans a band, of which 20 % are 30 days past due: chance and noise are drawn for each run.
    """
    plan = counts_plan()
    assert alarm_level(plan) == pytest.approx(ALL_ALARMS / 18)
    random, noise, runs = np.random.default_rng(3), noise_of(Mechanisms(plan)), 200
    alarms, covered, rated = 0, 0, 0
    for _ in range(runs):
        opened = random.poisson(1667, (24, 3))
        exact = np.stack([opened, *[random.binomial(opened, 0.2)] * 3], axis=1).astype(np.float64)
        found = WatchFigures.of(plan, (exact + random.normal(0, noise, exact.shape)).ravel(), noise)
        alarms += any(one.moved for one in found.shifts)
        # By month, a rate is of all that were opened until then.
        of = np.cumsum(exact[:, 0].sum(axis=1))
        truth = exact[:, 1].sum(axis=1) / of
        seen = [one for one in found.rates if one.what == "days_30"]
        rated += len(seen)
        covered += sum(one.low <= true <= one.high for one, true in zip(seen, truth, strict=True))
    assert 0.01 <= alarms / runs <= 0.10
    assert covered / rated >= 0.94


def test_what_noise_covers_is_said_to_be_lost():
    plan = counts_plan(privacy__epsilon=0.05)
    exact = first_passages(plan, loans(plan, 500).columns).astype(np.float64)
    found = WatchFigures.of(plan, exact, noise_of(Mechanisms(plan)))
    assert all(one.value is None for one in (*found.counts, *found.rates, *found.shifts))
    clear = WatchFigures.of(plan, exact, 0.0)
    assert all(one.value is not None for one in clear.counts if one.what == "opened")


def _parties(records: int) -> list[dict[str, object]]:
    found = [party.model_dump(mode="json") for party in counts_plan().parties]
    return [party | {"nominal_records": records} for party in found]
