"""The loops over bins: the same bits compiled or not, together or block by block, and as tables give them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from additive_builders import crafted

from sealscore.shared.model.additive import kernels
from sealscore.shared.model.additive.codes import Codes

WAYS = {"compiled": {"WORTH": 0}, "together": {"WORTH": 2**62}, "by block": {"WORTH": 2**62, "TOGETHER": -1}}


def drawn(seed: int, records: int) -> tuple[Codes, np.ndarray, np.ndarray]:
    """Codes with pairs over up to seven bins, bins of records and a weight of each."""
    random = np.random.default_rng(seed)
    codes = crafted(random, bins=int(random.integers(2, 8)), pairs=bool(random.integers(2)))
    bins = np.stack([random.integers(0, size, records) for size in codes.sizes]).astype(np.uint8)
    return codes, bins, random.normal(0, 10.0 ** random.integers(-3, 3), records)


@pytest.fixture(params=WAYS)
def way(request: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each way of computing, the compiled one where numba is installed."""
    if request.param == "compiled" and kernels.compiled() is None:
        pytest.skip("numba is not installed")
    for name, value in WAYS[request.param].items():
        monkeypatch.setattr(kernels, name, value)
    return str(request.param)


def counted(codes: Codes, bins: np.ndarray, weights: np.ndarray) -> list[np.ndarray]:
    """Sums of weights by bin and by pair of bins, record after record."""
    tables = [np.zeros(size) for size in codes.sizes]
    tables += [np.zeros((codes.sizes[pair.left], codes.sizes[pair.right])) for pair in codes.pairs]
    places = [(at,) for at in bins] + [(bins[pair.left], bins[pair.right]) for pair in codes.pairs]
    for table, place in zip(tables, places, strict=True):
        np.add.at(table, place, weights)
    return tables


@pytest.mark.parametrize("records", [0, 1, 5, 40])
def test_what_is_looked_up_is_the_sum_of_tables_to_the_bit(way: str, records: int):
    for seed in range(4):
        codes, bins, _ = drawn(seed, records)
        for tables in (codes.squared_norms, codes.tables(np.random.default_rng(seed).normal(size=codes.length))):
            found = kernels.look_up(tables, bins, kernels.layout_of(tables))
            assert np.array_equal(found, tables.sums(bins))


@pytest.mark.parametrize("sizes", [[0], [1], [40], [3, 0, 17]])
def test_counts_add_record_after_record(way: str, sizes: list[int]):
    starts = np.cumsum([0, *sizes])
    for seed in range(4):
        codes, bins, weights = drawn(seed, int(starts[-1]))
        layout, cells = kernels.layout_of(codes.squared_norms), len(kernels.entries_of(codes.squared_norms))
        found = kernels.count(bins, layout, cells, weights, starts)
        assert found.shape == (len(sizes), cells)
        for row, start, end in zip(found, starts, starts[1:], strict=False):
            expected = counted(codes, bins[:, start:end], weights[start:end])
            assert np.array_equal(row, np.concatenate([table.ravel() for table in expected]))


def test_columns_are_gathered(way: str):
    _, bins, _ = drawn(3, 40)
    rows = np.array([0, 7, 8, 39])
    assert np.array_equal(kernels.gather(bins, rows), bins[:, rows])
    assert kernels.gather(bins, rows[:0]).shape == (len(bins), 0)
