import math

import numpy as np
import pytest
import torch
from additive_builders import binned, crafted, dense_codes, design, drawn, sum_of
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from sealscore.shared.dp.clipped_sum import CLIP, TowerSum, bins_suffice, clip_error, slopes
from sealscore.shared.dp.gradients import gradient_engine
from sealscore.shared.dp.rounding import CLIP_SLACK
from sealscore.shared.dp.rounding import clip_error as tower_clip_error
from sealscore.shared.model.additive.codes import CODE_LIMIT, Codes, Pair
from sealscore.shared.model.bins import Binning, FeatureBins
from sealscore.shared.model.coding import CODE_GRID, Coding, Crosses
from sealscore.shared.model.tower import ForwardCorrected, Tower, cross_entropy
from sealscore.shared.plan.schema import NumericFeature

torch.set_num_threads(1)


def case(seed: int, records: int, features: int = 3, pairs: bool = True):
    """Codes of a fit with bins, labels and weights of records."""
    random = np.random.default_rng(seed)
    parts = binned(random, features)
    codes = design(parts, pairs=0.1 if pairs else None).codes
    labels = (random.random(records) < 0.3).astype(float)
    return codes, drawn(random, parts, records), labels, random.normal(0, 0.5, codes.length)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 40), st.integers(1, 4), st.sampled_from([1.0, 0.88]))
def test_the_sum_is_that_of_dense_codes(seed, records, features, keep):
    codes, bins, labels, weights = case(seed, records, features, pairs=features > 1)
    logits = codes.tables(weights).sums(bins)
    slope = slopes(logits, labels, keep)
    vectors = slope[:, None] * dense_codes(codes, bins)
    norms = np.linalg.norm(vectors, axis=1)
    expected = (vectors * np.minimum(1, CLIP / (norms + CLIP_SLACK))[:, None]).sum(axis=0)
    assert sum_of(codes, bins, slope) == pytest.approx(expected, rel=1e-9, abs=1e-10)


@pytest.mark.parametrize("seed", range(4))
def test_the_sum_is_that_of_opacus(seed):
    from opacus.grad_sample import GradSampleModule
    from opacus.optimizers import DPOptimizer

    codes, bins, labels, weights = case(seed, 50)
    module = GradSampleModule(nn.Linear(codes.length, 1, bias=False, dtype=torch.float64), loss_reduction="sum")
    with torch.no_grad():
        module._module.weight.copy_(torch.from_numpy(weights)[None])
    optimizer = DPOptimizer(
        torch.optim.SGD(module.parameters(), lr=1.0),
        noise_multiplier=0.0,
        max_grad_norm=CLIP,
        expected_batch_size=1,
        loss_reduction="sum",
    )
    cross_entropy(
        module(torch.from_numpy(dense_codes(codes, bins))).view(-1), torch.from_numpy(labels)
    ).sum().backward()
    optimizer.clip_and_accumulate()
    reference = optimizer.params[0].summed_grad.numpy()[0]
    found = sum_of(codes, bins, slopes(codes.tables(weights).sums(bins), labels))
    # The tables are rounded to 2^-24, which moves a logit by about a millionth.
    assert np.linalg.norm(found - reference) <= 1e-5 * np.linalg.norm(reference)


@given(st.floats(-40, 40), st.sampled_from([0.0, 1.0]), st.sampled_from([1.0, 0.88, 0.51]))
def test_slopes_are_those_of_the_loss(logit, label, keep):
    at = torch.tensor([logit], dtype=torch.float64, requires_grad=True)
    ForwardCorrected(keep)(at, torch.tensor([label], dtype=torch.float64)).sum().backward()
    (found,) = slopes(np.array([logit]), np.array([label]), keep)
    assert found == pytest.approx(float(at.grad[0]), rel=1e-9, abs=1e-12)
    assert abs(found) <= 1


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32),
    st.integers(1, 150),
    st.sampled_from(["fit", "crafted"]),
    st.sampled_from([1.0, 1e5, 1e308]),
    st.sampled_from([1.0, 0.88]),
)
def test_one_record_moves_the_sum_by_at_most_the_clip_norm_and_the_proven_error(seed, records, kind, size, keep):
    random = np.random.default_rng(seed)
    if kind == "fit":
        codes, bins, labels, weights = case(seed, records)
    else:
        codes = crafted(random)
        bins = random.integers(0, 5, (3, records)).astype(np.uint8)
        labels, weights = (random.random(records) < 0.5).astype(float), random.normal(0, 1, codes.length)
    with np.errstate(over="ignore"):
        weights = weights * size

    def total(kept: np.ndarray) -> np.ndarray:
        logits = codes.tables(weights).sums(bins[:, kept])
        return sum_of(codes, bins[:, kept], slopes(logits, labels[kept], keep))

    everybody = np.arange(records)
    without = np.delete(everybody, random.integers(records))
    bound = CLIP * (1 + clip_error(records, codes.length, max(codes.sizes)))
    assert np.linalg.norm(total(everybody) - total(without)) <= bound


def test_clipping_binds_and_spares():
    # One feature of two bins: the code of bin 0 is (1, 3), its norm sqrt(10).
    codes = Codes(1.0, (np.array([[3.0], [0.0]]),), (np.zeros((2, 0)),))
    large = sum_of(codes, np.array([[0]]), np.array([0.8]))
    norm = 0.8 * math.sqrt(10)
    assert large == pytest.approx(np.array([0.8, 2.4]) * CLIP / (norm + CLIP_SLACK), rel=1e-12)
    small = sum_of(codes, np.array([[1]]), np.array([-0.5]))
    assert small == pytest.approx([-0.5, 0.0], rel=1e-12)


