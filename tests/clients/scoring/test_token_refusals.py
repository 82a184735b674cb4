"""Tokens that are not made: each refusal has a code, charges nothing, loses nothing and names no person."""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from small_release import (
    TODAY,
    Pair,
    bits_told,
    code_of,
    crafted,
    everybody,
    known_at,
    request,
    small_release,
)

from sealscore.clients.scoring.serving_store import ServingStore, ServingStoreError
from sealscore.clients.scoring.tokens import NoToken
from sealscore.shared.ledger.entries import EndRelease
from sealscore.shared.ledger.ledger import LedgerError
from sealscore.shared.persons.consent import Consent

APRIL = date(2030, 4, 1)
TOMORROW = TODAY + timedelta(days=1)


def test_a_key_is_of_one_consent(pair: Pair):
    person, other = known_at()[:2]
    first = pair.token(person, "k")
    assert pair.token(person, "k") == first
    assert pair.token(person, "k", TOMORROW) == first
    changes: list[dict[str, Any]] = [
        {"text": "b" * 64},
        {"language": "zh"},
        {"kinds": frozenset({"signal", "capacity"})},
    ]
    for change in changes:
        assert code_of(lambda change=change: pair.token(person, "k", TOMORROW, **change)) == "key-used"
    assert code_of(lambda: pair.token(other, "k", TOMORROW)) == "key-used"
    assert bits_told(pair) == [3]


def test_a_consent_that_was_withdrawn_gets_its_token_no_more(pair: Pair):
    person = known_at()[0]
    pair.token(person, "k")
    with pair.store.transaction() as own:
        assert own.withdraw(person, "lender-1", str(TODAY)) == 1
    assert code_of(lambda: pair.token(person, "k")) == "withdrawn"
    # Another lender's is another consent.
    pair.token(person, "k", lender="lender-2")


@pytest.mark.parametrize(
    ("code", "asked"),
    [
        ("lender", {"lender": "stranger"}),
        ("kind", {"kinds": frozenset({"signal", "flag"})}),
        ("kind", {"kinds": frozenset({"capacity"})}),
        ("malformed", {"text": "short"}),
        ("malformed", {"text": "A" * 64}),
        ("malformed", {"language": ""}),
        ("malformed", {"language": "z" * 21}),
        ("malformed", {"key": ""}),
        ("malformed", {"key": "k" * 201}),
        ("malformed", {"key": "\ud800"}),
        ("malformed", {"language": "\ud800\ud800"}),
        ("person", {"person": ""}),
        ("person", {"person": "secret-\ud800"}),
        ("no-consent", {"person": "secret-stranger"}),
    ],
)
def test_what_cannot_be_asked_names_no_person(pair: Pair, code: str, asked: dict[str, Any]):
    person = known_at()[0]
    wanted = request(**{"person": person, **asked})
    with pytest.raises(NoToken) as error:
        pair.maker().make(wanted, TODAY)
    assert error.value.code == code
    for secret in ("secret", person):
        assert secret not in str(error.value) + repr(wanted)
    assert bits_told(pair) == []


def test_who_is_unknown_and_who_does_not_consent_get_the_same_words(pair: Pair):
    records = everybody("wallet")
    refusing = dataclasses.replace(records, consent=tuple(() for _ in records.person))
    said = set()
    for maker, person in ((pair.maker(records=refusing), known_at()[0]), (pair.maker(), "nobody")):
        with pytest.raises(NoToken) as error:
            maker.make(request(person), TODAY)
        said.add((error.value.code, str(error.value)))
    assert len(said) == 1


@pytest.mark.parametrize(
    ("consent", "told"),
    [
        (Consent("lender-1"), True),
        (Consent("lender-1", "credit-decision"), True),
        (Consent("lender-1", "scoring-model"), False),
        (Consent("lender-2"), False),
        (Consent("federation"), False),
        (Consent("lender-1", withdrawn=TODAY), False),
        (Consent("lender-1", expires=TODAY - timedelta(days=1)), False),
        (Consent("lender-1", given=TOMORROW), False),
    ],
)
def test_a_consent_must_live_for_this_lender_and_purpose(pair: Pair, consent: Consent, told: bool):
    records = everybody("wallet")
    maker = pair.maker(records=dataclasses.replace(records, consent=tuple((consent,) for _ in records.person)))
    asked = request(known_at()[0])
    if told:
        maker.make(asked, TODAY)
    else:
        assert code_of(lambda: maker.make(asked, TODAY)) == "no-consent"
    assert bits_told(pair) == [3] * told


def test_a_release_outside_of_its_days_ended_or_not_approved_makes_none(pair: Pair):
    person = known_at()[0]
    for day in (date(2029, 12, 31), date(2031, 1, 2)):
        assert code_of(lambda day=day: pair.token(person, day=day)) == "release-expired"
    other = pair.maker(release=crafted(pair.release, name="other"))
    assert code_of(lambda: other.make(request(person), TODAY)) == "release"
    pair.token(person)
    pair.ledger.append(lambda state: EndRelease(release=pair.release.hash, why="over"))
    for key in ("k1", "k2"):
        assert code_of(lambda key=key: pair.token(person, key)) == "release"
    assert bits_told(pair) == [3]


