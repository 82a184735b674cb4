"""The disclosure store: what was disclosed of whom, what others disclosed, and who consented to what.

Where a ledger says that something was released, this store says of which persons. It has identifiers and values, so it
stays at the party: a reviewer is shown it there, and gets the ledger. What was disclosed is never forgotten (a label
bit must not be drawn again, and bits of a person add up over a data set's life); its rows are chained, and ledgers keep
the head of the chain, so a disclosure store that was put back to an old state is found out.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import threading
import weakref
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Protocol

from sealscore.shared.fields import pack_fields
from sealscore.shared.files import create
from sealscore.shared.persons.consent import Consent

_LABEL = b"sealscore register 1"
_START = bytes(32)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS batches (
    batch INTEGER PRIMARY KEY, kind TEXT NOT NULL, what TEXT NOT NULL, recipient TEXT NOT NULL, plan TEXT NOT NULL,
    bits INTEGER NOT NULL, at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%SZ', 'now')),
    nonce BLOB NOT NULL, head BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS told (
    batch INTEGER NOT NULL, person TEXT NOT NULL, value INTEGER NOT NULL, PRIMARY KEY (person, batch)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS told_in ON told (batch);
CREATE TABLE IF NOT EXISTS pairs (
    plan TEXT NOT NULL, peer TEXT NOT NULL, handle BLOB NOT NULL, person TEXT NOT NULL, size INTEGER NOT NULL,
    PRIMARY KEY (plan, peer, handle)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS received (
    plan TEXT NOT NULL, peer TEXT NOT NULL, kind TEXT NOT NULL, person TEXT NOT NULL, value INTEGER NOT NULL,
    PRIMARY KEY (plan, peer, kind, person)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS consents (
    person TEXT NOT NULL, record TEXT NOT NULL, recipient TEXT NOT NULL, purpose TEXT NOT NULL, given TEXT NOT NULL,
    expires TEXT NOT NULL, withdrawn TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS consents_of ON consents (person);
CREATE TABLE IF NOT EXISTS notices (
    plan TEXT NOT NULL, peer TEXT NOT NULL, handle BLOB NOT NULL, passed INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (plan, peer, handle)
) STRICT, WITHOUT ROWID;
"""

# With the kinds named it goes by the primary key, and not through all that the peer disclosed.
_ERASE = "DELETE FROM received WHERE plan = ? AND peer = ? AND kind IN ('label', 'signal', 'groups') AND person = ?"


class DisclosureStoreError(RuntimeError):
    """A disclosure store that cannot be used; the message names the file and the fix."""


@dataclass(frozen=True)
class ToldValue:
    """One value that was disclosed of a person."""

    at: str
    kind: str
    what: str
    recipient: str
    plan: str
    value: int
    bits: int


class DisclosureListener(Protocol):
    """Hears what was deleted. It must not wait for anything: the disclosure store is locked during the call."""

    def forgotten(self, plan: str, peer: str, persons: tuple[str, ...]) -> None:
        """What a peer disclosed of these persons under a plan is deleted."""
        ...


