"""The benches of a large party and of many lenders, at a small size."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from sealscore.shared.model import bins as bins_module
from sealscore.shared.model.bins import Binning, FeatureBins
from sealscore.shared.plan.schema import CategoricalFeature, NumericFeature
from sealscore.simulations.bench import many, party


def test_a_party_of_few_records():
    found = party.run(40_000)
    assert found["bins_gb"] == pytest.approx(40_000 * party.COLUMNS / 1e9)
    assert found["ratio"] == pytest.approx(party.ASKED_SECONDS / (found["bins_seconds"] + found["round_seconds"]))
    assert found["sum_norm"] > 0


def test_a_process_is_rated_whole():
    found = many.rated([sys.executable, "-S", "-c", "sum(range(3_000_000))"], 60.0)
    assert found["ratio"] == pytest.approx(60.0 / found["cpu_seconds"])
    assert 0.003 < found["most_gb"] < 1
    with pytest.raises(RuntimeError):
        many.rated([sys.executable, "-S", "-c", "raise SystemExit(3)"], 60.0)


def test_bins_of_many_records_are_those_of_a_search():
    random = np.random.default_rng(1)
    rows = bins_module._BLOCK + 17
    features = (NumericFeature(name="x", lower=0, upper=1, missing=True), NumericFeature(name="y", lower=0, upper=9))
    level = CategoricalFeature(name="z", levels=("a", "b", "c"))
    edges = ((0.25, 0.5, 0.75), (1.0, 2.0), ())
    parts = [
        FeatureBins(feature, own, (1 / size,) * size)
        for feature, own, size in zip((*features, level), edges, (5, 3, 3), strict=True)
    ]
    binning = Binning(tuple(parts))
    x = np.where(random.random(rows) < 0.1, np.nan, random.choice([0.25, 0.5, 0.75, 0.3, 0.9], rows))
    columns = {"x": x, "y": random.integers(0, 9, rows) * 1.0, "z": random.integers(0, 3, rows) * 1.0}
    found = binning.narrow_bins(columns)
    assert (found.dtype, found.shape) == (np.uint8, (3, rows))
    assert np.array_equal(found[0], np.where(np.isnan(x), 4, np.searchsorted(edges[0], x)))
    assert np.array_equal(found[1], np.searchsorted(edges[1], columns["y"]))
    assert np.array_equal(found[2], columns["z"])
    assert np.array_equal(binning.quantize(columns), found.T)
    assert binning.quantize(columns).dtype == np.int16
