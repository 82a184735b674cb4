"""Sums: exact integers for any cohort, whatever the order, up to the very bound."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealscore.shared.crypto.aggregation import AggregationError, PlainSum, SumShape
from sealscore.shared.messages.codec import Address


def protect(name, cohort, shape, vector):
    return PlainSum().protect(Address("plan", "run", "phase", 1, 1, name, "server"), tuple(cohort), shape, vector)


@st.composite
def cohorts(draw):
    shape = SumShape(draw(st.integers(0, 30)), draw(st.integers(1, 2**58)), draw(st.integers(1, 12)))
    entries = st.integers(-shape.bound, shape.bound)
    vectors = st.lists(entries, min_size=shape.length, max_size=shape.length)
    return shape, {f"p{i}": np.array(draw(vectors), dtype=np.int64) for i in range(shape.parties)}


@given(cohorts(), st.randoms())
def test_the_total_is_the_sum_in_any_order(case, random):
    shape, vectors = case
    plain = PlainSum()
    sent = {name: protect(name, vectors, shape, vector) for name, vector in vectors.items()}
    order = list(sent)
    random.shuffle(order)
    total = plain.total(tuple(order), shape, {name: sent[name] for name in order})
    np.testing.assert_array_equal(total, sum(vectors.values(), np.zeros(shape.length, dtype=np.int64)))
    assert all(len(data) == shape.length * shape.bits // 8 for data in sent.values())


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(("parties", "bound"), [(1, 127), (3, 42), (2, 2**30), (7, 2**44 - 1), (4, 2**60)])
def test_nothing_wraps_when_all_are_at_the_bound(parties, bound, sign):
    shape = SumShape(2, bound, parties)
    vectors = {f"p{i}": np.full(2, sign * bound, dtype=np.int64) for i in range(parties)}
    plain = PlainSum()
    sent = {name: protect(name, vectors, shape, vector) for name, vector in vectors.items()}
    np.testing.assert_array_equal(plain.total(tuple(vectors), shape, sent), sign * parties * bound)


def test_a_party_missing_or_too_many_is_refused():
    shape, plain = SumShape(1, 5, 2), PlainSum()
    one = protect("a", "ab", shape, np.array([1]))
    for contributions in ({"a": one}, {"a": one, "b": one, "c": one}, {"a": one, "c": one}):
        with pytest.raises(AggregationError):
            plain.total(tuple("ab"), shape, contributions)


@pytest.mark.parametrize(
    "vector", [np.array([6]), np.array([-6]), np.array([-(2**63)]), np.array([1.0]), np.array([1, 2]), np.array([[1]])]
)
def test_vectors_outside_their_shape_are_refused(vector):
    with pytest.raises(AggregationError):
        SumShape(1, 5, 2).pack(vector)


def test_a_contribution_of_the_wrong_length_is_refused():
    with pytest.raises(AggregationError):
        SumShape(3, 5, 2).unpack(b"1234")


def test_a_sum_that_no_word_holds_is_refused():
    with pytest.raises(ValueError, match="bits"):
        _ = SumShape(1, 2**62, 4).bits
