import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sealscore.shared.model.bins import (
    Binning,
    check_columns,
    consistent_counts,
    grid_edges,
    histogram,
    histogram_length,
)
from sealscore.shared.plan.schema import CategoricalFeature, NumericFeature

AMOUNT = NumericFeature(name="amount", lower=-1000, upper=50_000, scale=100, missing=True)
STATE = NumericFeature(name="state", lower=-2, upper=8, integer=True)
PAID = NumericFeature(name="paid", lower=0, upper=2_000_000, scale=1000, integer=True)
KIND = CategoricalFeature(name="kind", levels=("a", "b", "c"), missing=True)
FEATURES = (AMOUNT, STATE, PAID, KIND)


def columns(n: int, seed: int = 0) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(seed)
    amount = draw.lognormal(5, 2, n) - 100
    amount[draw.random(n) < 0.1] = np.nan
    kind = draw.integers(0, 3, n).astype(float)
    kind[draw.random(n) < 0.2] = np.nan
    state = np.clip(np.rint(draw.normal(0, 1.5, n)), -2, 8)
    return {"amount": amount, "state": state, "paid": np.floor(draw.exponential(3000, n)), "kind": kind}


def binning(bins: int = 8, n: int = 2000) -> Binning:
    return Binning.from_histogram(FEATURES, 64, bins, histogram(columns(n), FEATURES, 64))


@pytest.mark.parametrize("feature", [AMOUNT, STATE, PAID, NumericFeature(name="x", lower=0, upper=1)])
@pytest.mark.parametrize("cells", [8, 64, 1000])
def test_cells_are_ascending_within_the_bounds(feature, cells):
    edges = grid_edges(feature, cells)
    assert list(edges) == sorted(set(edges))
    assert feature.lower <= edges[0]
    assert edges[-1] < feature.upper
    assert len(edges) <= max(cells - 1, feature.upper - feature.lower)


def test_an_integer_feature_with_few_values_has_a_cell_for_each():
    counts = histogram({"state": np.arange(-2.0, 9.0)}, (STATE,), 64)
    assert counts.tolist() == [1] * 11
    assert all(edge.is_integer() for edge in grid_edges(PAID, 1000))


def test_a_value_on_an_upper_edge_belongs_to_that_cell():
    edges = np.array(grid_edges(AMOUNT, 64))
    counts = histogram({"amount": edges}, (AMOUNT,), 64)
    assert counts.tolist() == [1] * len(edges) + [0, 0]
    above = histogram({"amount": np.nextafter(edges, np.inf)}, (AMOUNT,), 64)
    assert above.tolist() == [0] + [1] * len(edges) + [0]


def test_values_outside_the_bounds_and_missing_ones_are_counted_too():
    values = np.array([-1e9, 1e9, np.inf, -np.inf, np.nan])
    counts = histogram({"amount": values}, (AMOUNT,), 64)
    assert (counts[0], counts[-2], counts[-1]) == (2, 2, 1)
    assert counts.sum() == 5


@given(st.integers(0, 50), st.integers(0, 10_000))
def test_one_record_changes_one_cell_of_each_feature(n, seed):
    data = columns(n + 1, seed)
    all_of_them = histogram(data, FEATURES, 64)
    without = histogram({name: values[:-1] for name, values in data.items()}, FEATURES, 64)
    assert all_of_them.dtype == np.int64
    assert len(all_of_them) == histogram_length(FEATURES, 64)
    difference = all_of_them - without
    assert sorted(difference[difference != 0]) == [1] * len(FEATURES)


@pytest.mark.parametrize(
    ("data", "word"), [({}, "column 'state' is missing"), ({"state": np.zeros((2, 2))}, "one entry a record")]
)
def test_faulty_columns_are_named(data, word):
    with pytest.raises(ValueError, match=word):
        histogram(data, (STATE,), 16)


@pytest.mark.parametrize("index", [-1.0, 3.0, 0.5])
def test_an_index_that_is_no_level_is_found_by_the_check(index):
    with pytest.raises(ValueError, match="kind"):
        check_columns({"kind": np.array([index])}, (KIND,))


def test_a_value_that_must_not_be_missing_is_found_by_the_check():
    with pytest.raises(ValueError, match="state"):
        check_columns({"state": np.array([np.nan])}, (STATE,))
    check_columns({"kind": np.array([np.nan, 2.0])}, (KIND,))


