"""Length-prefixed fields: they come apart as they were put together, and other bytes do not come apart at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealscore.shared.fields import FieldsError, counter, pack_fields, plan_bytes, unpack_fields

parts = st.lists(st.binary(max_size=40), max_size=6).map(tuple)


@given(parts)
def test_fields_come_back(fields):
    assert unpack_fields(pack_fields(*fields)) == fields
    assert unpack_fields(pack_fields(*fields), len(fields)) == fields


@given(parts, parts)
def test_different_fields_have_different_bytes(one, other):
    assert (pack_fields(*one) == pack_fields(*other)) == (one == other)


@given(parts.filter(bool), st.data())
def test_bytes_that_are_cut_are_refused(fields, data):
    whole = pack_fields(*fields)
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(FieldsError):
        unpack_fields(whole[:cut], len(fields))


def test_a_length_beyond_the_end_and_a_wrong_count_are_refused():
    for data, count in ((b"\0\0\0\5abcd", 1), (b"\xff\xff\xff\xff", 1), (b"\0\0", 1), (pack_fields(b"a", b"b"), 1)):
        with pytest.raises(FieldsError):
            unpack_fields(data, count)


@pytest.mark.parametrize("value", [-1, 2**64])
def test_counters_beyond_64_bits_are_refused(value):
    with pytest.raises(ValueError, match="counter"):
        counter(value)


@pytest.mark.parametrize("plan", ["", "ab", "AB" * 32, "zz" * 32, " " + "ab" * 32, "ab" * 33])
def test_what_is_no_plan_hash_is_refused(plan):
    with pytest.raises(ValueError, match="hex"):
        plan_bytes(plan)
