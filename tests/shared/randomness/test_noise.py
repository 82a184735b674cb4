"""The fast sampler draws the discrete Gaussian: exactly where that can be computed, and in statistics."""

import math
from decimal import Decimal, localcontext

import numpy as np
import pytest
from exact_noise import exact_discrete_gaussian
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from sealscore.shared.randomness import noise
from sealscore.shared.randomness.noise import (
    MAX_SCALE,
    FastDiscreteGaussian,
    grid_scale,
    support_bound,
    tv_bound,
)
from sealscore.shared.randomness.streams import Purpose, StreamSource

FAST = FastDiscreteGaussian()


def stream(round=0, party="a", seed=1):
    return StreamSource.seeded(seed, party).stream("run", "train", round, 0, party, Purpose.NOISE)


def pmf(scale, bound):
    """Probabilities of N_Z(0, scale^2) at -bound..bound, float64."""
    f = np.exp(-(np.arange(-bound, bound + 1, dtype=np.float64) ** 2) / (2 * scale**2))
    return f / f.sum()


@pytest.mark.parametrize("scale", [0.3, 1.0, 3.0, 15.9, 33.0, 200.0])
def test_proposal_times_acceptance_is_the_density(scale):
    tables = noise.proposal(scale)
    width = 1 << tables.offset_bits
    blocks = len(tables.entries)
    assert np.array_equal(np.bincount(tables.table, minlength=blocks), tables.entries)
    assert tables.entries.min() >= 1
    assert tables.entries.sum() == 65536
    bound = support_bound(scale)
    assert -(blocks // 2) * width <= -bound <= bound < blocks // 2 * width
    with localcontext(prec=60):
        for x in range(-bound, bound + 1, max(1, bound // 60)):
            block = x // width + blocks // 2
            p = tables.exact(block, x)
            assert 0 < p <= 1
            density = (Decimal(-x * x) / (2 * Decimal(scale) ** 2)).exp()
            proposed = int(tables.entries[block]) * p
            assert abs(proposed / (density * Decimal(tables.factor)) - 1) < Decimal("1e-50")
    assert tables.exact(0, -bound - 1) == 0


@pytest.mark.parametrize("scale", [0.001, 0.3, 3.0, 33.0, 4000.0, 6e4, 1e7, MAX_SCALE])
def test_the_float_acceptance_is_as_near_as_the_decision_assumes(scale):
    tables = noise.proposal(scale)
    half = len(tables.entries) // 2
    x = np.unique(np.linspace(-support_bound(scale), support_bound(scale), 101).astype(np.int64))
    block = (x >> tables.offset_bits) + half
    approximate = tables.approximate(block, x)
    with localcontext(prec=60):
        for b, value, near in zip(block, x, approximate, strict=True):
            true = tables.exact(int(b), int(value)) * 2**24
            assert true <= 2**24
            assert abs(Decimal(float(near)) - true) <= Decimal(2) ** -30 * max(true, 1)


class Scripted:
    """A stream that plays given words, then zeros."""

    source = "seeded"

    def __init__(self, words):
        self.left = list(words)

    def words(self, n):
        taken, self.left = self.left[:n], self.left[n:]
        return np.array(taken + [0] * (n - len(taken)), dtype=np.uint64)


def test_a_tie_is_decided_by_further_bits_and_exact_arithmetic():
    scale = 3.0
    tables = noise.proposal(scale)
    half = len(tables.entries) // 2
    entry = int(np.flatnonzero(tables.table == half + 4)[0])
    with localcontext(prec=60):
        scaled = tables.exact(half + 4, 4) * 2**24
        tie = int(scaled)
        rest = int((scaled - tie) * 2**128)
    batch = 1 + 1 // 12 + 32
    reject = [(entry << 48) | 0xFFFFFF] * (batch - 1)

    def accepted(u, low128):
        words = [(entry << 48) | u, *reject, low128 >> 64, low128 & (2**64 - 1)]
        return noise._accepted(Scripted(words), tables, 1).tolist()

    assert accepted(tie - 3, 0) == [4]
    assert accepted(tie - 1, 2**128 - 1) == [4]
    assert accepted(tie, rest - 1) == [4]
    assert accepted(tie, rest + 1) == []
    assert accepted(tie + 1, 0) == []
    assert accepted(tie + 3, 0) == []


def test_nothing_beyond_the_support_even_if_every_bit_says_accept():
    tables = noise.proposal(3.0)
    first = int(np.flatnonzero(tables.table == 0)[0])
    assert -(len(tables.entries) // 2) == -37 < -support_bound(3.0)
    assert noise._accepted(Scripted([first << 48] * 33), tables, 1).tolist() == []


@pytest.mark.parametrize("scale", [0.5, 3.0, 40.0])
def test_chi_square_against_the_density(scale):
    draws = FAST.sample(stream(), scale, 400_000)
    bound = support_bound(scale)
    expected = pmf(scale, bound) * len(draws)
    observed = np.bincount(draws + bound, minlength=2 * bound + 1).astype(float)
    frequent = expected >= 10
    rest = max(expected[~frequent].sum(), 1e-9)
    statistic = ((observed - expected)[frequent] ** 2 / expected[frequent]).sum()
    statistic += (observed[~frequent].sum() - rest) ** 2 / rest if rest > 5 else 0.0
    assert stats.chi2.sf(statistic, int(frequent.sum())) > 1e-4


@pytest.mark.parametrize("scale", [3.0, 100.0, 4000.0, 6e4, 1e7, MAX_SCALE])
def test_moments_and_distribution(scale):
    n = 200_000
    z = FAST.sample(stream(), scale, n) / scale
    assert abs(z.mean()) < 4.5 / math.sqrt(n)
    assert abs(z.std() - 1) < 4.5 / math.sqrt(2 * n)
    assert abs((z**3).mean()) < 4.5 * math.sqrt(15 / n)
    assert abs((z**4).mean() - 3) < 4.5 * math.sqrt(96 / n)
    if scale >= 1000:
        assert stats.kstest(z, "norm").pvalue > 1e-4


def test_low_bits_are_uniform_at_large_scales():
    draws = FAST.sample(stream(), 2.0**20, 160_000)
    counts = np.bincount(draws & 15, minlength=16)
    assert stats.chisquare(counts).pvalue > 1e-4


def test_agreement_with_the_exact_sampler():
    n, scale = 6000, 3.0
    exact = exact_discrete_gaussian(scale, n)
    fast = FAST.sample(stream(), scale, n)
    assert fast.dtype == np.int64
    table = np.stack([np.bincount(np.clip(d, -8, 8) + 8, minlength=17) for d in (exact, fast)])
    assert stats.chi2_contingency(table).pvalue > 1e-5


def test_float_noise_tells_the_sum_and_grid_noise_does_not():
    torch = pytest.importorskip("torch")
    n = 100_000
    generator = torch.Generator().manual_seed(0)
    zero, one = (torch.randn(n, generator=generator) + total for total in (0.0, 1.0))

    def off_grid(y):
        """Outputs in (-1, 1) that are not multiples of 2^-24."""
        y = y.double()
        return (y.abs() < 1) & ((y * 2**24) != (y * 2**24).round())

    # 1 + z loses the digits below 2^-24 that z alone still has: this event gives the sum away.
    assert off_grid(zero).float().mean() > 0.1
    assert not off_grid(one).any()

    # On the integer grid the same question, finer than a sum's own unit, has the same answer.
    unit = 2**16
    ours = [FAST.sample(stream(round=total), float(unit), n) + total * unit for total in (0, 1)]
    for bits in (1, 4, 8):
        counts = np.stack([np.bincount(y & (2**bits - 1), minlength=2**bits) for y in ours])
        assert counts.min() > 0
        assert stats.chi2_contingency(counts).pvalue > 1e-4


def test_parties_and_attempts_draw_different_noise():
    draws = {}
    for party in ("a", "b", "c"):
        for round in range(5):
            draws[party, round] = FAST.sample(stream(round, party), 4000.0, 1000)
    keys = list(draws)
    for i, one in enumerate(keys):
        for other in keys[:i]:
            assert (draws[one] == draws[other]).sum() < 10
            assert abs(np.corrcoef(draws[one], draws[other])[0, 1]) < 0.2


def test_same_seed_same_draws():
    assert np.array_equal(FAST.sample(stream(), 4000.0, 5000), FAST.sample(stream(), 4000.0, 5000))
    # Fixed values: the draws of a seeded run do not change between versions or machines.
    assert FAST.sample(stream(), 4000.0, 5).tolist() == [-2011, 1923, -10225, -3046, -2959]


@given(
    st.one_of(st.floats(1e-6, 100.0), st.floats(1.0, MAX_SCALE), st.sampled_from([16.0, 32.0, MAX_SCALE, 5e-324])),
    st.integers(0, 300),
    st.integers(0, 10),
)
@settings(max_examples=80, deadline=None)
def test_draws_stay_in_the_support(scale, size, seed):
    draws = FAST.sample(stream(seed=seed), scale, size)
    assert draws.shape == (size,)
    assert draws.dtype == np.int64
    assert np.abs(draws).max(initial=0) <= support_bound(scale)
    assert support_bound(scale) == math.ceil(12 * scale)


def test_zero_scale_is_silent():
    source = stream()
    assert FAST.sample(source, 0.0, 7).tolist() == [0] * 7
    assert np.array_equal(source.words(3), stream().words(3))
    assert support_bound(0.0) == 0
    assert tv_bound(0.0) == 0.0
    assert grid_scale(0.0) == 0.0


@pytest.mark.parametrize("scale", [-1.0, math.nan, math.inf, 2.0**28 * 1.001])
def test_bad_scales_are_refused(scale):
    for call in (
        lambda: FAST.sample(stream(), scale, 3),
        lambda: support_bound(scale),
        lambda: tv_bound(scale),
        lambda: grid_scale(scale),
    ):
        with pytest.raises(ValueError, match=r"scale|standard deviation"):
            call()


def test_bad_sizes_are_refused():
    with pytest.raises(ValueError, match="size"):
        FAST.sample(stream(), 1.0, -1)


def test_the_stated_distance_covers_what_was_cut_off():
    tail = 2 * Decimal(str(stats.norm.sf(12)))
    smoothing = 4 * Decimal(-8 * math.pi**2).exp()
    assert tail + smoothing < Decimal(tv_bound(3.0))


def test_a_grid_scale_stands_for_continuous_noise():
    """N_Z(0, std^2 + 4) is a continuous N(0, std^2), then rounded by a discrete Gaussian around it."""
    std, tau2 = 1.5, 4.0
    z = np.arange(-40, 41, dtype=np.float64)
    y = np.linspace(-20, 20, 8001)
    density = np.exp(-(y**2) / (2 * std**2))
    kernel = np.exp(-((z[:, None] - y[None, :]) ** 2) / (2 * tau2))
    mixed = (kernel / kernel.sum(axis=0) * density).sum(axis=1)
    assert grid_scale(std) == pytest.approx(math.sqrt(std**2 + tau2))
    assert mixed / mixed.sum() == pytest.approx(pmf(grid_scale(std), 40), abs=1e-13)


def test_a_sum_of_shares_is_one_discrete_gaussian():
    share = grid_scale(6.0, shares=3)
    assert share == pytest.approx(math.sqrt(40 / 3))
    one = pmf(share, 60)
    three = np.convolve(np.convolve(one, one), one)
    assert three == pytest.approx(pmf(math.sqrt(3) * share, 180), abs=1e-14)


def test_shares_below_the_grid_are_refused():
    with pytest.raises(ValueError, match="finer grid"):
        grid_scale(6.0, shares=10)
    with pytest.raises(ValueError, match="at least one share"):
        grid_scale(6.0, shares=0)
