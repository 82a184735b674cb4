"""Sums of a row's columns are the same to the last bit by any engine, for a row alone and among many."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from sealscore.clients.features.dictionary.dictionary import KINDS, entries
from sealscore.clients.features.raw.windows import added


@pytest.mark.parametrize("columns", [1, 2, 3, 5, 6])
def test_columns_are_added_in_one_order(columns: int):
    values = np.random.default_rng(columns).lognormal(3, 4, (2000, columns))
    frame = pl.DataFrame(values, schema=[str(at) for at in range(columns)], orient="row").lazy()
    asked = frame.select(added([pl.col(str(at)) for at in range(columns)]))
    whole = asked.collect(engine="streaming").to_series()
    none = pl.QueryOptFlags.none()
    assert asked.collect(engine="in-memory", optimizations=none).to_series().to_list() == whole.to_list()
    for at in range(0, 2000, 97):
        one = frame.slice(at, 1).select(added([pl.col(str(at)) for at in range(columns)]))
        assert one.collect(engine="in-memory", optimizations=none).item() == whole[at]
    # The order in which whole tables were added before there was a sum of our own.
    assert (
        whole.to_list() == frame.select(pl.sum_horizontal(pl.all())).collect(engine="streaming").to_series().to_list()
    )


def test_whole_numbers_are_bounded_as_their_floats():
    written = [None, -(2**62), -1, 0, 15, 16, 17, 110, 999, 10**6, 2**53 + 1, 2**62]
    counts = pl.Series("value", written, dtype=pl.Int64)
    for entry in (found for kind in KINDS for found in entries(kind) if found.integer):
        column = counts.alias(entry.name)
        bounded = column.to_frame().select(entry.bounded(counts=True)).to_series()
        assert bounded.equals(column.cast(pl.Float64).to_frame().select(entry.bounded()).to_series(), check_dtypes=True)
