"""Who agreed to be watched, at a platform, and the entries of batches that wait: tables of the serving store.

A subscription is of the token that a lender was given, by its handle. Its last quarter is written when it begins and is
never written again, so what is told until then cannot follow from what becomes of a loan. It is over before that only
by the creator's own word: where the token is withdrawn, or the consent to be watched is.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import date

from sealscore.shared.serving.watch import end_entry

AT_ONCE = 200
"""Subscriptions of one transaction, so that a consent beside it waits for moments alone."""

SUBSCRIPTIONS_SCHEMA = """
CREATE TABLE IF NOT EXISTS subscriptions (
    number INTEGER PRIMARY KEY, handle BLOB NOT NULL UNIQUE, person TEXT NOT NULL, lender TEXT NOT NULL,
    release TEXT NOT NULL, request BLOB NOT NULL, asked INTEGER NOT NULL, day TEXT NOT NULL, first TEXT NOT NULL,
    last TEXT NOT NULL, ended TEXT
) STRICT;
CREATE TRIGGER IF NOT EXISTS subscriptions_stay BEFORE UPDATE OF first, last ON subscriptions
BEGIN SELECT RAISE(ABORT, 'its quarters are fixed'); END;
CREATE TABLE IF NOT EXISTS watch_outbox (
    number INTEGER PRIMARY KEY, entry BLOB NOT NULL UNIQUE, handle BLOB NOT NULL, lender TEXT NOT NULL,
    quarter TEXT, batch INTEGER
) STRICT;
CREATE INDEX IF NOT EXISTS watch_outbox_of ON watch_outbox (lender, batch);
"""

# A withdrawal of the token ends all that is told by its handle.
_LIVE = (
    "FROM subscriptions AS one JOIN tokens USING (person, lender, handle) "
    "WHERE one.ended IS NULL AND tokens.withdrawn IS NULL"
)

ENDS_THAT_WAIT = (
    "SELECT one.lender, one.ended AS day FROM watch_outbox JOIN subscriptions AS one USING (handle) "
    "WHERE watch_outbox.quarter IS NULL AND watch_outbox.batch IS NULL"
)
"""A query of the ends that no batch has: lender and day of each."""


@dataclass(frozen=True)
class Subscription:
    """A consent to be watched. `first` and `last` are quarters, `request` the digest of what was asked; `asked` says
    whether that was the consent itself, given on `day`. Its `repr` shows nothing of the person.
    """

    handle: bytes
    person: str
    lender: str
    release: str
    request: bytes
    asked: bool
    day: str
    first: str
    last: str
    ended: str | None = None
    number: int = 0

    def __repr__(self) -> str:
        return f"Subscription(lender={self.lender!r})"


_NAMES = ", ".join(
    f"one.{name}"
    for name in ("handle", "person", "lender", "release", "request", "asked", "day", "first", "last", "ended", "number")
)


def subscribe(database: sqlite3.Connection, one: Subscription) -> None:
    """Keep a subscription that begins."""
    names = ("handle", "person", "lender", "release", "request", "asked", "day", "first", "last")
    row = tuple(getattr(one, name) for name in names)
    database.execute(f"INSERT INTO subscriptions ({', '.join(names)}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)


def subscribed(database: sqlite3.Connection, handle: bytes) -> Subscription | None:
    """The subscription of a token, also one that has ended."""
    row = database.execute(f"SELECT {_NAMES} FROM subscriptions AS one WHERE handle = ?", (handle,)).fetchone()
    return None if row is None else Subscription(*row)


def live_subscriptions(database: sqlite3.Connection, person: str, lender: str) -> list[Subscription]:
    """The subscriptions of a person for a lender that nothing has ended, in order."""
    query = f"SELECT {_NAMES} {_LIVE} AND (one.person, one.lender) = (?, ?) ORDER BY one.number"
    return [Subscription(*row) for row in database.execute(query, (person, lender))]


def due(database: sqlite3.Connection, release: str, quarter: str, after: int, most: int) -> list[Subscription]:
    """At most so many subscriptions whose bit of a quarter is not told yet, those beyond number `after`, in order."""
    query = (
        f"SELECT {_NAMES} {_LIVE} AND one.number > ? AND one.release = ? AND ? BETWEEN one.first AND one.last "
        "AND NOT EXISTS (SELECT 1 FROM told WHERE (told.person, told.kind, told.month) = (one.person, 'watch', ?) "
        "AND told.handle = one.handle) ORDER BY one.number LIMIT ?"
    )
    return [Subscription(*row) for row in database.execute(query, (after, release, quarter, quarter, most))]


def live_under(database: sqlite3.Connection, release: str, quarter: str, most: int) -> list[Subscription]:
    """At most so many subscriptions under a release that nothing has ended, of a last quarter not before this one."""
    query = f"SELECT {_NAMES} {_LIVE} AND one.release = ? AND one.last >= ? ORDER BY one.number LIMIT ?"
    return [Subscription(*row) for row in database.execute(query, (release, quarter, most))]


def end(database: sqlite3.Connection, one: Subscription, day: date) -> None:
    """Nothing more is told of a subscription, and the lender is told that by an entry."""
    database.execute("UPDATE subscriptions SET ended = ? WHERE handle = ? AND ended IS NULL", (str(day), one.handle))
    put(database, one, end_entry(one.handle), None)


def put(database: sqlite3.Connection, one: Subscription, entry: bytes, quarter: str | None) -> None:
    """Let the entry of a quarter (None of an end) wait for the next batch, in the place of what waited before.

    What is in a batch stays in it, for as long as that may be made again.
    """
    database.execute("DELETE FROM watch_outbox WHERE handle = ? AND batch IS NULL", (one.handle,))
    row = (entry, one.handle, one.lender, quarter)
    database.execute("INSERT INTO watch_outbox VALUES (NULL, ?, ?, ?, ?, NULL)", row)


def fill(database: sqlite3.Connection, lender: str, number: int, places: int) -> None:
    """Put entries that wait into a new batch, as far as there are places: ends first, then bits as they came.

    What a batch that was not receipted had waits again; what was receipted, or is of a token that was withdrawn, or of
    which a later entry says more, does not.
    """
    latest = "SELECT MAX(number) FROM watch_outbox WHERE lender = ?1 GROUP BY handle"
    database.execute(f"DELETE FROM watch_outbox WHERE lender = ?1 AND number NOT IN ({latest})", (lender,))
    withdrawn = "SELECT handle FROM tokens WHERE withdrawn IS NOT NULL"
    receipted = "SELECT number FROM batches WHERE lender = ?1 AND receipt IS NOT NULL"
    over = f"(handle IN ({withdrawn}) OR batch IN ({receipted}))"
    database.execute(f"DELETE FROM watch_outbox WHERE lender = ?1 AND {over}", (lender,))
    waiting = "SELECT number FROM watch_outbox WHERE lender = ? ORDER BY quarter IS NOT NULL, number LIMIT ?"
    database.execute("UPDATE watch_outbox SET batch = NULL WHERE lender = ?", (lender,))
    database.execute(f"UPDATE watch_outbox SET batch = ? WHERE number IN ({waiting})", (number, lender, places))


def entries_of(database: sqlite3.Connection, lender: str, number: int) -> list[bytes]:
    """The entries that a batch was made with; what ended or was withdrawn since is for the next one to say."""
    query = "SELECT entry FROM watch_outbox WHERE (lender, batch) = (?, ?) ORDER BY number"
    return [bytes(entry) for (entry,) in database.execute(query, (lender, number))]


def lenders_with_bits(database: sqlite3.Connection) -> list[str]:
    """The lenders for which bits of a quarter wait that no batch has, in order."""
    query = "SELECT DISTINCT lender FROM watch_outbox WHERE quarter IS NOT NULL AND batch IS NULL ORDER BY lender"
    return [str(lender) for (lender,) in database.execute(query)]
