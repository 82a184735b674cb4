import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealscore.shared.model.additive.cells import BINS, CELLS, spread_edges
from sealscore.shared.model.bins import Binning, grid_edges, histogram, records_counted
from sealscore.shared.plan.schema import CategoricalFeature, NumericFeature


@given(st.floats(-1e300, 1e300), st.floats(1e-12, 1e300), st.integers(8, 600))
def test_edges_rise_within_the_bounds(lower, width, cells):
    if not lower < lower + width < np.inf:
        return
    feature = NumericFeature(name="x", lower=lower, upper=lower + width)
    edges = np.array(spread_edges(feature, cells))
    assert len(edges)
    assert (np.diff(edges) > 0).all()
    assert (edges >= feature.lower).all()
    assert (edges < feature.upper).all()
    assert len(edges) <= cells + cells // 2


def test_integers_have_a_cell_each_and_public_edges_stay():
    state = NumericFeature(name="s", lower=-2, upper=8, integer=True)
    assert spread_edges(state, CELLS) == grid_edges(state, CELLS)
    public = NumericFeature(name="p", lower=0, upper=10, edges=(1.0, 5.0))
    assert spread_edges(public, CELLS) == (1.0, 5.0)
    wide = spread_edges(NumericFeature(name="w", lower=0, upper=2e6, integer=True), CELLS)
    assert all(edge.is_integer() for edge in wide)


@pytest.mark.parametrize(("lower", "sign"), [(0.0, 1), (-4e5, 1), (-4e5, -1)])
def test_a_skewed_column_is_cut_into_even_bins_without_a_scale(lower, sign):
    # Most values lie within a thousandth of the bounds, where uniform cells have one cell for all of them.
    values = sign * np.random.default_rng(0).lognormal(5, 1.5, 20_000)
    feature = NumericFeature(name="x", lower=lower, upper=2e6)
    shares = {}
    for grid in (grid_edges, spread_edges):
        counts = histogram({"x": values}, (feature,), CELLS, grid).astype(float)
        (part,) = Binning.from_histogram((feature,), CELLS, BINS, counts, grid).features
        shares[grid] = max(part.reference)
    assert shares[grid_edges] > 0.9
    assert shares[spread_edges] < 0.1


def test_records_are_counted_from_a_noisy_histogram():
    random = np.random.default_rng(1)
    features = (NumericFeature(name="x", lower=0, upper=1), CategoricalFeature(name="k", levels=("a", "b")))
    columns = {"x": random.random(5000), "k": random.integers(0, 2, 5000).astype(float)}
    counts = histogram(columns, features, CELLS, spread_edges).astype(float)
    assert records_counted(features, CELLS, counts, spread_edges) == pytest.approx(5000)
    noisy = counts + random.normal(0, 5, len(counts))
    # The two cells of the category say more than the hundreds of the number.
    assert records_counted(features, CELLS, noisy, spread_edges) == pytest.approx(5000, abs=40)
