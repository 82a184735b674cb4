"""Noise solved from a budget: the claim is met and nearly used, and a cache cannot weaken it."""

import json
import logging
import math
from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sealscore.shared.dp import noise_calibration as budget
from sealscore.shared.dp import noise_calibration_cache as budget_cache
from sealscore.shared.dp.accountant import OpacusAccountant, PldAccountant
from sealscore.shared.dp.noise_calibration import (
    PlannedRelease,
    UnreachableBudget,
    accounting_delta,
    solve,
)

DELTA = 1e-5
PLD = PldAccountant()


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    budget._solve.cache_clear()
    yield
    budget._solve.cache_clear()


def releases(rounds=315, rate=0.05, multiplicity=1):
    return (
        PlannedRelease("bin", "gaussian", 0.05, 2, sensitivity=math.sqrt(20) * multiplicity),
        PlannedRelease("train", "sampled", 0.9, rounds, sample_rate=rate, multiplicity=multiplicity),
        PlannedRelease("calibrate", "gaussian", 0.05, 2, sensitivity=float(multiplicity)),
    )


@pytest.mark.parametrize("multiplicity", [1, 3])
@pytest.mark.parametrize("epsilon", [0.5, 2.0])
def test_the_claim_meets_the_budget_and_uses_it(epsilon, multiplicity):
    solved = solve(releases(multiplicity=multiplicity), epsilon, DELTA)
    assert 0.999 * epsilon <= solved.epsilon <= epsilon
    assert PLD.epsilon(solved.events, DELTA) == solved.epsilon
    assert list(solved.noise_multipliers) == ["bin", "train", "calibrate"]
    bin_event, train_event, _ = solved.events
    assert (bin_event.count, train_event.count) == (2, 315)
    assert bin_event.sensitivity == math.sqrt(20) * multiplicity
    assert train_event.multiplicity == multiplicity
    assert train_event.noise_multiplier == solved.noise_multipliers["train"]
    # Fewer attempts than were budgeted cost less.
    used = [e.event(solved.noise_multipliers[e.name], count=1) for e in releases(multiplicity=multiplicity)]
    assert PLD.epsilon(used, DELTA) < solved.epsilon


@pytest.mark.parametrize("rate", [0.05, 0.25])
def test_opacus_agrees_on_the_training_part(rate):
    solved = solve(releases(rate=rate), 1.0, DELTA)
    training = [solved.events[1]]
    pld = PLD.epsilon(training, DELTA)
    prv = OpacusAccountant("prv", eps_error=0.005).epsilon(training, DELTA)
    assert abs(pld - prv) <= max(0.01, 0.01 * pld)


@given(st.floats(0.2, 5.0), st.floats(0.2, 5.0))
@settings(max_examples=6, deadline=None)
def test_more_budget_needs_less_noise(one, other):
    low, high = sorted((one, other))
    assume(high > 1.005 * low)
    strict, loose = solve(releases(100), low, DELTA), solve(releases(100), high, DELTA)
    for name, noise in strict.noise_multipliers.items():
        assert loose.noise_multipliers[name] < noise
    assert solve(releases(100), low, DELTA / 10).noise_multipliers["train"] > strict.noise_multipliers["train"]


def test_shares_steer_the_noise():
    plain = solve(releases(), 1.0, DELTA)
    scaled = solve([replace(release, share=7 * release.share) for release in releases()], 1.0, DELTA)
    assert scaled.noise_multipliers == pytest.approx(plain.noise_multipliers, rel=1e-3)
    first, *rest = releases()
    more = solve([PlannedRelease("bin", "gaussian", 0.5, 2, first.sensitivity), *rest], 1.0, DELTA)
    assert more.noise_multipliers["bin"] < plain.noise_multipliers["bin"] / 2
    assert more.noise_multipliers["train"] > plain.noise_multipliers["train"]
    # Equal shares of equal releases are equal.
    assert plain.noise_multipliers["bin"] == pytest.approx(
        plain.noise_multipliers["calibrate"] * math.sqrt(20), rel=1e-6
    )


def test_a_sampled_sensitivity_scales_the_noise_and_not_the_event():
    one = PlannedRelease("train", "sampled", 1.0, 100, sample_rate=0.1)
    two = PlannedRelease("train", "sampled", 1.0, 100, sensitivity=2.0, sample_rate=0.1)
    a, b = solve([one], 1.0, DELTA), solve([two], 1.0, DELTA)
    assert b.noise_multipliers["train"] == pytest.approx(2 * a.noise_multipliers["train"])
    assert b.events[0].noise_multiplier == pytest.approx(a.events[0].noise_multiplier)


@given(st.floats(0.01, 1.0), st.floats(0.05, 3.0))
def test_the_mixture_allocation_meets_the_closed_form_at_one_record(rate, square):
    closed = 1 / math.sqrt(math.log1p(square / rate**2))
    assert budget._mixture_noise(square, rate, 1) == pytest.approx(closed, rel=1e-6)


def test_sampler_distance_is_taken_from_delta():
    assert accounting_delta(1.0, DELTA, 0.0) == DELTA
    assert accounting_delta(1.0, DELTA, 1e-6) == pytest.approx(DELTA - (1 + math.e) * 1e-6)
    solved = solve(releases(50), 1.0, DELTA, tv=1e-6)
    assert solved.delta < DELTA
    assert solved.noise_multipliers["train"] > solve(releases(50), 1.0, DELTA).noise_multipliers["train"]
    with pytest.raises(UnreachableBudget, match="delta 1e-05"):
        solve(releases(50), 1.0, DELTA, tv=1e-5)


