"""Alignment, by whichever way: both sides name exactly the persons that both know, alike, in messages of one size."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sealscore.shared.crypto.alignment import Aligned, AlignmentError, ExactMatching, padded_size
from sealscore.shared.crypto.psi import PrivateMatching
from sealscore.shared.randomness.streams import Purpose, StreamSource

SIZE, OTHERS = 16, 32
WAYS = {
    "exact": lambda form="exact": ExactMatching(b"salt", form, SIZE),
    "private": lambda form="exact": PrivateMatching(form, SIZE, OTHERS),
}


def stream(party, purpose=Purpose.FILLER):
    return StreamSource.system().stream("run", "align", 1, 0, party, purpose)


def align(matching, lender, platform, other=None):
    """Both sides' results, and the three messages."""
    asking = matching.ask(lender, stream("lender"))
    answering = (other or matching).answer(asking.request, platform, stream("platform"))
    message, at_lender = asking.handles(answering.response, stream("lender", Purpose.HANDLES))
    return at_lender, answering.accept(message), (asking.request, answering.response, message)


@pytest.fixture(params=sorted(WAYS))
def way(request):
    return WAYS[request.param]


@pytest.mark.parametrize(("records", "size"), [(1, 1), (2, 2), (3, 4), (16, 16), (17, 32), (24_000, 32_768)])
def test_sizes_are_powers_of_two(records, size):
    assert padded_size(records) == size


people = st.lists(st.sampled_from([f"人{n} " for n in range(24)] + ["a", "A"]), max_size=SIZE, unique=True)


@settings(max_examples=20, deadline=None)
@given(people, people, st.sampled_from(sorted(WAYS)))
def test_both_name_the_intersection_alike(lender, platform, name):
    at_lender, at_platform, messages = align(WAYS[name](), lender, platform)
    assert set(at_lender.persons) == set(lender) & set(platform)
    assert (at_lender.handles, at_lender.persons) == (at_platform.handles, at_platform.persons)
    assert at_lender.handles == tuple(sorted(at_lender.handles))
    assert at_lender.digest == at_platform.digest
    assert [len(message) for message in messages] == [len(m) for m in align(WAYS[name](), ["x"], [])[2]]


def test_a_person_given_twice_counts_once(way):
    at_lender, at_platform, _ = align(way(), ["a", "a", "b"], ["b", "b", "a"])
    assert sorted(at_lender.persons) == sorted(at_platform.persons) == ["a", "b"]


def test_too_many_persons_do_not_fit(way):
    with pytest.raises(AlignmentError, match="17 persons do not fit into messages of 16"):
        way().ask([str(n) for n in range(17)], stream("lender"))


def test_another_normal_form_is_refused(way):
    with pytest.raises(AlignmentError, match="normal form"):
        align(way(), ["a"], ["a"], other=way("creator-id"))


def test_messages_of_another_size_are_refused(way):
    matching = way()
    asking = matching.ask(["a"], stream("lender"))
    for wrong in (b"", asking.request[:-1], asking.request + b"\2", asking.request[:32]):
        with pytest.raises(AlignmentError, match="16 entries"):
            matching.answer(wrong, ["a"], stream("platform"))
    answering = matching.answer(asking.request, ["a"], stream("platform"))
    for wrong in (b"", answering.response[:-1], answering.response + b"\2"):
        with pytest.raises(AlignmentError, match="response"):
            asking.handles(wrong, stream("lender"))
    message, _ = asking.handles(answering.response, stream("lender"))
    for wrong in (b"", message[:-1], message + b"\0"):
        with pytest.raises(AlignmentError, match="handle"):
            answering.accept(wrong)


def test_a_handle_given_twice_is_refused(way):
    matching = way()
    asking = matching.ask(["a", "b"], stream("lender"))
    answering = matching.answer(asking.request, ["a", "b"], stream("platform"))
    message, _ = asking.handles(answering.response, stream("lender"))
    width = len(message) // SIZE
    twice = message[:-16] + message[width - 16 : width]
    with pytest.raises(AlignmentError, match="twice"):
        answering.accept(twice)


def test_no_person_is_shown():
    assert "secret" not in repr(Aligned.of({b"h" * 16: "secret"}, 4))


def test_exact_claims_of_filling_make_a_pair_of_nobody():
    matching = WAYS["exact"]()
    asking = matching.ask(["a"], stream("lender"))
    _, aligned = asking.handles(np.packbits(np.ones(SIZE, dtype=np.uint8)).tobytes(), stream("lender"))
    assert "filling" in aligned.fault
    assert set(aligned.persons) == {""}
