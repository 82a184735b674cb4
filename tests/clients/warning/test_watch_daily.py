"""The running node tells a quarter's bits by itself, and reads release and data only where one is due."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_release import LIMITS, TODAY, Pair, admit_entry, agreed, bits_told, known_at, watched_release
from watches import NEXT, begun, bits_of, exchanged, watch_request, watching

from sealscore.clients.data import DataError
from sealscore.clients.scoring.serving_store import ServingStore
from sealscore.clients.warning.daily import NotTold, tell_bits, watch_chore
from sealscore.clients.warning.watching import ToldQuarter
from sealscore.shared.ledger.entries import EndRelease, TellLimit
from sealscore.shared.serving.release import Release, ReleaseError
from sealscore.shared.serving.watch import last_day, quarter_after, quarter_of


class Kept:
    """The pair's store under another name, which a chore may close."""

    def __init__(self, store: ServingStore) -> None:
        self.transaction, self.close = store.transaction, lambda: None
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def chore_of(pair: Pair, reads: list[str], fault: bool = False) -> Callable[[date], Any]:
    def records(plan: Any) -> Any:
        reads.append("data")
        if fault:
            raise DataError([])
        return agreed(pair.platform)

    return watch_chore(
        pair.platform,
        pair.ledger,
        lambda: Kept(pair.store),  # type: ignore[arg-type, return-value]
        lambda hash: pair.release,
        records,
    ).work


def test_a_quarters_bits_are_told_on_its_first_day_or_when_the_node_is_back(pair: Pair):
    person, reads = known_at()[0], list[str]()
    begun(pair, person)
    work = chore_of(pair, reads)
    assert list(work(TODAY)) == []
    assert reads == []
    (line,) = work(NEXT)
    assert person not in line
    assert reads == ["data"]
    # All is told: the days after read nothing.
    for number in range(1, 4):
        assert list(work(NEXT + timedelta(days=number))) == []
    assert reads == ["data"]
    # The node was away for the first weeks of the next quarter.
    assert len(work(date(2030, 7, 20))) == 1
    assert bits_told(pair, "watch") == [1, 1]


def test_data_that_cannot_be_read_lose_nothing(pair: Pair):
    begun(pair, known_at()[0])
    with pytest.raises(NotTold, match=pair.release.manifest.name):
        chore_of(pair, [], fault=True)(NEXT)
    assert bits_told(pair, "watch") == []
    assert len(chore_of(pair, [])(NEXT + timedelta(days=1))) == 1


def test_a_release_that_cannot_be_told_keeps_no_other_from_it(pair: Pair):
    person = known_at()[0]
    second = watched_release(worst=0.3, name="second", batch_places=8)
    pair.ledger.append(
        lambda state: admit_entry(second, pair.platform, LIMITS | {"watch": TellLimit(month=2, life=24)})
    )
    twin = dataclasses.replace(pair, release=second)
    twin.__dict__.update({name: getattr(pair, name) for name in ("ledger", "store", "log", "lender_ledger")})
    begun(pair, person)
    twin.token(person, "again")
    watching(twin).begin(watch_request(person, key="again"), TODAY)

    def release(hash: str) -> Release:
        if hash == pair.release.hash:
            raise ReleaseError("its folder is gone")
        return second

    with pytest.raises(NotTold, match=pair.release.manifest.name) as error:
        tell_bits(pair.platform, pair.ledger, pair.store, release, lambda plan: agreed(pair.platform), NEXT)
    assert error.value.found == {"second": ToldQuarter(told=1)}


def test_what_a_ceiling_keeps_back_has_no_data_read_day_by_day(pair: Pair):
    person, reads = known_at()[0], list[str]()
    begun(pair, person)
    second = watched_release(worst=0.3, name="second", batch_places=8)
    pair.ledger.append(lambda state: admit_entry(second, pair.platform))
    twin = dataclasses.replace(pair, release=second)
    twin.__dict__.update({name: getattr(pair, name) for name in ("ledger", "store", "log", "lender_ledger")})
    twin.token(person, "again")
    watching(twin).begin(watch_request(person, key="again"), TODAY)
    watching(twin).tell(NEXT)
    # The ceiling of the quarter is reached by the other release.
    assert list(chore_of(pair, reads)(NEXT)) == []
    assert reads == []
    assert bits_told(pair, "watch") == [1]


def test_with_the_release_its_watches_end(pair: Pair):
    begun(pair, known_at()[0])
    hash = pair.release.hash
    pair.ledger.append(lambda state: EndRelease(release=hash, why="a test"))
    assert list(chore_of(pair, [])(NEXT)) == []
    assert bits_told(pair, "watch") == []
    assert exchanged(pair) == 0


def test_bits_that_were_told_are_deleted_with_the_release_and_those_that_wait_are_not_sent(pair: Pair):
    sent, waits = known_at()[:2]
    begun(pair, sent)
    work = chore_of(pair, [])
    work(NEXT)
    exchanged(pair)
    assert len(bits_of(pair, sent)) == 1
    begun(pair, waits, day=NEXT)
    second = date(2030, 7, 1)
    work(second)
    hash = pair.release.hash
    pair.ledger.append(lambda state: EndRelease(release=hash, why="a test"))
    exchanged(pair, second)
    assert [bits_of(pair, person, second) for person in (sent, waits)] == [[], []]
    with pair.store.transaction() as own:
        assert own.take_batch(pair.lender, str(second + timedelta(days=1)), 8)[1:] == ([], [])


@given(st.dates(date(2000, 1, 1), date(2999, 1, 1)), st.integers(-40, 40))
def test_quarters_are_those_of_the_calendar(day: date, count: int):
    quarter = quarter_of(day)
    assert quarter_of(last_day(quarter)) == quarter
    assert last_day(quarter) >= day
    assert quarter_of(last_day(quarter) + timedelta(days=1)) == quarter_after(quarter, 1)
    assert quarter_after(quarter_after(quarter, count), -count) == quarter
    assert (quarter_after(quarter, count) > quarter) == (count > 0)
    for wrong in ("2030-q5", "2030-03", "", "2030-q1x"):
        with pytest.raises(ValueError, match="quarter"):
            last_day(wrong)
