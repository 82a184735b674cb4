import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealscore.shared.model.bins import Binning, FeatureBins
from sealscore.shared.model.coding import CODE_GRID, Coding, Crosses
from sealscore.shared.plan.schema import CategoricalFeature, NumericFeature


def shares(n: int) -> tuple[float, ...]:
    weights = np.arange(1, n + 1) / sum(range(1, n + 1))
    return tuple(weights.tolist())


NUMBER = FeatureBins(NumericFeature(name="x", lower=0, upper=9, missing=True), (1.0, 2.0, 5.0), shares(5))
LEVEL = FeatureBins(CategoricalFeature(name="c", levels=("a", "b", "c")), (), shares(3))
ORDERED = FeatureBins(CategoricalFeature(name="o", levels=("low", "mid", "high"), ordered=True), (), shares(3))
BINNING = Binning((NUMBER, LEVEL, ORDERED))


def test_the_thermometer_of_every_bin():
    code = Coding(BINNING).encode(np.array([[k, 0, 0] for k in range(5)]))[:, :4]
    half = 0.5
    assert code.tolist() == [
        [-half, -half, -half, 0],
        [half, -half, -half, 0],
        [half, half, -half, 0],
        [half, half, half, 0],
        [0, 0, 0, half],
    ]


def test_categories_are_one_hot_and_ordered_ones_a_thermometer():
    coding = Coding(BINNING)
    code = coding.encode(np.array([[0, k, k] for k in range(3)], dtype=np.int16))
    third = np.rint(np.sqrt(1 / 3) / CODE_GRID) * CODE_GRID
    assert np.array_equal(code[:, 4:7], third * np.eye(3))
    assert np.array_equal(code[:, 7:], third * np.array([[-1, -1], [1, -1], [1, 1]]))


def test_units_tile_the_code():
    coding = Coding(BINNING)
    assert coding.units == [((0,), slice(0, 4)), ((1,), slice(4, 7)), ((2,), slice(7, 9))]
    assert coding.width == 9
    empty = coding.encode(np.zeros((0, 3), dtype=np.int16))
    assert empty.shape == (0, 9)
    assert empty.dtype == np.float64


@given(st.integers(2, 64), st.booleans())
def test_codes_lie_on_their_grid_and_a_feature_has_at_most_norm_one(bins, ordered):
    levels = tuple(str(k) for k in range(bins))
    part = FeatureBins(CategoricalFeature(name="c", levels=levels, ordered=ordered, missing=True), (), shares(bins + 1))
    code = Coding(Binning((part,))).encode(np.arange(bins + 1)[:, None])
    assert np.array_equal(code / CODE_GRID, np.rint(code / CODE_GRID))
    assert np.linalg.norm(code, axis=1).max() <= 1.01
    assert np.abs(code).max() <= 1
    assert len(np.unique(code, axis=0)) == bins + 1


def test_the_reference_is_the_mean_code_under_the_released_shares():
    coding = Coding(BINNING)
    generator = np.random.default_rng(0)
    drawn = np.column_stack([generator.choice(part.size, 40_000, p=part.reference) for part in BINNING.features])
    assert np.allclose(coding.encode(drawn).mean(axis=0), coding.reference(), atol=0.01)
    every = coding.encode(np.array([[k, 0, 0] for k in range(5)]))[:, :4]
    assert np.allclose(np.array(NUMBER.reference) @ every, coding.reference()[:4])


@pytest.mark.parametrize("bins", [[[5, 0, 0]], [[-1, 0, 0]], [[0, 3, 0]], [[0, 0]], [0, 0, 0]])
def test_indices_that_are_no_bins_are_refused(bins):
    with pytest.raises(ValueError, match="bin"):
        Coding(BINNING).encode(np.array(bins))


CROSSES = Crosses((("x", "o"), ("c", "x")), bins=3, scale=0.5)


def test_a_cross_is_the_product_of_centred_units():
    coding = Coding(BINNING, CROSSES)
    assert [features for features, _ in coding.units] == [(0,), (1,), (2,), (0, 2), (1, 0)]
    bins = np.array([[a, b, c] for a in range(5) for b in range(3) for c in range(3)])
    code = coding.encode(bins)
    assert np.array_equal(code[:, :9], Coding(BINNING).encode(bins))
    for features, place in coding.units[3:]:
        block = code[:, place]
        left, right = features
        # It depends on its own two features only, and not on them one at a time: the mean over either is 0.
        _, of_pair = np.unique(bins[:, list(features)], axis=0, return_inverse=True)
        for pair in range(of_pair.max() + 1):
            assert len(np.unique(block[of_pair.ravel() == pair], axis=0)) == 1
        shares = [np.array(part.reference) for part in BINNING.features]
        present = [s[: part.count] / s[: part.count].sum() for s, part in zip(shares, BINNING.features, strict=True)]
        for fixed, free in ((left, right), (right, left)):
            for value in range(len(present[fixed])):
                rows = [
                    int(np.flatnonzero((bins[:, fixed] == value) & (bins[:, free] == k))[0])
                    for k in range(len(present[free]))
                ]
                assert np.abs(present[free] @ block[rows]).max() < 2 * CODE_GRID
        assert np.linalg.matrix_rank(block) > 1
    missing = bins[:, 0] == 4
    assert not code[missing][:, 9:].any()


def test_crosses_have_their_share_of_the_size_and_lie_on_the_grid():
    coding = Coding(BINNING, CROSSES)
    bins = np.array([[a, b, c] for a in range(5) for b in range(3) for c in range(3)])
    weights = np.array([np.prod([BINNING.features[j].reference[b] for j, b in enumerate(row)]) for row in bins])
    code = coding.encode(bins)
    own, crossed = (weights @ (part**2).sum(axis=1) for part in (code[:, :9], code[:, 9:]))
    assert np.sqrt(crossed / own) == pytest.approx(0.5, rel=0.01)
    assert np.array_equal(code / CODE_GRID, np.rint(code / CODE_GRID))
    assert np.abs(code).max() <= 1
    assert np.allclose(weights @ code, coding.reference(), atol=1e-12)


def test_a_cross_of_an_unknown_feature_is_refused():
    with pytest.raises(ValueError, match="nobody"):
        Coding(BINNING, Crosses((("x", "nobody"),)))
