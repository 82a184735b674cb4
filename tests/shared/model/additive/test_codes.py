from dataclasses import replace
from fractions import Fraction

import msgpack
import numpy as np
import pytest
from additive_builders import binned, crafted, dense_codes, design, drawn
from hypothesis import given, settings
from hypothesis import strategies as st

from sealscore.shared.model.additive.codes import (
    MAX_UNITS,
    Codes,
    Pair,
    narrow,
)
from sealscore.shared.model.coding import CODE_GRID
from sealscore.shared.model.weights import WEIGHT_GRID, WEIGHT_LIMIT, admissible


def exact_table(table: np.ndarray, weights: np.ndarray) -> list[Fraction]:
    return [
        sum((Fraction(entry) * Fraction(weight) for entry, weight in zip(row, weights, strict=True)), Fraction())
        for row in table
    ]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([1.0, 30.0, 1e4, 1e300]))
def test_tables_are_exact_whatever_the_weights(seed, size):
    random = np.random.default_rng(seed)
    codes = crafted(random)
    weights = admissible(random.normal(0, size, codes.length))
    found = codes.tables(weights)
    _, mains, _ = codes.split(weights)
    for table, main, weight in zip(found.mains, codes.mains, mains, strict=True):
        for entry, exact in zip(table, exact_table(main, weight), strict=True):
            rounded = Fraction(round(exact / Fraction(WEIGHT_GRID))) * Fraction(WEIGHT_GRID)
            bounded = min(max(rounded, -Fraction(WEIGHT_LIMIT)), Fraction(WEIGHT_LIMIT))
            assert Fraction(entry) == bounded
    # The order of a matrix product's sums does not matter, so a batch or a library cannot change a table.
    order = random.permutation(MAX_UNITS)
    for table, main, weight in zip(found.mains, codes.mains, mains, strict=True):
        turned = np.clip(
            np.rint(main[:, order] @ weight[order] / WEIGHT_GRID) * WEIGHT_GRID, -WEIGHT_LIMIT, WEIGHT_LIMIT
        )
        assert np.array_equal(turned, table)


@pytest.mark.parametrize("rotten", [np.nan, np.inf, -np.inf, 1e308, -1e308])
def test_any_weights_give_finite_tables_within_the_limit(rotten):
    codes = crafted(np.random.default_rng(0))
    for weights in (np.full(codes.length, rotten), np.where(np.arange(codes.length) % 2, rotten, -rotten)):
        found = codes.tables(weights)
        for table in (*found.mains, *(pair.table for pair in found.pairs), np.array(found.constant)):
            assert np.isfinite(table).all()
            assert np.abs(table).max() <= WEIGHT_LIMIT


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.booleans())
def test_a_logit_depends_on_no_other_record(seed, wild):
    random = np.random.default_rng(seed)
    codes = crafted(random)
    bins = random.integers(0, 5, (3, 60)).astype(np.uint8)
    tables = codes.tables(random.normal(0, 1e5 if wild else 1.0, codes.length))
    together = tables.sums(bins)
    order = random.permutation(60)
    assert np.array_equal(tables.sums(bins[:, order]), together[order])
    for place in range(0, 60, 7):
        assert tables.sums(bins[:, place : place + 1])[0] == together[place]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 5))
def test_norms_and_logits_are_those_of_the_dense_code(seed, features):
    random = np.random.default_rng(seed)
    parts = binned(random, features)
    codes = design(parts, pairs=0.1 if features > 1 else None).codes
    bins = drawn(random, parts, 20)
    dense = dense_codes(codes, bins)
    assert dense.shape == (20, codes.length)
    assert codes.squared_norms.sums(bins) == pytest.approx((dense**2).sum(axis=1), rel=1e-12)
    weights = random.normal(0, 0.5, codes.length)
    tables = 1 + len(codes.mains) + len(codes.pairs)
    assert codes.tables(weights).sums(bins) == pytest.approx(dense @ weights, abs=1e-4 * tables)


def test_published_bytes_are_read_back_and_nothing_else_is():
    random = np.random.default_rng(3)
    parts = binned(random, 4)
    codes = design(parts, pairs=0.1).codes
    data = codes.to_bytes()
    again = Codes.from_bytes(data, codes.sizes)
    assert again.to_bytes() == data
    assert again.length == codes.length
    assert again.pairs == codes.pairs
    for other in (data[:-1], data + b"\0", b"", data.replace(b"codes 1", b"codes 2")):
        with pytest.raises(ValueError, match="published codes"):
            Codes.from_bytes(other, codes.sizes)
    for sizes in (codes.sizes[:-1], (*codes.sizes[:-1], codes.sizes[-1] + 1)):
        with pytest.raises(ValueError, match="published codes"):
            Codes.from_bytes(data, sizes)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ((1,), b"\xff\xff\xff\x7f"),
        ((2, 0, 0), [2**31, 1]),
        ((2, 0, 1), b"\xff\xff\xff\x7f"),
        ((3, 0, 0), 1),
        ((3, 0, 1), 9),
        ((3, 0, 2), [11]),
        ((3, 0, 2), [1, 2]),
        ((3, 0, 2), ["a"]),
        ((3, 0, 2), []),
        ((3,), [[0, 1, [1, 1]], [0, 1, [1, 1]]]),
    ],
)
def test_crafted_parts_are_refused(place, value):
    part = design(binned(np.random.default_rng(4), 2, most=3), pairs=0.1).codes
    content = msgpack.unpackb(part.to_bytes())
    at = content
    for step in place[:-1]:
        at = at[step]
    at[place[-1]] = value
    with pytest.raises(ValueError, match="published codes"):
        Codes.from_bytes(msgpack.packb(content), part.sizes)


def test_codes_that_would_not_be_exact_are_refused():
    good = crafted(np.random.default_rng(5), features=2)
    with pytest.raises(ValueError, match="grid"):
        replace(good, intercept=CODE_GRID / 2)
    with pytest.raises(ValueError, match="grid"):
        replace(good, mains=(good.mains[0] * 2, good.mains[1]))
    with pytest.raises(ValueError, match="units"):
        replace(good, mains=tuple(np.zeros((5, MAX_UNITS + 1)) for _ in range(2)))
    with pytest.raises(ValueError, match="order"):
        replace(good, pairs=(Pair(1, 1, (10,) * 10),))
    with pytest.raises(ValueError, match="rise"):
        replace(good, pairs=(Pair(0, 1, (9,) + (10,) * 9),))
    with pytest.raises(ValueError, match="numbers"):
        good.split(np.zeros(good.length + 1))


def test_bins_take_a_byte_each_where_that_is_enough():
    bins = np.array([[0, 255], [3, 200]], dtype=np.int16)
    assert narrow(bins, (256, 256)).dtype == np.uint8
    assert narrow(bins, (256, 257)).dtype == np.uint16
    assert np.array_equal(narrow(bins, (256, 256)), bins.T)
