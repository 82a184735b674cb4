"""Bits told of a person over the life of a data set: as many as the limit says, of whomever, and fills beyond it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealscore.shared.ledger.disclosure_store import DisclosureStore
from sealscore.shared.ledger.disclosures import Disclosed, ToldNumbers
from sealscore.shared.randomness.streams import StreamSource

LEVELS = {"ann": 3, "bo": 0}


def disclosed(disclosure_store: DisclosureStore | None = None, seed: int = 1) -> Disclosed:
    return Disclosed(StreamSource.seeded(seed, "labels"), disclosure_store or DisclosureStore())


def told(
    one: Disclosed, values: dict[str, int], what: str = "tower 1", limit: int = 4, recipient: str = "lender-1"
) -> ToldNumbers:
    return one.spend("signal", what, 4, 16, values, limit, recipient, "plan")


def test_values_that_the_limit_holds_are_told():
    one = disclosed()
    found = told(one, LEVELS)
    assert (dict(found.numbers), found.persons, found.fresh, found.over) == (LEVELS, 2, 2, 0)
    assert one.bits("signal", LEVELS) == 4


@pytest.mark.parametrize("recipient", ["lender-1", "lender-2"])
def test_what_was_told_is_nothing_new_to_anybody(recipient: str):
    disclosure_store = DisclosureStore()
    one = disclosed(disclosure_store)
    told(one, LEVELS)
    disclosure_store.confirm()
    again = told(one, LEVELS, recipient=recipient)
    assert (dict(again.numbers), again.fresh) == (LEVELS, 0)
    assert one.bits("signal", LEVELS) == 4


@pytest.mark.parametrize("recipient", ["lender-1", "lender-2"])
def test_a_value_that_changed_is_told_as_it_was(recipient: str):
    one = disclosed()
    told(one, LEVELS)
    again = told(one, {"ann": 4, "bo": 0}, recipient=recipient)
    assert dict(again.numbers) == LEVELS
    assert one.bits("signal", ["ann"]) == 4


def test_beyond_the_limit_everybody_has_a_fill_also_of_whom_nothing_was_told():
    """Whose bits are left must not show: else a level that all share would name whom others were told of."""
    one = disclosed()
    told(one, LEVELS)
    persons = {f"p{n}": 7 for n in range(400)}
    found = told(one, persons | LEVELS, "tower 2", recipient="lender-2")
    assert (found.persons, found.fresh, found.over) == (0, 0, 402)
    assert one.bits("signal", found.numbers) == 4
    assert one.bits("signal", persons) == 0
    counts = np.bincount(list(found.numbers.values()), minlength=16)
    assert len(counts) == 16
    assert (np.abs(counts - 25) < 5 * 5).all()
    # A repeated message is the same message, for as long as there is the secret, whatever limit holds by then.
    assert dict(told(one, persons | LEVELS, "tower 2", 8, "lender-2").numbers) == dict(found.numbers)
    fresh = disclosed()
    told(fresh, LEVELS)
    assert dict(told(fresh, persons | LEVELS, "tower 2").numbers) == dict(found.numbers)
    other = disclosed(seed=2)
    told(other, LEVELS)
    assert dict(told(other, persons | LEVELS, "tower 2").numbers) != dict(found.numbers)


def test_a_meaning_of_which_nobody_was_told_counts_like_any_other():
    one = disclosed()
    assert told(one, {}).persons == 0
    assert told(one, LEVELS, "tower 2").persons == 0


def test_a_meaning_that_was_filled_does_not_count():
    one = disclosed()
    told(one, LEVELS)
    told(one, LEVELS, "tower 2")
    assert told(one, LEVELS | {"cy": 5}).numbers["cy"] == 5


def test_of_whom_there_is_nothing_to_tell_there_is_a_fill_and_it_stays():
    one = disclosed()
    first = told(one, {"ann": 3, "bo": -1})
    assert (first.persons, first.over) == (1, 0)
    later = told(one, {"ann": -1, "bo": 9})
    assert dict(later.numbers) == dict(first.numbers)
    assert later.over == 1
    # Another recipient is told by what it was told itself.
    assert told(one, {"ann": -1, "bo": 9}, recipient="lender-2").numbers["bo"] == 9


def test_a_higher_limit_lets_another_meaning_through_and_a_lower_one_takes_none_back():
    one = disclosed()
    told(one, LEVELS)
    assert dict(told(one, {"ann": 5, "bo": 6}, "tower 2", 8).numbers) == {"ann": 5, "bo": 6}
    assert dict(told(one, LEVELS, limit=1).numbers) == LEVELS
    assert told(one, {"cy": 1}, limit=4, recipient="lender-2").persons == 0


def test_kinds_are_counted_apart():
    one = disclosed()
    told(one, LEVELS)
    one.spend("groups", "SEX", 1, 2, {"ann": 1}, 1)
    assert one.bits("signal", LEVELS) == 4
    assert one.bits("groups", LEVELS) == 1


def test_persons_of_a_register_that_told_one_meaning_twice_are_not_told_beyond_the_limit():
    """Earlier versions told a value that had changed as another one."""
    disclosure_store = DisclosureStore()
    for value in (1, 2):
        disclosure_store.tell("signal", "tower 1", 4, "lender-1", "plan", {"ann": value})
    found = told(disclosed(disclosure_store), {"ann": 3, "bo": 3}, "tower 2", 8)
    assert (found.persons, found.over) == (1, 1)
    assert found.numbers["bo"] == 3
    assert disclosure_store.bits("signal", "ann") == 8


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["t1", "t2", "t3"]),
            st.integers(1, 3),
            st.dictionaries(st.sampled_from("abcd"), st.integers(-1, 2), max_size=4),
            st.sampled_from(["one", "two"]),
        ),
        max_size=20,
    ),
    st.integers(1, 8),
)
def test_whatever_is_asked_nobody_has_more_bits_told_of_than_the_limit(asked, limit: int):
    one, first = disclosed(), {}
    for what, bits, values, recipient in asked:
        found = one.spend("signal", what, bits, 3, values, limit, recipient)
        assert found.numbers.keys() == values.keys()
        for person, number in found.numbers.items():
            # Whatever comes in between, a recipient never gets a second number of a person under one meaning.
            assert first.setdefault((recipient, what, person), number) == number
    assert one.bits("signal", "abcd") <= limit


def test_nothing_of_persons_shows_in_a_text():
    one = disclosed()
    told(one, {"secret-person": 3})
    assert "secret-person" not in repr(one)