def test_budgets_out_of_reach_name_the_range():
    with pytest.raises(UnreachableBudget, match=r"epsilon 1e-06 at delta 1e-05.*still cost epsilon 0\.00\d+.*to 100"):
        solve(releases(), 1e-6, DELTA)
    with pytest.raises(UnreachableBudget, match="above 100"):
        solve(releases(), 101.0, DELTA)


def test_one_release_alone_is_the_plain_gaussian_mechanism():
    solved = solve([PlannedRelease("evaluate", "gaussian", 0.05, 1)], 1.0, DELTA)
    assert solved.noise_multipliers["evaluate"] == pytest.approx(3.730, rel=2e-3)  # analytic Gaussian mechanism


def compositions(monkeypatch):
    """Counts how often a figure is composed from here on."""
    calls = []
    composed = budget._composed
    monkeypatch.setattr(budget, "_composed", lambda *a: calls.append(a[1]) or composed(*a))
    return calls


def test_the_process_and_the_disk_remember(monkeypatch):
    calls = compositions(monkeypatch)
    first = solve(releases(), 1.0, DELTA)
    assert 1 <= len(calls) <= 6
    assert solve(list(releases()), 1.0, DELTA) is first
    budget._solve.cache_clear()
    calls.clear()
    assert solve(releases(), 1.0, DELTA) == first
    assert calls == [first.scale], "a stored scale is composed once"
    budget._solve.cache_clear()
    calls.clear()
    solve(releases(), 1.0, DELTA, discretisation=2e-3)
    assert len(json.loads(budget_cache.path().read_text())) == 2, "another discretisation is another entry"


@pytest.mark.parametrize("factor", [2.0, 1.01, 0.9])
def test_an_edited_cache_is_noticed(factor, caplog):
    first = solve(releases(), 1.0, DELTA)
    stored = json.loads(budget_cache.path().read_text())
    assert list(stored.values()) == [first.scale]
    budget_cache.path().write_text(json.dumps({key: value * factor for key, value in stored.items()}))
    budget._solve.cache_clear()
    with caplog.at_level(logging.WARNING):
        assert solve(releases(), 1.0, DELTA) == first
    assert "does not meet its budget" in caplog.text
    assert json.loads(budget_cache.path().read_text()) == stored


@pytest.mark.parametrize("content", ["", "[]", "{", '{"x": "y"}', '{"x": NaN}', "\x00"])
def test_a_broken_cache_is_ignored(content):
    first = solve(releases(50), 1.0, DELTA)
    key = next(iter(json.loads(budget_cache.path().read_text())))
    budget_cache.path().write_text(content.replace('"x"', f'"{key}"'))
    budget._solve.cache_clear()
    assert solve(releases(50), 1.0, DELTA) == first


def test_a_cache_that_cannot_be_written_is_no_fault(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert solve(releases(50), 1.0, DELTA).epsilon <= 1.0


def test_the_cache_does_not_grow_without_end(monkeypatch):
    monkeypatch.setattr(budget_cache, "_MOST", 3)
    for i in range(5):
        budget_cache.write(f"k{i}", 1.0 + i)
    assert [budget_cache.read(f"k{i}") for i in range(5)] == [None, None, 3.0, 4.0, 5.0]
    assert [p.name for p in budget_cache.path().parent.iterdir()] == ["noise.json"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], 1.0, DELTA), "at least one release"),
        ((releases()[:1] * 2, 1.0, DELTA), "same name"),
        ((releases(), 0.0, DELTA), "epsilon"),
        ((releases(), math.nan, DELTA), "epsilon"),
        ((releases(), math.inf, DELTA), "epsilon"),
        ((releases(), 1.0, 0.0), "delta"),
        ((releases(), 1.0, 1.0), "delta"),
        ((releases(), 1.0, DELTA, -1.0), "tv"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        solve(*arguments)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "laplace"}, "kind"),
        ({"share": 0.0}, "share"),
        ({"share": math.nan}, "share"),
        ({"sensitivity": -1.0}, "sensitivity"),
        ({"attempts": 0}, "attempts"),
        ({"kind": "sampled", "multiplicity": 0}, "multiplicity"),
        ({"kind": "sampled", "sample_rate": 0.0}, "sample_rate"),
        ({"kind": "gaussian", "multiplicity": 2}, "whole person"),
        ({"kind": "gaussian", "sample_rate": 0.5}, "whole person"),
    ],
)
def test_bad_releases_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        PlannedRelease(**{"name": "x", "kind": "gaussian", "share": 1.0, "attempts": 1, **fields})


def test_a_search_that_takes_too_long_is_given_up(monkeypatch):
    monkeypatch.setattr(budget, "MOST_TO_SOLVE", 50_000)
    with pytest.raises(UnreachableBudget, match="takes too long"):
        solve(releases(rate=0.01, multiplicity=3), 2.0, DELTA)


@pytest.mark.parametrize("change", [{"attempts": 10**6 + 1}, {"multiplicity": 1001}])
def test_a_release_beyond_what_is_composed_is_refused(change):
    with pytest.raises(ValueError, match="must be from 1 to"):
        replace(releases()[1], **change)