def test_other_shares_at_two_nodes_change_no_bound():
    # A server can publish other codes to each of two nodes; what one record moves is bounded at both by the same.
    random = np.random.default_rng(8)
    for _ in range(20):
        parts = binned(random, 3)
        codes = design(parts, pairs=0.1).codes
        one = drawn(random, parts, 1)
        moved = np.linalg.norm(sum_of(codes, one, np.array([1.0])))
        assert moved <= CLIP
    thin = Codes(CODE_GRID, (np.full((2, 1), CODE_LIMIT),), (np.zeros((2, 0)),))
    assert np.linalg.norm(sum_of(thin, np.array([[0]]), np.array([1.0]))) <= CLIP


@pytest.mark.parametrize("rotten", [math.nan, math.inf, -math.inf])
def test_a_record_that_is_not_finite_counts_as_zero_and_harms_no_other(rotten):
    codes, bins, labels, weights = case(1, 12)
    slope = slopes(codes.tables(weights).sums(bins), labels)
    slope[4] = rotten
    kept = np.delete(np.arange(12), 4)
    assert np.array_equal(sum_of(codes, bins, slope) != 0, sum_of(codes, bins[:, kept], slope[kept]) != 0)
    assert sum_of(codes, bins, slope) == pytest.approx(sum_of(codes, bins[:, kept], slope[kept]), abs=1e-12)
    assert np.array_equal(sum_of(codes, bins[:, 4:5], slope[4:5]), np.zeros(codes.length))


def test_the_error_bound_is_small_for_real_sizes_and_grows_with_each():
    assert clip_error(48_000, 7_060, 34) < 1e-4
    assert clip_error(10**6, 400, 34) < 1e-2
    base = clip_error(1000, 400, 34)
    assert all(clip_error(*more) > base for more in ((2000, 400, 34), (1000, 800, 34), (1000, 400, 400)))
    for wrong in ((-1, 1, 1), (1, 0, 1), (1, 1, 0)):
        with pytest.raises(ValueError, match="needed"):
            clip_error(*wrong)


def test_a_pair_alone_reads_the_bins_of_both():
    left, right = np.array([[1.0], [-1.0]]), np.array([[2.0], [0.5], [0.0]])
    codes = Codes(0.0, (np.zeros((2, 0)), np.zeros((3, 0))), (left, right), (Pair(0, 1, (1,)),))
    found = sum_of(codes, np.array([[0, 1, 1], [0, 1, 2]]), np.array([0.1, 0.2, 0.3]))
    assert found == pytest.approx([0.0, 0.1 * 2 - 0.2 * 0.5], rel=1e-6)


def tower(seed: int, features: int, cross: bool, bins: int = 8) -> tuple[Coding, list[FeatureBins]]:
    """A linear tower's coding over features of several kinds, with the product of the first two if asked."""
    parts = binned(np.random.default_rng(seed), features, bins)
    pairs = ((parts[0].feature.name, parts[1].feature.name),) if cross else ()
    return Coding(Binning(tuple(parts)), Crosses(pairs)), parts


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**32),
    st.integers(0, 60),
    st.integers(1, 5),
    st.booleans(),
    st.sampled_from([1e-3, 1.0, 30.0]),
    st.sampled_from([0.01, 1.0, 100.0]),
    st.sampled_from([1.0, 0.88]),
)
def test_a_towers_sum_on_bins_is_that_of_opacus_on_its_codes(seed, records, features, cross, size, clip, keep):
    """At any weights, beyond their limit too, at any clip norm and for empty batches."""
    coding, parts = tower(seed, features, cross and features > 1)
    random = np.random.default_rng(seed)
    bins, labels = drawn(random, parts, records), (random.random(records) < 0.3).astype(float)
    weights = random.normal(0, size, coding.width + 1)
    found = TowerSum(coding, clip, keep)(weights, bins, labels)
    loss = cross_entropy if keep == 1 else ForwardCorrected(keep)
    codes = torch.from_numpy(coding.encode(bins.T.astype(np.int64)))
    reference = gradient_engine("opacus" if records else "fused", Tower(coding.width, 0, 0), loss, clip)
    expected = reference(weights, codes, torch.from_numpy(labels))
    assert np.abs(found - expected).max() <= 1e-9 * min(1.0, clip) * max(1, records)


def test_bins_do_not_suffice_where_a_cross_has_more_cells_than_the_tower_weights():
    """Then its sum on bins could move farther than the noise of the plan pays for."""
    assert bins_suffice(tower(1, 3, cross=False)[0])
    parts = tuple(
        FeatureBins(NumericFeature(name=name, lower=0, upper=40), tuple(map(float, range(1, 40))), (1 / 40,) * 40)
        for name in "ab"
    )
    wide = Coding(Binning(parts), Crosses((("a", "b"),), bins=2))
    assert wide.width + 1 + 12 < 40 * 40
    assert not bins_suffice(wide)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 60), st.sampled_from([1e-3, 1.0, 30.0]))
def test_a_record_moves_a_towers_sum_by_no_more_than_the_claim_of_its_codes(seed, records, size):
    coding, parts = tower(seed, 4, cross=False)
    random = np.random.default_rng(seed)
    bins, labels = drawn(random, parts, records), (random.random(records) < 0.3).astype(float)
    weights, engine = random.normal(0, size, coding.width + 1), TowerSum(coding, 0.5)
    moved = np.linalg.norm(engine(weights, bins, labels) - engine(weights, bins[:, 1:], labels[1:]))
    assert moved <= 0.5 * (1 + tower_clip_error(records, coding.width + 1, 0, 0.5))
