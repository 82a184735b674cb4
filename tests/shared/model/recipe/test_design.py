import numpy as np
import pytest
from additive_builders import binned, dense_codes, design, drawn
from hypothesis import given, settings
from hypothesis import strategies as st

from sealscore.shared.dp.clipped_sum import CLIP
from sealscore.shared.model.bins import FeatureBins
from sealscore.shared.model.recipe.design import CODE_SIZE, PairPrior, carried_over, designed
from sealscore.shared.model.recipe.kernels import basis, power
from sealscore.shared.plan.schema import NumericFeature


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.floats(0.1, 1e6))
def test_units_carry_the_prior_of_the_kernel(seed, snr):
    for part in binned(np.random.default_rng(seed), 3):
        share = power(snr)
        assert 0.25 <= share <= 0.5
        found = basis(part, share)
        covariance = found.units @ np.diag(found.variances(share)) @ found.units.T
        # Centred: no table of a feature moves the level.
        assert np.abs(found.shares @ covariance).max() < 1e-9
        half = basis(part, 0.5)
        assert covariance == pytest.approx(half.units @ half.units.T, abs=1e-9)


def test_neighbouring_bins_of_an_order_go_together_and_levels_do_not():
    ordered, _, level = binned(np.random.default_rng(2), 3)
    rising = basis(ordered, 0.5)
    covariance = rising.units @ rising.units.T
    correlation = covariance / np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))
    count = ordered.count
    assert correlation[0, 1] > correlation[0, count - 1]
    unordered = basis(level, 0.5)
    own = unordered.units @ unordered.units.T + np.outer(unordered.shares, unordered.shares)
    assert len(np.unique(np.round(own[np.triu_indices(level.count, 1)], 6))) <= level.count * (level.count - 1) / 2


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 5), st.sampled_from([None, 0.1, 0.3]), st.booleans())
def test_codes_are_of_one_size_under_the_released_shares(seed, features, pairs, mains):
    random = np.random.default_rng(seed)
    if pairs is None and not mains:
        return
    found = design(binned(random, features), pairs=pairs, mains=mains)
    assert found.moments.sum() == pytest.approx((CODE_SIZE * CLIP) ** 2, rel=0.02)
    assert len(found.moments) == len(found.variances) == found.codes.length
    assert np.isinf(found.variances[0])
    assert (found.variances[1:] > 0).all()


def test_moments_are_those_of_independent_features():
    random = np.random.default_rng(6)
    parts = binned(random, 3)
    found = design(parts, pairs=0.1)
    dense = dense_codes(found.codes, drawn(random, parts, 200_000))
    assert (dense**2).mean(axis=0) == pytest.approx(found.moments, rel=0.15, abs=2e-3)


@pytest.mark.parametrize("share", [0.03, 0.1, 0.3])
def test_pairs_have_their_share_of_the_prior_variance(share):
    parts = binned(np.random.default_rng(9), 4)
    found = design(parts, pairs=share)
    own = found.moments * found.variances
    mains = sum(main.shape[1] for main in found.codes.mains)
    assert own[1 + mains :].sum() / own[1 : 1 + mains].sum() == pytest.approx(share, rel=0.1)


def test_weights_carried_over_give_the_same_tables():
    random = np.random.default_rng(4)
    parts = binned(random, 4)
    share = power(30)
    bases = [basis(part, share) for part in parts]
    before = designed(bases, 0.2, share).codes
    scaled = [base.scaled(scale, share) for base, scale in zip(bases, (0.05, 3.0, 1.0, 0.4), strict=True)]
    after = designed(scaled, 0.1, share, PairPrior(0.1)).codes
    weights = random.normal(0, 0.3, before.length)
    moved = carried_over(weights, before, after)
    bins = drawn(random, parts, 50)
    assert after.tables(moved).sums(bins) == pytest.approx(before.tables(weights).sums(bins), abs=0.02)
    assert not after.split(moved)[2][0].any()


def test_a_table_in_which_nothing_varies_still_has_an_intercept():
    constant = FeatureBins(NumericFeature(name="x", lower=0, upper=1), (), (1.0,))
    found = design([constant, constant], pairs=0.1)
    assert found.codes.length == 1
    assert found.codes.intercept > 0
    assert np.isfinite(found.moments).all()