@given(st.lists(st.floats(), min_size=1, max_size=20), st.integers(0, 2))
def test_no_value_raises_and_every_record_has_one_cell(values, place):
    feature = (STATE, KIND, AMOUNT)[place]
    data = {feature.name: np.array(values)}
    assert histogram(data, (feature,), 16).sum() == len(values)
    binning = Binning.from_histogram((feature,), 16, 4, np.ones(histogram_length((feature,), 16)))
    bins = binning.quantize(data)[:, 0]
    alone = [binning.quantize({feature.name: np.array([value])})[0, 0] for value in values]
    assert bins.tolist() == alone
    assert all(0 <= index < binning.sizes[0] for index in alone)


def test_columns_of_different_length_are_refused():
    with pytest.raises(ValueError, match="paid"):
        histogram({"state": np.zeros(3), "paid": np.zeros(2)}, (STATE, PAID), 16)


def test_quantiles_without_noise_part_the_mass_equally():
    data = {"x": np.random.default_rng(1).random(40_000)}
    feature = NumericFeature(name="x", lower=0, upper=1)
    found = Binning.from_histogram((feature,), 1024, 16, histogram(data, (feature,), 1024))
    shares = np.bincount(found.quantize(data)[:, 0], minlength=16) / 40_000
    assert len(shares) == 16
    assert np.abs(shares - 1 / 16).max() < 2 / 1024
    assert np.allclose(found.features[0].reference, shares, atol=1e-4)


def test_a_value_with_much_mass_has_a_bin_of_its_own():
    data = {"state": np.repeat([-2.0, -1, 0, 1, 2, 5], [500, 1000, 5000, 900, 600, 20])}
    found = Binning.from_histogram((STATE,), 64, 8, histogram(data, (STATE,), 64))
    assert set(found.features[0].edges) >= {-1.0, 0.0, 1.0}
    bins = found.quantize({"state": np.array([-1.0, 0.0, 1.0])})[:, 0]
    assert len(set(bins.tolist())) == 3


def test_noise_is_taken_off_the_empty_cells():
    # Half of the cells are empty; with clipping alone their noise would hold more mass than one bin.
    truth = np.repeat([40.0, 0.0], 64)
    noisy = truth + np.random.default_rng(3).normal(0, 20, 128)
    cleaned = consistent_counts(noisy, truth.sum())
    assert cleaned.sum() == pytest.approx(truth.sum())
    assert cleaned.min() >= 0
    assert cleaned[64:].sum() < 0.75 * np.maximum(noisy, 0)[64:].sum()
    assert np.linalg.norm(cleaned - truth) < np.linalg.norm(np.maximum(noisy, 0) - truth)


@given(hnp.arrays(np.float64, 20, elements=st.floats(-1e6, 1e6)), st.floats(1e-3, 1e6))
def test_consistent_counts_are_the_projection(noisy, total):
    found = consistent_counts(noisy, total)
    assert found.min() >= 0
    assert found.sum() == pytest.approx(total, rel=1e-6, abs=1e-6)
    # Optimality: moving mass between any two cells with mass changes nothing, into an empty one makes it worse.
    kept = found > 0
    shift = (noisy - found)[kept]
    assert np.ptp(shift) <= 1e-6 * max(1.0, np.abs(noisy).max())
    if (~kept).any():
        assert (noisy[~kept]).max() <= shift.min() + 1e-6 * max(1.0, np.abs(noisy).max())


LENGTH = histogram_length(FEATURES, 16)


@settings(max_examples=60)
@given(
    st.one_of(
        hnp.arrays(np.float64, LENGTH, elements=st.floats(-1e12, 1e12)),
        hnp.arrays(np.int64, LENGTH, elements=st.integers(-(2**40), 2**40)),
        st.sampled_from([np.zeros(LENGTH), -np.ones(LENGTH), np.full(LENGTH, np.nan), np.eye(1, LENGTH)[0]]),
    ),
    st.integers(2, 40),
)
def test_any_noise_gives_a_valid_binning_that_survives_the_wire(totals, bins):
    found = Binning.from_histogram(FEATURES, 16, bins, totals)
    for part in found.features[:3]:
        assert 1 <= len(part.edges) <= bins - 1
        assert set(part.edges) <= set(grid_edges(part.feature, 16))
    again = Binning.from_bytes(found.to_bytes(), FEATURES, bins)
    assert again == found
    data = columns(30)
    indices = again.quantize(data)
    assert indices.dtype == np.int16
    assert indices.shape == (30, 4)
    assert (indices >= 0).all()
    assert (indices < again.sizes).all()


def test_all_negative_noise_gives_uniform_edges():
    feature = NumericFeature(name="x", lower=0, upper=1)
    found = Binning.from_histogram((feature,), 64, 8, np.full(64, -3.0))
    assert np.allclose(found.features[0].edges, np.arange(1, 8) / 8)