def test_a_clock_that_is_a_day_off_tells_nothing_uncharged(pair: Pair):
    one, other = known_at()[:2]
    pair.token(one, "tomorrow", TOMORROW)
    assert code_of(lambda: pair.token(other, "today")) == "clock"
    days = pair.ledger.state.serving.releases[pair.release.hash].days["lender-1"]
    assert [day.day for day in days] == [str(TOMORROW)]
    # The day comes, and all goes on.
    pair.token(other, "today", TOMORROW)


def test_no_key_of_the_month_no_token(pair: Pair):
    maker = pair.maker()
    assert code_of(lambda: maker.make(request(known_at()[0]), APRIL)) == "no-key"
    maker.peers = {}
    assert code_of(lambda: maker.make(request(known_at()[0]), TODAY)) == "no-key"
    assert bits_told(pair) == []


def test_a_store_that_was_put_back_or_lost_tells_nothing(tmp_path: Path):
    person, old = known_at()[0], tmp_path / "serving.db"
    pair = Pair(small_release(), folder=tmp_path)
    pair.token(person, "a")
    pair.token(person, "b", TOMORROW)
    pair.close()
    kept = old.read_bytes()
    for _ in range(2):
        # First it is missing, then there is an empty one.
        if bits_told(Pair(small_release(), folder=tmp_path)):
            old.unlink()
        pair = Pair(small_release(), folder=tmp_path)
        with pytest.raises(ServingStoreError, match="older than the ledger"):
            pair.token(person, "c", TOMORROW)
        assert bits_told(pair) == []
        pair.close()
    old.write_bytes(kept)
    pair = Pair(small_release(), folder=tmp_path)
    pair.token(person, "c", TOMORROW)
    assert bits_told(pair) == [3, 0, 0]
    pair.close()


def test_rows_of_what_was_told_cannot_change_unseen(tmp_path: Path):
    pair = Pair(small_release(kinds=True), folder=tmp_path)
    for person in known_at()[:4]:
        pair.token(person, person, kinds=frozenset({"signal", "capacity"}))
    assert pair.store.check() is None
    pair.close()
    whole = (tmp_path / "serving.db").read_bytes()
    changes = {
        "UPDATE told SET bits = 0 WHERE seq = 3": 3,
        "UPDATE told SET value = 1 - value WHERE seq = 2": 2,
        "UPDATE told SET person = 'somebody' WHERE seq = 1": 1,
        "DELETE FROM told WHERE seq = 4": 4,
        "UPDATE told SET seq = seq + 100 WHERE seq = 5": 5,
        "UPDATE told SET month = '2029-01' WHERE seq = 8": 8,
    }
    for change, place in changes.items():
        path = tmp_path / f"altered-{place}.db"
        path.write_bytes(whole)
        with closing(sqlite3.connect(path)) as database:
            with pytest.raises(sqlite3.Error, match="only grows"):
                database.execute(change)
            database.executescript(f"DROP TRIGGER told_stay; DROP TRIGGER told_last; {change};")
        store = ServingStore(path)
        assert store.check() == place
        store.close()


def fill(database: sqlite3.Connection) -> None:
    """Leave no room for another page."""
    pages = database.execute("PRAGMA page_count").fetchone()[0]
    database.execute(f"PRAGMA max_page_count = {pages}")


def until_full(make: Callable[[int], object], first: int = 0) -> tuple[int, Exception]:
    """Make one after the other until the disk is full: the first that was not made, and why."""
    for number in range(first, 200):
        try:
            make(number)
        except (ServingStoreError, LedgerError) as error:
            return number, error
    raise AssertionError("the disk never was full")


def test_a_full_disk_tells_nothing_and_loses_nothing(tmp_path: Path):
    pair = Pair(small_release(), folder=tmp_path)
    persons = known_at("wallet", 100)
    first = pair.token(persons[0])
    fill(pair.store._database)
    done, error = until_full(lambda number: pair.token(persons[number], persons[number]), 1)
    person = persons[done]
    assert isinstance(error, ServingStoreError)
    assert person not in str(error)
    assert len(bits_told(pair)) == done
    assert pair.store.check() is None
    pair.store._database.execute("PRAGMA max_page_count = 100000")
    assert pair.token(persons[0]) == first
    pair.token(person, person)
    assert len(bits_told(pair)) == done + 1
    pair.close()


def test_a_day_that_cannot_be_charged_tells_nothing(tmp_path: Path):
    pair = Pair(small_release(), folder=tmp_path)
    fill(pair.ledger._database)
    person = known_at()[0]
    days = [TODAY + timedelta(days=number // 10) for number in range(200)]
    done, error = until_full(lambda number: pair.token(person, f"{number}", days[number]))
    assert isinstance(error, LedgerError)
    charged = {day.day for day in pair.ledger.state.serving.releases[pair.release.hash].days.get("lender-1", [])}
    told = {day for (day,) in pair.store._database.execute("SELECT day FROM tokens")}
    assert told <= charged
    assert str(days[done]) not in told
    pair.close()
