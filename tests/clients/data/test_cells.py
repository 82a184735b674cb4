"""One cell at a time: what it means does not depend on the cells around it, nor on the type it is stored in."""

from __future__ import annotations

from datetime import date, datetime

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealscore.clients.data import cells

RAW = st.sampled_from(["", " ", "NA", "nan", "null", "1", "2", "2.0", " 2", "1e0", "02", "x", "1_0", "inf", "-", "0"])


@given(st.lists(RAW | st.none(), min_size=1, max_size=12))
def test_a_cell_reads_the_same_alone_and_among_others(raw):
    together = pl.Series(raw, dtype=pl.String)
    for read in (cells.numbers, lambda series: cells.levels(series, ("1", "2", "NA"))):
        values, faulty = read(together)
        for at, cell in enumerate(raw):
            value, fault = read(pl.Series([cell], dtype=pl.String))
            np.testing.assert_array_equal(value[0], values[at])
            assert fault[0] == faulty[at]


LONG = [110105194912310021.0, 110105194912310029.0, 110105194912310024.0]


@pytest.mark.parametrize(
    ("column", "faulty"),
    [
        (pl.Series([3.0, 2.0**53 - 1, -7.0, None]), []),
        (pl.Series([3.0, float("nan")]), []),
        (pl.Series(LONG), [0, 1, 2]),
        (pl.Series([2.0**53, -(2.0**53), 1.0]), [0, 1]),
        (pl.Series([3.5, 3.0, float("inf")]), [0, 2]),
        (pl.Series([16777215.0, 16777216.0], dtype=pl.Float32), [1]),
        (pl.Series([110105194912310021, 110105194912310029]), []),
        (pl.Series(["110105194912310021", "1e3", "12E4567", "1.5E", "3.0", "E+1", None]), []),
        (pl.Series(["1.10105E+17", " 1.1010519491231002e+17", "1E+17", "A1E+17", "1.38E10"]), [0, 1, 2, 4]),
        (
            pl.Series(["9007199254740993.0", "110105194912310021.", "900719000000000.0", "3.0", "00000000000000003.0"]),
            [0, 1],
        ),
        (pl.Series(["3.5", "110105194912310021.25"]).cast(pl.Decimal(30, 2)), []),
    ],
)
def test_cells_that_may_stand_for_several_identifiers(column: pl.Series, faulty: list[int]):
    assert np.flatnonzero(cells.inexact(column)).tolist() == faulty


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_decimal_reads_back_as_the_same_number(value):
    assert float(cells.decimal(value)) == value


@given(st.text("0123456789+-.,eE() ", max_size=8))
def test_a_number_in_full_width_characters_is_the_same_number(text):
    wide = "".join("\u3000" if one == " " else chr(ord(one) + 0xFEE0) for one in text)
    for mixed in (wide, text[:1] + wide[1:]):
        values, faulty = cells.numbers(pl.Series([text, mixed]))
        np.testing.assert_array_equal(values[0], values[1])
        assert faulty[0] == faulty[1]


def test_decimal_is_the_shortest_form():
    assert [cells.decimal(x) for x in (2.0, 0.10, -0.0, -3.50, 1e5, 1e-3)] == [
        "2",
        "0.1",
        "0",
        "-3.5",
        "100000",
        "0.001",
    ]
    assert cells.decimal(np.float32(0.1)) == "0.1"


@given(st.lists(st.integers(-9, 9), min_size=1, max_size=20))
def test_levels_match_however_the_number_is_stored(numbers):
    allowed = [str(n) for n in range(-9, 10)]
    expected = np.array([n + 9 for n in numbers], dtype=np.float64)
    for dtype in (pl.Int64, pl.Int8, pl.Float64, pl.Float32, pl.Decimal(10, 2), pl.String):
        values, unseen = cells.levels(pl.Series(numbers).cast(dtype), allowed)
        np.testing.assert_array_equal(values, expected)
        assert not unseen.any()
    values, _ = cells.levels(pl.Series([f" {n}.0" for n in numbers]), allowed)
    np.testing.assert_array_equal(values, expected)


def test_a_level_may_look_like_a_missing_value():
    values, unseen = cells.levels(pl.Series(["NA", "na", "", None, "DE"]), ("DE", "NA"))
    np.testing.assert_array_equal(values, [1, np.nan, np.nan, np.nan, 0])
    assert not unseen.any()


def test_leading_zeros_are_part_of_a_level_that_has_them():
    values, unseen = cells.levels(pl.Series(["007", "7"]), ("007", "8"))
    np.testing.assert_array_equal(values, [0, np.nan])
    np.testing.assert_array_equal(unseen, [False, True])


def test_booleans_match_words_or_digits():
    for allowed in (("false", "true"), ("0", "1")):
        values, unseen = cells.levels(pl.Series([True, False, None]), allowed)
        np.testing.assert_array_equal(values, [1, 0, np.nan])
        assert not unseen.any()


def test_text_in_a_numeric_column_is_told_from_missing():
    values, text = cells.numbers(pl.Series(["1e+05", " 7 ", "NA", "", "1,000", "abc", None, "1_0"]))
    np.testing.assert_array_equal(values, [1e5, 7, np.nan, np.nan, np.nan, np.nan, np.nan, np.nan])
    np.testing.assert_array_equal(text, [False, False, False, False, True, True, False, True])


def test_days():
    expected = np.array(["2024-05-31", "2024-05-31", "NaT", "NaT"], dtype="datetime64[D]")
    values, unread, torn = cells.days(pl.Series(["2024-05-31", "2024-05-31T10:00:00", None, "31.5.2024"]))
    np.testing.assert_array_equal(values, expected)
    np.testing.assert_array_equal(unread, [False, False, False, True])
    assert not torn.any()
    for raw in ([date(2024, 5, 31)], [datetime(2024, 5, 31, 23, 59)]):
        np.testing.assert_array_equal(cells.days(pl.Series(raw)).days, expected[:1])
    assert cells.days(pl.Series(["2024-02-30"])).unread.all()


@pytest.mark.parametrize(
    "sentinel", [date(1, 1, 1), datetime(1, 1, 1), "0001-01-01", "0000-01-01", "0001-01-01T00:00:00Z"]
)
def test_a_day_that_programs_write_for_none_is_none(sentinel):
    found = cells.days(pl.Series([sentinel, None]))
    assert np.isnat(found.days).all()
    np.testing.assert_array_equal(found.unread, [True, False])
    assert not cells.days(pl.Series([date(1000, 1, 1), date(9999, 12, 31)])).unread.any()


def test_decimals_keep_all_their_digits():
    raw = pl.Series(["12345678901234567890.50", "12345678901234567891.00", "-0.10", "100", None])
    texts = cells.texts(raw.cast(pl.Decimal(38, 2)))
    assert texts.to_list() == ["12345678901234567890.5", "12345678901234567891", "-0.1", "100", None]
    assert cells.texts(pl.Series(["100", "7"]).cast(pl.Decimal(20, 0))).to_list() == ["100", "7"]


def test_columns_that_hold_something_else_altogether():
    for read in (cells.numbers, lambda series: cells.levels(series, ("a", "b")), cells.texts):
        with pytest.raises(cells.WrongTypeError, match="List"):
            read(pl.Series([[1], [2]]))
    with pytest.raises(cells.WrongTypeError, match="Int64"):
        cells.days(pl.Series([20240531]))