class DisclosureStore:
    """A party's disclosure store, in a file of mode 0600 where a path is given. Threads share one object.

    `kind` is "label", "signal" or "groups", or one of the latter two with "-fill" for a number in the place of an
    undisclosed value; `what` names the meaning of values, so that equal values under it mean the same. `has_notices`
    tells whether any peer has not confirmed a withdrawal yet.
    """

    def __init__(self, path: Path | None = None) -> None:
        """Open the file, or make it where there is none; DisclosureStoreError where it is damaged or cannot be."""
        self.path = path
        self._lock = threading.RLock()
        self._listeners: weakref.WeakSet[DisclosureListener] = weakref.WeakSet()
        try:
            if path is not None and not path.exists():
                create(path, b"")
            self._database = sqlite3.connect(path or ":memory:", timeout=60, check_same_thread=False)
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=FULL")
            self._database.executescript(_SCHEMA)
            self._head, self._batches = self._last()
            self._values, self._bits = self._load()
            self._meanings = self._loaded_meanings()
            self.has_notices = self._not_confirmed()
            self._pending: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
            self._latest: tuple[str, str, frozenset[str]] = ("", "", frozenset())
        except (OSError, sqlite3.Error) as error:
            raise DisclosureStoreError(
                f"{path}: no disclosure store can be used there ({error}); restore it from a copy"
            ) from None

    @property
    def head(self) -> str:
        """The head of the chain of disclosures, 64 hexadecimal digits."""
        return self._head.hex()

    def alone(self) -> AbstractContextManager[object]:
        """A context in which no other thread discloses anything: for a disclosure that then goes into a ledger."""
        return self._lock

    def subscribe(self, listener: DisclosureListener) -> None:
        """Call the listener, as long as it lives, for what is deleted: also under other plans than its own."""
        with self._lock:
            self._listeners.add(listener)

    def holds(self, head: str) -> bool:
        """Whether the chain has had this head."""
        found = self._database.execute("SELECT 1 FROM batches WHERE head = ?", (bytes.fromhex(head),)).fetchone()
        return found is not None or head == _START.hex()

    def values(self, kind: str, what: str) -> Mapping[str, int]:
        """What was disclosed under one meaning, by person."""
        return self._values[kind, what]

    def meanings(self, kind: str) -> dict[str, int]:
        """The bits of each meaning under which values of this kind were ever disclosed, if of nobody."""
        return dict(self._meanings[kind])

    def told_to(self, kind: str, what: str, recipient: str) -> dict[str, int]:
        """What one recipient got under one meaning, by person."""
        query = (
            "SELECT person, value FROM batches JOIN told USING (batch) "
            "WHERE kind = ? AND what = ? AND recipient = ? ORDER BY batch"
        )
        return dict(self._database.execute(query, (kind, what, recipient)).fetchall())

    def bits(self, kind: str, person: str) -> int:
        """Bits of this kind disclosed of a person, to all recipients together; the same value again adds nothing."""
        return self._bits[kind, person]

    def tell(self, kind: str, what: str, bits: int, recipient: str, plan: str, values: Mapping[str, int]) -> int:
        """Note a disclosure of values (of `bits` bits, person to value); returns for how many persons they are new.

        A value is new too where it was noted before and the ledger never had it: see `confirm` and `reconcile`.

        Raises:
            DisclosureStoreError: it cannot be written; nothing may be disclosed then.
        """
        with self._lock:
            known = self._values[kind, what]
            new = {person: value for person, value in values.items() if known.get(person) != value}
            nonce, batch = os.urandom(32), self._batches + 1
            head = _chained(self._head, nonce, batch, kind, what, recipient, plan, bits, values)
            rows = [(batch, person, value) for person, value in values.items()]
            columns = "batch, kind, what, recipient, plan, bits, nonce, head"
            told = (batch, kind, what, recipient, plan, bits, nonce, head)
            self._write(
                (f"INSERT INTO batches ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", [told]),
                ("INSERT INTO told VALUES (?, ?, ?)", rows),
            )
            self._head, self._batches = head, batch
            self._meanings[kind][what] = bits
            known.update(new)
            for person in new:
                self._bits[kind, person] += bits
            fresh = new.keys() | (self._pending[kind, what] & values.keys())
            self._pending[kind, what] |= fresh
            self._latest = (kind, what, frozenset(fresh))
            return len(fresh)

    def confirm(self) -> None:
        """Note that the ledger has the last disclosure."""
        with self._lock:
            kind, what, fresh = self._latest
            self._pending[kind, what] -= fresh

    def reconcile(self, heads: Collection[str]) -> None:
        """Note that the ledger has the disclosures under these heads of the chain, and no others.

        The rest was noted, and then the ledger could not be written or the process died. Nothing of it left, and it
        must be in the ledger, as something new, before it does.
        """
        with self._lock:
            self._pending.clear()
            had: defaultdict[tuple[str, str], dict[str, int]] = defaultdict(dict)
            query = "SELECT head, kind, what, person, value FROM told JOIN batches USING (batch) ORDER BY batch"
            for head, kind, what, person, value in self._database.execute(query):
                if bytes(head).hex() in heads:
                    had[kind, what][person] = value
                    self._pending[kind, what].discard(person)
                elif had[kind, what].get(person) != value:
                    self._pending[kind, what].add(person)

    def keep_pair(self, plan: str, peer: str, named: Mapping[bytes, str], size: int) -> None:
        """Keep the handles by which a pair speaks of persons under a plan."""
        # A row of no handle says that there is a pair, if it shares nobody.
        rows = [(plan, peer, handle, person, size) for handle, person in [(b"", ""), *named.items()]]
        self._write(
            ("DELETE FROM pairs WHERE plan = ? AND peer = ?", [(plan, peer)]),
            ("INSERT INTO pairs VALUES (?, ?, ?, ?, ?)", rows),
        )

    def pairs(self, plan: str) -> dict[str, tuple[dict[bytes, str], int]]:
        """Of each peer under a plan, the persons by their handles, and what messages are padded to."""
        found: dict[str, tuple[dict[bytes, str], int]] = {}
        query = "SELECT peer, handle, person, size FROM pairs WHERE plan = ?"
        for peer, handle, person, size in self._database.execute(query, (plan,)):
            persons = found.setdefault(peer, ({}, size))[0]
            if handle:
                persons[bytes(handle)] = person
        return found

    def paired(self, peer: str) -> dict[str, tuple[str, ...]]:
        """By plan, the persons of whom this party and the peer speak by handles."""
        found: dict[str, list[str]] = {}
        for plan, person in self._database.execute(
            "SELECT plan, person FROM pairs WHERE peer = ? AND person != ''", (peer,)
        ):
            found.setdefault(plan, []).append(person)
        return {plan: tuple(persons) for plan, persons in found.items()}

    def receive(self, plan: str, peer: str, kind: str, values: Mapping[str, int]) -> None:
        """Keep what a peer disclosed of persons under a plan."""
        # A row of nobody says that something came, if of nobody.
        rows = [(plan, peer, kind, person, value) for person, value in [("", 0), *values.items()]]
        self._write(
            ("DELETE FROM received WHERE plan = ? AND peer = ? AND kind = ?", [(plan, peer, kind)]),
            ("INSERT INTO received VALUES (?, ?, ?, ?, ?)", rows),
        )

    def received(self, plan: str, kind: str) -> dict[str, dict[str, int]]:
        """What peers disclosed under a plan, by peer and person."""
        found: dict[str, dict[str, int]] = {}
        query = "SELECT peer, person, value FROM received WHERE plan = ? AND kind = ?"
        for peer, person, value in self._database.execute(query, (plan, kind)):
            told = found.setdefault(peer, {})
            if person:
                told[person] = value
        return found

    def forget(self, plan: str, peer: str, handles: Iterable[bytes]) -> tuple[str, ...]:
        """Delete all that a peer disclosed of the persons with these handles under a plan; returns the persons."""
        with self._lock:
            named = self.pairs(plan).get(peer, ({}, 0))[0]
            known = [handle for handle in handles if named.get(handle)]
            persons = tuple(named[handle] for handle in known)
            self._write(
                (_ERASE, [(plan, peer, person) for person in persons]),
                # The handle stays: payloads of the pair are in the order of all of them.
                (
                    "UPDATE pairs SET person = '' WHERE plan = ? AND peer = ? AND handle = ?",
                    [(plan, peer, handle) for handle in known],
                ),
            )
            for listener in list(self._listeners) if persons else ():
                listener.forgotten(plan, peer, persons)
            return persons

    def erase(self, plan: str, peer: str, persons: Iterable[str]) -> None:
        """Delete what a peer disclosed of persons under a plan: again, if it came while they were being forgotten."""
        self._write((_ERASE, [(plan, peer, person) for person in persons]))

    def note_consents(self, rows: Iterable[tuple[str, str, Consent]]) -> None:
        """Keep the consents as the data now has them, (person, record, consent) each, in place of those kept before."""
        told = [
            (
                person,
                record,
                c.recipient,
                c.purpose or "",
                *(str(day or "") for day in (c.given, c.expires, c.withdrawn)),
            )
            for person, record, c in rows
        ]
        self._write(("DELETE FROM consents", [()]), ("INSERT INTO consents VALUES (?, ?, ?, ?, ?, ?, ?)", told))

    def withdraw(self, plan: str, peer: str, persons: Iterable[str]) -> tuple[str, ...]:
        """Note for a peer that these persons of a pair may no longer be joined; returns those of the pair.

        What the peer disclosed of them under the plan is deleted here, too, and both sides delete for good: consents
        that are given later are for plans that are aligned later.
        """
        with self._lock:
            named = {person: handle for handle, person in self.pairs(plan).get(peer, ({}, 0))[0].items() if person}
            handles = [named[person] for person in persons if person in named]
            if not handles:
                return ()
            rows = [(plan, peer, handle) for handle in handles]
            self._write(("INSERT OR IGNORE INTO notices (plan, peer, handle) VALUES (?, ?, ?)", rows))
            self.has_notices = self._not_confirmed()
            return self.forget(plan, peer, handles)

    def notices(self, peer: str) -> list[tuple[str, bytes]]:
        """(plan, handle) of everybody whose withdrawal the peer has not confirmed yet."""
        query = "SELECT plan, handle FROM notices WHERE peer = ? AND passed = 0 ORDER BY plan, handle"
        return [(plan, bytes(handle)) for plan, handle in self._database.execute(query, (peer,))]

    def passed(self, peer: str, notices: Iterable[tuple[str, bytes]]) -> None:
        """Note that a peer has confirmed these withdrawals."""
        rows = [(plan, peer, handle) for plan, handle in notices]
        with self._lock:
            self._write(("UPDATE notices SET passed = 1 WHERE plan = ? AND peer = ? AND handle = ?", rows))
            self.has_notices = self._not_confirmed()

    def _not_confirmed(self) -> bool:
        return bool(self._database.execute("SELECT EXISTS (SELECT 1 FROM notices WHERE passed = 0)").fetchone()[0])

    def told_of(self, person: str) -> list[ToldValue]:
        """Everything that was ever disclosed of a person, in order."""
        query = (
            "SELECT at, kind, what, recipient, plan, value, bits FROM told JOIN batches USING (batch) "
            "WHERE person = ? ORDER BY batch"
        )
        return [ToldValue(*row) for row in self._database.execute(query, (person,))]

    def received_of(self, person: str) -> list[tuple[str, str, str, int]]:
        """(plan, peer, kind, value) of everything that peers disclosed of a person and that was not deleted."""
        query = "SELECT plan, peer, kind, value FROM received WHERE person = ? ORDER BY plan, peer, kind"
        return list(self._database.execute(query, (person,)))

    def consents(self, person: str | None = None) -> list[tuple[str, str, Consent]]:
        """(person, record, consent) as the data last had them, of one person or of all."""
        where, values = ("WHERE person = ?", (person,)) if person is not None else ("", ())
        query = f"SELECT * FROM consents {where} ORDER BY person, record, recipient"
        return [(row[0], row[1], _consent(*row[2:])) for row in self._database.execute(query, values)]

    def check(self) -> int | None:
        """The first batch that was changed after its disclosure, or None where the whole chain is intact."""
        head = _START
        query = "SELECT batch, kind, what, recipient, plan, bits, nonce, head FROM batches ORDER BY batch"
        for place, row in enumerate(self._database.execute(query).fetchall(), start=1):
            batch, kind, what, recipient, plan, bits, nonce, kept = row
            rows = self._database.execute("SELECT person, value FROM told WHERE batch = ?", (batch,))
            head = _chained(head, bytes(nonce), batch, kind, what, recipient, plan, bits, dict(rows.fetchall()))
            if batch != place or head != bytes(kept):
                return int(place)
        return None

    def close(self) -> None:
        """Close the file; the object is of no more use."""
        self._database.close()

    def _write(self, *statements: tuple[str, Sequence[tuple[object, ...]]]) -> None:
        with self._lock:
            try:
                with self._database:
                    for statement, rows in statements:
                        self._database.executemany(statement, rows)
            except sqlite3.Error as error:
                raise DisclosureStoreError(
                    f"{self.path}: cannot be written ({error}); see that the disk has room and the file is writable"
                ) from None

    def _last(self) -> tuple[bytes, int]:
        row = self._database.execute("SELECT head, batch FROM batches ORDER BY batch DESC LIMIT 1").fetchone()
        return (bytes(row[0]), int(row[1])) if row else (_START, 0)

    def _load(self) -> tuple[defaultdict[tuple[str, str], dict[str, int]], Counter[tuple[str, str]]]:
        values: defaultdict[tuple[str, str], dict[str, int]] = defaultdict(dict)
        bits: Counter[tuple[str, str]] = Counter()
        query = "SELECT kind, what, person, value, bits FROM told JOIN batches USING (batch) ORDER BY batch"
        for kind, what, person, value, width in self._database.execute(query):
            if values[kind, what].get(person) != value:
                bits[kind, person] += width
            values[kind, what][person] = value
        return values, bits

    def _loaded_meanings(self) -> defaultdict[str, dict[str, int]]:
        found: defaultdict[str, dict[str, int]] = defaultdict(dict)
        for kind, what, bits in self._database.execute("SELECT kind, what, bits FROM batches ORDER BY batch"):
            found[kind][what] = bits
        return found


def _consent(recipient: str, purpose: str, *days: str) -> Consent:
    given, expires, withdrawn = (date.fromisoformat(day) if day else None for day in days)
    return Consent(recipient, purpose or None, given, expires, withdrawn)


def _chained(
    head: bytes,
    nonce: bytes,
    batch: int,
    kind: str,
    what: str,
    recipient: str,
    plan: str,
    bits: int,
    values: Mapping[str, int],
) -> bytes:
    told = b"".join(pack_fields(person.encode(), str(values[person]).encode()) for person in sorted(values))
    texts = (text.encode() for text in (kind, what, recipient, plan, str(bits), str(batch)))
    return hashlib.sha256(pack_fields(_LABEL, head, nonce, *texts, hashlib.sha256(told).digest())).digest()