def test_missing_is_the_last_bin():
    found = binning()
    indices = found.quantize({**columns(3), "amount": np.array([np.nan, -1e9, 1e9]), "kind": np.array([np.nan, 0, 2])})
    assert indices[0, 0] == found.sizes[0] - 1
    assert indices[1, 0] == 0
    assert indices[2, 0] == found.sizes[0] - 2
    assert indices[:, 3].tolist() == [3, 0, 2]


def test_equal_bins_have_equal_bytes():
    assert binning().to_bytes() == binning().to_bytes()


def test_a_histogram_of_another_length_is_refused():
    with pytest.raises(ValueError, match="cells"):
        Binning.from_histogram(FEATURES, 64, 8, np.zeros(5))


def _tampered(change):
    content = msgpack.unpackb(binning().to_bytes())
    change(content)
    return msgpack.packb(content)


def _set(feature: int, place: int, values):
    def change(content):
        content[1][feature][place] = values

    return change


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        b"\x91" * 5000,
        b"x" * (9 * 1024 * 1024),
        msgpack.packb([]),
        msgpack.packb({"a": 1}),
        binning().to_bytes() + b"\x00",
        binning().to_bytes()[:-1],
        _tampered(lambda c: c[1].pop()),
        _tampered(lambda c: c.append(1)),
        _tampered(lambda c: c.__setitem__(0, "sealscore bins 2")),
        _tampered(_set(0, 0, "other")),
        _tampered(_set(0, 1, [])),
        _tampered(_set(0, 1, [1.0, 1.0])),
        _tampered(_set(0, 1, [2.0, 1.0])),
        _tampered(_set(0, 1, [float("nan")])),
        _tampered(_set(0, 1, [float("inf")])),
        _tampered(_set(0, 1, [1])),
        _tampered(_set(0, 1, [True])),
        _tampered(_set(0, 1, ["1.0"])),
        _tampered(_set(0, 1, 3.0)),
        _tampered(_set(0, 1, [-1000.5])),
        _tampered(_set(0, 1, [50_000.0])),
        _tampered(_set(0, 1, [float(k) for k in range(8)])),
        _tampered(_set(3, 1, [1.0])),
        _tampered(_set(3, 2, [0.25, 0.25, 0.25])),
        _tampered(_set(3, 2, [0.5, 0.5, 0.5, -0.5])),
        _tampered(_set(3, 2, [0.5, 0.5, 0.5, 0.5])),
        _tampered(_set(3, 2, [0.5, 0.5, 0.0, 0.0])),
        _tampered(_set(3, 2, [float("nan")] * 4)),
    ],
)
def test_crafted_bytes_are_refused(data):
    with pytest.raises(ValueError, match="published bins"):
        Binning.from_bytes(data, FEATURES, 8)


@given(st.binary(max_size=200))
def test_random_bytes_never_raise_anything_else(data):
    with pytest.raises(ValueError, match="published bins"):
        Binning.from_bytes(data, FEATURES, 8)


@pytest.mark.parametrize(
    "feature",
    [
        NumericFeature(name="x", lower=1e15 + 0.25, upper=1e15 + 0.5),
        NumericFeature(name="x", lower=-1e308, upper=1.5e308),
        NumericFeature(name="x", lower=-1e308, upper=1.5e308, scale=1e-300),
        NumericFeature(name="x", lower=0, upper=1, integer=True),
    ],
)
def test_extreme_bounds_still_give_a_grid(feature):
    edges = grid_edges(feature, 16)
    assert edges
    assert np.isfinite(edges).all()
    found = Binning.from_histogram((feature,), 16, 4, histogram({"x": np.array([feature.lower])}, (feature,), 16))
    assert Binning.from_bytes(found.to_bytes(), (feature,), 4) == found


def test_public_edges_are_the_bins_whatever_the_histogram():
    feature = NumericFeature(name="late", lower=0, upper=8, integer=True, edges=(0.0, 1.0, 3.0), missing=True)
    values = np.array([0.0, 0.5, 1.0, 2.0, 4.0, np.nan])
    counts = histogram({"late": values}, (feature,), 64)
    assert counts.tolist() == [1, 2, 1, 1, 1]
    for totals in (counts, np.full(5, -7.0)):
        found = Binning.from_histogram((feature,), 64, 2, totals)
        assert found.features[0].edges == feature.edges
        assert found.quantize({"late": values})[:, 0].tolist() == [0, 1, 1, 2, 3, 4]
        assert Binning.from_bytes(found.to_bytes(), (feature,), 2) == found
    other = msgpack.unpackb(found.to_bytes())
    other[1][0][1] = [0.0, 1.0, 2.0]
    with pytest.raises(ValueError, match="published bins"):
        Binning.from_bytes(msgpack.packb(other), (feature,), 2)
