import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealscore.shared.text.numbers import (
    LOST,
    MINUS,
    UNKNOWN,
    UNRECORDED,
    between,
    data_size,
    fixed,
    listed,
    percent,
    plural,
    plus_minus,
    recorded,
    share,
    short,
    whole,
)


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf])
def test_what_is_not_known_shows_as_words(value: float | None):
    for show in (fixed, short, percent, data_size, whole):
        assert show(value) == UNKNOWN
    assert plus_minus(value, 0.1) == f"{UNKNOWN} ± 0.100"
    assert plus_minus(0.5, value) == "0.500"


@given(st.floats(), st.integers(0, 6), st.booleans())
def test_no_number_shows_as_nan_or_infinity(value: float, digits: int, sign: bool):
    for text in (fixed(value, digits, sign), short(value, digits + 1), percent(value, digits, sign), data_size(value)):
        assert "nan" not in text
        assert "inf" not in text


def test_fixed():
    assert fixed(1234.5, 1) == "1,234.5"
    assert fixed(-0.25, 2) == f"{MINUS}0.25"
    assert fixed(0.25, 2, sign=True) == "+0.25"
    assert fixed(-0.0004, 2, sign=True) == "0.00"
    assert whole(1e6) == "1,000,000"


def test_short():
    assert [short(v) for v in (0, 2.0, 1.8621, 0.00123, 31540, 1e-5, 2.5e-7, -3e-6)] == [
        *("0", "2", "1.86", "0.00123", "31,540"),
        *("10⁻⁵", "2.5 · 10⁻⁷", f"{MINUS}3 · 10⁻⁶"),
    ]


def test_the_rest():
    assert percent(0.1234, 1) == "12.3\N{NO-BREAK SPACE}%"
    assert plus_minus(0.5, 0.01, 2) == "0.50 ± 0.01"
    assert (share(-0.1), share(0.3), share(1.2)) == (0, 0.3, 1)
    assert [data_size(n) for n in (0, 999, 49_216, 1_052_736, 2.5e13)] == [
        *("0 bytes", "999 bytes", "49.2 kB", "1.05 MB"),
        "25.0 TB",
    ]
    assert (plural(1, "party", "parties"), plural(2, "party", "parties"), plural(3, "bit")) == (
        *("1 party", "2 parties"),
        "3 bits",
    )
    assert [listed(words) for words in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == ["", "a", "a and b", "a, b and c"]


class TestIntervals:
    def test_a_figure_stands_with_its_ends(self):
        assert between(0.78649, 0.7743, 0.7991, 3) == "0.786 (0.774 to 0.799)"
        assert recorded({"auc": 0.5, "intervals": {"auc": [0.25, 0.75]}}, "auc", 2) == "0.50 (0.25 to 0.75)"

    def test_a_figure_without_ends_is_never_shown(self):
        assert recorded({"auc": None, "intervals": {"auc": None}}, "auc") == LOST
        assert recorded({}, "auc") == LOST
        for old in ({"auc": 0.98}, {"auc": 0.98, "intervals": {"auc": None}}, {"auc": 0.98, "intervals": None}):
            assert recorded(old, "auc") == UNRECORDED
