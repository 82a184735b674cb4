"""Bits told of a person over the life of a data set: what is new is counted, what was told already is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.privacy.disclosures import BitsUsedUp, Disclosed

LEVELS = {"ann": 3, "bo": 0}


def test_what_was_told_is_nothing_new():
    disclosed = Disclosed()
    assert disclosed.check("signal", "tower 1", 4, LEVELS, 4) == ["ann", "bo"]
    disclosed.spend("signal", "tower 1", 4, LEVELS, 4)
    assert disclosed.check("signal", "tower 1", 4, LEVELS, 4) == []
    disclosed.spend("signal", "tower 1", 4, LEVELS, 4)
    assert disclosed.bits("signal", LEVELS) == 4


@pytest.mark.parametrize(
    ("what", "values"),
    [("tower 2", LEVELS), ("tower 1", {"ann": 4}), ("tower 2", {"ann": 3})],
    ids=["another tower", "another level", "the same level by another tower"],
)
def test_anything_else_needs_bits_of_its_own(what: str, values: dict[str, int]):
    disclosed = Disclosed()
    disclosed.spend("signal", "tower 1", 4, LEVELS, 4)
    with pytest.raises(BitsUsedUp, match=r"no more than 4 bits of a person may ever be disclosed \(signal\)"):
        disclosed.check("signal", what, 4, values, 4)
    disclosed.spend("signal", what, 4, values, 8)
    assert disclosed.bits("signal", ["ann"]) == 8


def test_one_person_too_many_stops_all_and_spends_nothing():
    disclosed = Disclosed()
    disclosed.spend("signal", "tower 1", 4, {"ann": 3}, 4)
    with pytest.raises(BitsUsedUp):
        disclosed.spend("signal", "tower 2", 4, {"bo": 1, "ann": 1, "cy": 1}, 4)
    assert disclosed.bits("signal", ["bo", "cy"]) == 0
    assert disclosed.check("signal", "tower 2", 4, {"bo": 1, "cy": 1}, 4) == ["bo", "cy"]


def test_checking_spends_nothing():
    disclosed = Disclosed()
    for _ in range(3):
        disclosed.check("signal", "tower 1", 4, LEVELS, 4)
    assert disclosed.bits("signal", LEVELS) == 0


def test_kinds_are_counted_apart():
    disclosed = Disclosed()
    disclosed.spend("signal", "tower 1", 4, LEVELS, 4)
    disclosed.spend("groups", "SEX", 1, {"ann": 1}, 1)
    assert disclosed.bits("signal", LEVELS) == 4
    assert disclosed.bits("groups", LEVELS) == 1


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["t1", "t2", "t3"]),
            st.integers(1, 3),
            st.dictionaries(st.sampled_from("abcd"), st.integers(0, 2), max_size=4),
        ),
        max_size=20,
    ),
    st.integers(1, 8),
)
def test_whatever_is_asked_nobody_has_more_bits_told_of_than_the_limit(asked, limit: int):
    disclosed, told = Disclosed(), dict.fromkeys("abcd", 0)
    seen: dict[tuple[str, str], int] = {}
    for what, bits, values in asked:
        try:
            disclosed.spend("signal", what, bits, values, limit)
        except BitsUsedUp:
            continue
        for person, value in values.items():
            if seen.get((person, what)) != value:
                told[person] += bits
            seen[person, what] = value
    assert all(disclosed.bits("signal", [person]) == bits <= limit for person, bits in told.items())


def test_nothing_of_persons_shows_in_a_text():
    disclosed = Disclosed()
    disclosed.spend("signal", "tower 1", 4, {"secret-person": 3}, 4)
    assert "secret-person" not in repr(disclosed)
