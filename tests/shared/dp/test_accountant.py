"""Accountants give known figures, agree with direct integration, and refuse what they do not know."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from sealscore.shared.dp.accountant import OpacusAccountant, PldAccountant, UnsupportedEvent, binomial_weights
from sealscore.shared.dp.effort import TooMuchWork, limited
from sealscore.shared.dp.events import (
    Disclosure,
    Gaussian,
    NoNoise,
    RandomizedResponse,
    SampledGaussian,
    UnknownEvent,
)

DELTA = 1e-5
PLD = PldAccountant()
KNOWN = [SampledGaussian(noise_multiplier=1.0, sample_rate=0.0256, count=2000)]


def gaussian_delta(mu, epsilon):
    return stats.norm.cdf(mu / 2 - epsilon / mu) - math.exp(epsilon) * stats.norm.cdf(-mu / 2 - epsilon / mu)


def integrated_delta(p, q, epsilon, x):
    """Hockey-stick divergence of two densities on a grid, in both directions."""
    width = x[1] - x[0]
    return max(
        np.maximum(p - math.exp(epsilon) * q, 0).sum() * width,
        np.maximum(q - math.exp(epsilon) * p, 0).sum() * width,
    )


@pytest.mark.parametrize(
    ("accountant", "figure", "tolerance"),
    [
        (PLD, 7.4541, 2e-4),
        (PldAccountant(1e-4), 7.4535, 2e-4),
        (OpacusAccountant("prv"), 7.464, 1e-3),
        (OpacusAccountant("rdp"), 8.134, 1e-3),
    ],
    ids=["pld", "pld-fine", "prv", "rdp"],
)
def test_known_figures(accountant, figure, tolerance):
    assert accountant.epsilon(KNOWN, DELTA) == pytest.approx(figure, abs=tolerance)


def test_names_and_versions():
    assert PLD.name == "pld"
    assert PLD.version.startswith("dp-accounting 0.")
    assert OpacusAccountant("prv").name == "opacus-prv"
    assert OpacusAccountant("rdp").version.startswith("opacus 1.")


@pytest.mark.parametrize("accountant", [PLD, OpacusAccountant("prv"), OpacusAccountant("rdp")])
def test_nothing_costs_nothing_and_no_noise_costs_everything(accountant):
    assert accountant.epsilon([], DELTA) == 0.0
    assert accountant.epsilon([Disclosure(bits=4, recipient="a", count=1)], DELTA) == 0.0
    assert accountant.epsilon([*KNOWN, NoNoise(what="bins", count=1)], DELTA) == math.inf


def test_a_gaussian_matches_the_closed_form():
    events = [Gaussian(noise_multiplier=10.0, sensitivity=4.0, count=3), Gaussian(noise_multiplier=2.0, count=1)]
    mu = math.sqrt(3 * 0.4**2 + 0.25)
    epsilon = PLD.epsilon(events, DELTA)
    assert gaussian_delta(mu, epsilon) <= DELTA
    assert gaussian_delta(mu, epsilon * 0.999) > DELTA


def test_composing_order_and_merging_do_not_matter():
    events = [
        *KNOWN,
        Gaussian(noise_multiplier=20.0, sensitivity=4.0, count=1),
        RandomizedResponse(epsilon=1.0, count=1),
        SampledGaussian(noise_multiplier=2.0, sample_rate=0.2, count=10),
    ]
    whole = PLD.epsilon(events, DELTA)
    split = [e.model_copy(update={"count": 1}) for e in events[1:]] + [
        events[0].model_copy(update={"count": 1500}),
        events[0].model_copy(update={"count": 500}),
        events[3].model_copy(update={"count": 9}),
    ]
    assert PLD.epsilon(split, DELTA) == whole
    assert whole > max(PLD.epsilon([event], DELTA) for event in events)


@pytest.mark.parametrize(("multiplicity", "rate"), [(2, 0.1), (5, 0.05)])
def test_several_records_a_person_match_direct_integration(multiplicity, rate):
    event = SampledGaussian(noise_multiplier=2.0, sample_rate=rate, count=1, multiplicity=multiplicity)
    x = np.linspace(-20, 25, 28_001)
    p = sum(w * stats.norm.pdf(x - k, scale=2) for k, w in enumerate(binomial_weights(multiplicity, rate)))
    q = stats.norm.pdf(x, scale=2)
    for delta in (1e-3, 1e-5):
        epsilon = PLD.epsilon([event], delta)
        assert integrated_delta(p, q, epsilon, x) <= delta * (1 + 1e-6)
        assert integrated_delta(p, q, epsilon - 3e-3, x) > delta


def test_two_rounds_of_several_records_match_direct_integration():
    event = SampledGaussian(noise_multiplier=2.0, sample_rate=0.3, count=2, multiplicity=2)
    x = np.linspace(-15, 17, 901)
    p = sum(w * stats.norm.pdf(x - k, scale=2) for k, w in enumerate(binomial_weights(2, 0.3)))
    q = stats.norm.pdf(x, scale=2)
    pp, qq, width = np.outer(p, p), np.outer(q, q), x[1] - x[0]

    def delta(epsilon):
        both = (pp - math.exp(epsilon) * qq, qq - math.exp(epsilon) * pp)
        return max(np.maximum(d, 0).sum() * width**2 for d in both)

    epsilon = PLD.epsilon([event], 1e-3)
    assert delta(epsilon) == pytest.approx(1e-3, rel=0.01)


def test_records_of_one_person_cost_at_most_group_privacy_and_more_than_one():
    def cost(m):
        return PLD.epsilon([SampledGaussian(noise_multiplier=4.0, sample_rate=0.1, count=100, multiplicity=m)], DELTA)

    costs = [cost(m) for m in (1, 2, 4)]
    assert costs == sorted(costs)
    assert costs[0] * 1.5 < costs[1]
    everything = [SampledGaussian(noise_multiplier=4.0, sample_rate=1.0, count=100, multiplicity=4)]
    assert costs[2] < PLD.epsilon(everything, DELTA)
    assert PLD.epsilon(everything, DELTA) == PLD.epsilon(
        [Gaussian(noise_multiplier=4.0, sensitivity=4.0, count=100)], DELTA
    )


def test_randomized_response_costs_its_epsilon_and_composes():
    def cost(count, delta=1e-9, epsilon=2.0):
        return PLD.epsilon([RandomizedResponse(epsilon=epsilon, count=count)], delta)

    assert 1.999 < cost(1) <= 2.001
    assert 5.99 < cost(3) <= 6.004
    # Many bits cost less than their sum at a delta; against the binomial of truthful answers.
    n, e, delta = 40, 0.3, 1e-5
    figure = cost(n, delta, e)
    truth = 1 / (1 + math.exp(-e))
    k = np.arange(n + 1)
    p, q = stats.binom.pmf(k, n, truth), stats.binom.pmf(k, n, 1 - truth)
    assert np.maximum(p - math.exp(figure) * q, 0).sum() <= delta
    assert np.maximum(p - math.exp(figure - 0.06) * q, 0).sum() > delta
    assert figure < n * e
    gaussian = Gaussian(noise_multiplier=5.0, count=1)
    both = PLD.epsilon([gaussian, RandomizedResponse(epsilon=2.0, count=1)], DELTA)
    assert 2.0 < both <= 2.002 + PLD.epsilon([gaussian], DELTA)


@given(st.floats(0.7, 20.0), st.floats(0.01, 1.0), st.integers(1, 300))
@settings(max_examples=6, deadline=None)
def test_rdp_is_never_below_pld(noise, rate, count):
    events = [SampledGaussian(noise_multiplier=noise, sample_rate=rate, count=count)]
    # RDP bounds from above on its own; the discretisation of PLD may cost a little at tiny losses.
    assert PLD.epsilon(events, DELTA) <= OpacusAccountant("rdp").epsilon(events, DELTA) * 1.001 + 0.01


@pytest.mark.parametrize("mechanism", ["prv", "rdp"])
def test_opacus_refuses_what_it_does_not_know(mechanism):
    accountant = OpacusAccountant(mechanism)
    several = SampledGaussian(noise_multiplier=1.0, sample_rate=0.1, count=1, multiplicity=2)
    with pytest.raises(UnsupportedEvent, match="one record a person"):
        accountant.epsilon([*KNOWN, several], DELTA)
    with pytest.raises(UnsupportedEvent, match="RandomizedResponse"):
        accountant.epsilon([RandomizedResponse(epsilon=1.0, count=1)], DELTA)
    # Even beside a release without noise: it would not be known what the rest costs.
    with pytest.raises(UnsupportedEvent):
        accountant.epsilon([several, NoNoise(what="bins", count=1)], DELTA)


@pytest.mark.parametrize("accountant", [PLD, OpacusAccountant("rdp")])
def test_bad_input_is_refused(accountant):
    for delta in (0.0, 1.0, -1e-5, math.nan):
        with pytest.raises(ValueError, match="delta"):
            accountant.epsilon(KNOWN, delta)
    with pytest.raises(UnknownEvent):
        accountant.epsilon([("gaussian", 1.0)], DELTA)


def test_other_mechanisms_and_discretisations_are_refused():
    with pytest.raises(ValueError, match="gdp"):
        OpacusAccountant("gdp")
    with pytest.raises(ValueError, match="discretisation"):
        PldAccountant(0.0)


def test_weights_are_a_distribution():
    assert sum(binomial_weights(50, 0.01)) == pytest.approx(1)
    assert binomial_weights(2, 0.1) == pytest.approx([0.81, 0.18, 0.01])


@pytest.mark.parametrize(
    "event",
    [
        SampledGaussian(noise_multiplier=1e-3, sample_rate=0.1, count=1),
        SampledGaussian(noise_multiplier=1e-300, sample_rate=0.1, count=1),
        SampledGaussian(noise_multiplier=1.0, sample_rate=0.1, count=2**53),
        SampledGaussian(noise_multiplier=1.0, sample_rate=0.1, count=1, multiplicity=2**53),
        Gaussian(noise_multiplier=1e-3, count=1),
        RandomizedResponse(epsilon=1.0, count=2**53),
    ],
)
def test_what_would_take_for_ever_has_no_bound(event):
    assert PLD.epsilon([event], DELTA) == math.inf


@pytest.mark.parametrize(
    "event",
    [
        SampledGaussian(noise_multiplier=3e6, sample_rate=1e-4, count=1000, multiplicity=3),
        SampledGaussian(noise_multiplier=1e100, sample_rate=0.1, count=1000, multiplicity=3),
        RandomizedResponse(epsilon=5e-324, count=1),
        Gaussian(noise_multiplier=1e160, count=1),
    ],
)
def test_next_to_no_loss_is_bounded_too(event):
    assert 0 <= PLD.epsilon([event], DELTA) < 0.01


def test_within_a_limit_of_work_no_more_is_done():
    events = [SampledGaussian(noise_multiplier=0.91234, sample_rate=0.0256, count=2)]
    with limited(1_000), pytest.raises(TooMuchWork):
        PLD.epsilon(events, DELTA)
    assert PLD.epsilon(events, DELTA) < 2
    with limited(1_000):  # what is known is free
        assert PLD.epsilon(events, DELTA) < 2
