"""Alignment: both sides end with the same handles for exactly the persons whom both know, in messages of one size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealscore.shared.crypto.alignment import HANDLE_BYTES, Aligned, AlignmentError, ExactMatching
from sealscore.shared.randomness.streams import Purpose, Stream, StreamSource

SIZE = 64
MATCHING = ExactMatching(b"a salt of 32 bytes, of this pair", "exact", SIZE)


def stream(purpose: Purpose, seed: int = 1) -> Stream:
    return StreamSource.seeded(seed, "lender").stream("run", "align", 1, 0, "lender", purpose)


def carry(
    here: Sequence[str], there: Sequence[str], matching: ExactMatching = MATCHING, seed: int = 1
) -> tuple[Aligned, Aligned, tuple[bytes, bytes, bytes]]:
    """All messages between a lender that knows `here` and a platform that knows `there`."""
    asking = matching.ask(here, stream(Purpose.FILLER, seed))
    answering = matching.answer(asking.request, there, stream(Purpose.FILLER, seed))
    message, lender = asking.handles(answering.response, stream(Purpose.HANDLES, seed))
    return lender, answering.accept(message), (asking.request, answering.response, message)


PERSONS = st.sets(st.text(min_size=1, max_size=4), max_size=SIZE)


@given(PERSONS, PERSONS)
def test_both_sides_agree_on_exactly_the_persons_whom_both_know(here: set[str], there: set[str]):
    lender, platform, _ = carry(sorted(here), sorted(there))
    assert set(lender.persons) == here & there
    assert lender == platform
    assert lender.digest == platform.digest
    assert list(lender.handles) == sorted(lender.handles)


@given(PERSONS, PERSONS)
def test_messages_have_the_size_of_the_plan_whoever_is_there(here: set[str], there: set[str]):
    *_, (request, response, message) = carry(sorted(here), sorted(there))
    assert len(request) == 32 + 16 * SIZE
    assert len(response) == SIZE // 8
    assert len(message) == HANDLE_BYTES * SIZE


def test_the_order_in_which_a_table_lists_persons_tells_nothing():
    here, there = [f"p{n}" for n in range(40)], [f"p{n}" for n in range(20, 60)]
    one, two = (carry(order, there) for order in (here, here[::-1]))
    assert one[2] == two[2]
    assert one[0] == two[0]


def test_tokens_of_persons_and_of_nobody_cannot_be_told_apart_by_their_place():
    """Filling is sorted in among the tokens: a run of known ones at one end would tell how many there are."""
    persons = [f"p{n}" for n in range(32)]
    tokens = {MATCHING.token(person) for person in persons}
    body = MATCHING.ask(persons, stream(Purpose.FILLER)).request[32:]
    places = [body[i : i + 16] in tokens for i in range(0, len(body), 16)]
    assert sum(places) == 32
    assert 8 < sum(places[:32]) < 24


def test_handles_are_random_and_of_one_alignment():
    here = [f"p{n}" for n in range(50)]
    one, other = (carry(here, here, seed=seed)[0] for seed in (1, 2))
    assert len(set(one.handles)) == 50
    assert not set(one.handles) & set(other.handles)
    # Their order says nothing of that of the persons.
    assert one.persons != other.persons
    ranks = [np.argsort([a.persons.index(person) for person in here]) for a in (one, other)]
    assert abs(np.corrcoef(*ranks)[0, 1]) < 0.5


def test_another_pair_has_other_tokens():
    """A salt of its own for each pair: whoever sees two requests cannot link their persons."""
    other = ExactMatching(b"another salt, of another pair  ", "exact", SIZE)
    assert not {MATCHING.token(p) for p in ("p1", "p2")} & {other.token(p) for p in ("p1", "p2")}


def test_more_persons_than_fit():
    with pytest.raises(AlignmentError, match=r"65 persons do not fit into messages of 64 entries; have the plan's"):
        MATCHING.ask([f"p{n}" for n in range(SIZE + 1)], stream(Purpose.FILLER))


@pytest.mark.parametrize("change", [lambda r: r[:-1], lambda r: r + b"\0", lambda r: b"", lambda r: r[:32]])
def test_a_request_of_another_size(change):
    request = MATCHING.ask(["p1"], stream(Purpose.FILLER)).request
    with pytest.raises(AlignmentError, match="a request of this pair has 64 entries; ask its operator"):
        MATCHING.answer(change(request), ["p1"], stream(Purpose.FILLER))


def test_another_normal_form_is_found_before_anything_is_compared():
    folding = ExactMatching(b"a salt of 32 bytes, of this pair", "creator-id", SIZE)
    request = MATCHING.ask(["p1"], stream(Purpose.FILLER)).request
    with pytest.raises(AlignmentError, match=r"another normal form than 'creator-id'; run one version of Sealscore"):
        folding.answer(request, ["p1"], stream(Purpose.FILLER))


def test_responses_that_are_none():
    asking = MATCHING.ask(["p1"], stream(Purpose.FILLER))
    with pytest.raises(AlignmentError, match="has 8 bytes, not 9"):
        asking.handles(bytes(9), stream(Purpose.HANDLES))


def test_a_claim_of_filling_makes_a_pair_of_nobody():
    asking = MATCHING.ask(["p1"], stream(Purpose.FILLER))
    message, aligned = asking.handles(b"\xff" * 8, stream(Purpose.HANDLES))
    # Refused, it would tell the platform how full the request is.
    assert len(message) == SIZE * HANDLE_BYTES
    assert (set(aligned.persons), len(aligned.handles)) == ({""}, SIZE)
    assert "mere filling" in aligned.fault


def test_handles_that_are_none():
    message = carry(["p1"], ["p1"])[2][2]
    request = MATCHING.ask(["p1"], stream(Purpose.FILLER)).request
    for handles, told in ((message[:-1], "there must be 64 handles"), (message[:HANDLE_BYTES] * SIZE, "given twice")):
        answering = MATCHING.answer(request, ["p1"], stream(Purpose.FILLER))
        with pytest.raises(AlignmentError, match=told):
            answering.accept(handles)


def test_nothing_of_persons_shows_in_a_text():
    lender, _, _ = carry(["secret-person"], ["secret-person"])
    assert "secret-person" not in repr(lender)
    assert lender.handles[0].hex() not in repr(lender)
