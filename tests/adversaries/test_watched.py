"""A platform that watches for a lender learns nothing of what becomes of loans: not who got one, who pays, or who does
not. It gets receipts, of one form and number whatever happens; and whom it tells follows from consents alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_release import TODAY, Pair, application, content_of, known_at, watched_release
from watches import NEXT, batch_of, begun, bits_of, opened, taken, told, watch_request, watching

from sealscore.clients.scoring import tokens
from sealscore.clients.scoring.batches import take_batch
from sealscore.clients.warning.watching import stop_watching

PERSONS = 6
DAYS = [NEXT, NEXT + timedelta(days=1), date(2030, 7, 1), date(2030, 10, 1), date(2031, 1, 1), date(2031, 4, 1)]
# What may become of an application, and in which quarter.
FATES = ("declined", "granted", "repaid", "arrears", "default", "erased")
histories = st.lists(
    st.tuples(st.sampled_from(FATES), st.integers(0, len(DAYS) - 1)), min_size=PERSONS, max_size=PERSONS
)
# Of each day whether the server carries the batch, and the receipt.
deliveries = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=len(DAYS), max_size=len(DAYS))


@contextmanager
def same_handles() -> Iterator[None]:
    """Tokens whose handles are the same in each world."""
    count = iter(range(10**6))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tokens.os, "urandom", lambda size: next(count).to_bytes(size, "big"))
        yield


def lived(
    history: list[tuple[str, int]],
    carried: list[tuple[bool, bool]],
    react: Callable[[Pair, str, str], None] | None = None,
) -> dict[str, Any]:
    """All that a platform has and gives while loans take their ways at the lender; `react` is what the lender tells the
    platform of a fate, if anything.
    """
    pair = Pair(watched_release(batch_places=8))
    persons = known_at(count=PERSONS)
    with same_handles():
        given_tokens = {person: pair.token(person, person) for person in persons}
    for person in persons:
        watching(pair).begin(watch_request(person), TODAY)
    for person, (fate, _) in zip(persons, history, strict=True):
        # Who is declined at a counter may never have been scored.
        if fate != "declined":
            pair.service().score(application(person, given_tokens[person]), "me", TODAY)
    seen: dict[str, Any] = {"batches": [], "sizes": set(), "counts": []}
    for number, (day, (batch_comes, receipt_comes)) in enumerate(zip(DAYS, carried, strict=True)):
        for person, (fate, when) in zip(persons, history, strict=True):
            if when == number and fate == "erased":
                with pair.log.commit() as batch:
                    batch.erase(person, "a right")
            if when == number and react is not None:
                react(pair, person, fate)
        seen["counts"].append(told(pair, day))
        text = batch_of(pair, day)
        seen["sizes"].add(len(text))
        seen["batches"].append(opened(pair, text, day))
        if batch_comes:
            taken(pair, text, day, receipt_comes)
    query = "SELECT person, kind, what, month, value, bits, lender FROM told ORDER BY seq"
    seen["told"] = pair.store._database.execute(query).fetchall()
    seen["charged"] = [entry.day for days in _days(pair) for entry in days]
    return seen


def _days(pair: Pair) -> list[Any]:
    return list(pair.ledger.state.serving.releases[pair.release.hash].days.values())


@settings(max_examples=10, deadline=None)
@given(histories, histories, deliveries)
def test_what_a_platform_gives_and_keeps_is_the_same_whatever_becomes_of_loans(
    one: list[tuple[str, int]], other: list[tuple[str, int]], carried: list[tuple[bool, bool]]
):
    first, second = lived(one, carried), lived(other, carried)
    assert first == second
    # Each batch has the size of one in which nothing is told.
    nobody = Pair(watched_release(batch_places=8))
    assert first["sizes"] == {len(batch_of(nobody))}
    assert sum(counts.told for counts in first["counts"]) == 4 * PERSONS


def test_a_lender_that_ended_watches_with_loans_would_tell_it_who_repaid():
    """The defence off."""

    def react(pair: Pair, person: str, fate: str) -> None:
        if fate == "repaid":
            stop_watching(pair.store, person, pair.lender, TODAY)

    carried = [(True, True)] * len(DAYS)
    history = [("repaid", 1), *[("default", 1)] * (PERSONS - 1)]
    other = [("default", 1)] * PERSONS
    assert lived(history, carried) == lived(other, carried)
    assert lived(history, carried, react) != lived(other, carried, react)


def test_a_server_that_holds_batches_back_or_repeats_them_changes_no_bit_and_revives_none():
    pair = Pair(watched_release(batch_places=8))
    stays, leaves = known_at()[:2]
    for person in (stays, leaves):
        begun(pair, person)
    told(pair)
    held = batch_of(pair)
    later = NEXT + timedelta(days=1)
    with pair.store.transaction() as own:
        own.withdraw(leaves, pair.lender, str(later))
    taken(pair, batch_of(pair, later), later)
    (bit,) = bits_of(pair, stays)
    # The held one comes now, twice, and after the quarters that it is of: the key opens it, and it says nothing new.
    for day in (later, date(2030, 10, 1)):
        for _ in range(2):
            releases, lender = {pair.release.hash: pair.release}, pair.identity(pair.lender)
            take_batch(held, lender, pair.lender_ledger, pair.log, releases, [pair.keys(NEXT)], day, 100)
    assert bits_of(pair, leaves, later) == []
    assert bits_of(pair, stays, later) == [bit]
    assert pair.log.watch_bits(date(2030, 10, 1)) == []


def test_an_end_before_the_first_use_of_a_token_stands_against_a_batch_that_was_held_back():
    pair, person = Pair(watched_release(batch_places=8)), known_at()[0]
    start, later = date(2030, 3, 25), NEXT + timedelta(days=1)
    token = pair.token(person, person, start)
    watching(pair).begin(watch_request(person), start)
    told(pair)
    held = batch_of(pair)
    assert stop_watching(pair.store, person, pair.lender, later) == 1
    taken(pair, batch_of(pair, later), later)
    used = later + timedelta(days=1)
    scored = pair.service(used, start).score(application(person, token, day=used), "me", used)
    assert scored["signals"][0]["status"] == "used"
    for _ in range(2):
        taken(pair, held, receipted=False)
        assert bits_of(pair, person) == []


@pytest.mark.parametrize("carried", [[False, True], [True, True], [True, False]])
def test_what_came_before_the_first_use_of_a_token_is_read_with_it(carried: list[bool]):
    """What was receipted never comes again: the bit would be charged and lost, and an end undone."""
    pair, person = Pair(watched_release(batch_places=8)), known_at()[0]
    start, later = date(2030, 3, 25), NEXT + timedelta(days=1)
    token = pair.token(person, person, start)
    watching(pair).begin(watch_request(person), start)
    told(pair)
    first = batch_of(pair)
    if carried[0]:
        taken(pair, first)
    if carried[1]:
        stop_watching(pair.store, person, pair.lender, later)
        taken(pair, batch_of(pair, later), later)
    used = later + timedelta(days=1)
    pair.service(used, start).score(application(person, token, day=used), "me", used)
    assert len(bits_of(pair, person)) == (not carried[1])
    # Of an entry that was read nothing is left among the tombstones.
    entries = [opened(pair, first, NEXT)[at : at + 16] for at in range(0, 8 * 16, 16)]
    left = [pair.log._database.execute("SELECT 1 FROM handles WHERE handle = ?", (one,)).fetchone() for one in entries]
    assert left.count(None) == (1 if carried[0] else 8)


def test_entries_of_a_batch_are_told_apart_by_the_handle_alone():
    """Who opened a batch without having been given the token finds no bit in it: bits, ends and dummies are keyed."""
    pair = Pair(watched_release(batch_places=8))
    used, unused = known_at()[:2]
    begun(pair, used)
    handle = content_of(pair, pair.token(unused, unused)).handle
    watching(pair).begin(watch_request(unused), TODAY)
    told(pair)
    body = opened(pair, batch_of(pair), NEXT)
    entries = {body[at : at + 16] for at in range(0, len(body), 16)}
    assert len(entries) == 8
    assert handle not in entries
    with pair.log.commit() as batch:
        assert len(batch.take_watch(sorted(entries), "wallet", NEXT)) == 7
    assert bits_of(pair, unused) == []
