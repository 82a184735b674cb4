"""The ledger: what a party released, charged before it happened, in an append-only file.

Every entry is committed (SQLite, write-ahead log, synchronous=FULL) before the release that it charges, so a crash at
any point can only over-count. Entries are chained by their hashes and signed by the party. Any number of processes may
use one ledger: each append folds in what others have appended, under the write lock of the file.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from sealscore.shared.files import create, name_once
from sealscore.shared.identity.identity import Identity
from sealscore.shared.ledger.chain import (
    GENESIS,
    NONCE_BYTES,
    AnchorError,
    Head,
    Receipt,
    StoredEntry,
    UnknownEntry,
    body_of,
    entry_hash,
)
from sealscore.shared.ledger.entries import Ceilings, Entry, Identify, Open
from sealscore.shared.ledger.state import LedgerFault, LedgerState

T = TypeVar("T")

SIGNED = "ledger entry"
BUSY_SECONDS = 60.0

_SCHEMA = """
CREATE TABLE entries (
    seq INTEGER PRIMARY KEY, at TEXT NOT NULL, body TEXT NOT NULL, nonce BLOB NOT NULL,
    previous BLOB NOT NULL, hash BLOB NOT NULL, signature BLOB NOT NULL
) STRICT;
CREATE TABLE anchors (
    party TEXT NOT NULL, ledger BLOB NOT NULL, receipt INTEGER NOT NULL, seq INTEGER NOT NULL, anchor BLOB NOT NULL,
    PRIMARY KEY (party, ledger, receipt)
) STRICT;
CREATE TRIGGER entries_stay BEFORE UPDATE ON entries BEGIN SELECT RAISE(ABORT, 'a ledger only grows'); END;
CREATE TRIGGER entries_last BEFORE DELETE ON entries BEGIN SELECT RAISE(ABORT, 'a ledger only grows'); END;
"""
# Errors of what is around the file, not of what is in it.
_OUTSIDE = tuple(f"SQLITE_{name}" for name in ("BUSY", "CANTOPEN", "FULL", "IOERR", "LOCKED", "PERM", "READONLY"))
_INSERT = "INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?)"
_KEEP = (
    "INSERT INTO anchors VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET seq = excluded.seq, anchor = excluded.anchor "
    "WHERE excluded.seq > seq"
)


class LedgerError(RuntimeError):
    """A ledger that cannot be used; the message names the file and the fix."""


class Ledger:
    """A party's own ledger, open for appending. Threads share one object; processes each open the file.

    Raises:
        LedgerError: the file is missing, damaged, of another party, or cannot be written.
        ValueError: a real identity keeps its ledger in a file.
    """

    def __init__(self, path: Path | None, identity: Identity, clock: Callable[[], float] = time.time) -> None:
        if path is None and not identity.simulation:
            raise ValueError("a ledger in memory is for simulations")
        if path is not None and not path.exists():
            raise LedgerError(f"{path}: there is no ledger; create one first")
        self.path, self.clock, self._identity = path, clock, identity
        self._lock = threading.RLock()
        self._state, self._seq, self._hash, self._genesis = LedgerState(), 0, GENESIS, GENESIS
        # SQLite's number of the file's content, which changes when another connection has written; None: not known.
        self._version: int | None = None
        try:
            self._database = _connect(path, identity.simulation)
            try:
                if path is None:
                    self._database.executescript(_SCHEMA)
                else:
                    self._refresh()
            except BaseException:
                self._database.close()
                raise
        except sqlite3.Error as error:
            raise _unusable(path, error) from None

    @classmethod
    def create(
        cls,
        path: Path | None,
        identity: Identity,
        data_set: str,
        ceilings: Ceilings,
        clock: Callable[[], float] = time.time,
        identified: Identify | None = None,
    ) -> Ledger:
        """A new ledger of a data set in a new file of mode 0600, or in memory for a simulated identity.

        `identified` says what names a person there; without it a real party can approve no plan.

        Raises:
            LedgerError: the file exists or cannot be made.
            ValueError: a real identity keeps its ledger in a file.
        """
        entries: list[Entry] = [Open(card=identity.card.text, data_set=data_set, ceilings=ceilings)]
        if identified is not None:
            entries.append(identified)
        if path is None:
            ledger = cls(None, identity, clock)
            ledger._begin(entries)
            return ledger
        # Made whole under another name: a crash leaves no ledger without its first entries.
        fresh = path.with_name(f"{path.name}.new")
        try:
            fresh.unlink(missing_ok=True)
            create(fresh, b"")
            with closing(_connect(fresh, identity.simulation)) as database:
                database.executescript(_SCHEMA)
            with closing(cls(fresh, identity, clock)) as begun:
                begun._begin(entries)
            name_once(fresh, path)
        except (OSError, sqlite3.Error) as error:
            raise LedgerError(f"{path}: no ledger can be created there ({error})") from None
        return cls(path, identity, clock)

    def _begin(self, entries: list[Entry]) -> None:
        for entry in entries:
            self.append(lambda state, entry=entry: entry)  # type: ignore[misc]

    @property
    def party(self) -> str:
        """Whose ledger this is."""
        return self._identity.name

    @property
    def state(self) -> LedgerState:
        """What follows from all entries, others' of this moment among them."""
        with self._lock:
            self._guarded(self._refresh)
            return self._state

    @property
    def head(self) -> Head:
        """The signed head of the ledger, others' entries of this moment among them."""
        with self._lock:
            self._guarded(self._refresh)
            return Head.sign(self._identity, self._genesis, self._seq, self._hash)

    def append(self, make: Callable[[LedgerState], Entry]) -> int:
        """Append what `make` gives for the ledger's state, and return its sequence number once it is on the disk.

        `make` is called under the write lock, so nothing can come between what it checks and what is appended; what it
        raises is passed on, and nothing is appended then.

        Raises:
            LedgerFault: the entry is not allowed there.
            LedgerError: it cannot be written.
        """
        with self._lock:
            return self._guarded(lambda: self._append(make))

    def keep(self, *anchors: Head | Receipt) -> None:
        """Keep heads of peers, or the server's receipt for an own one, where they are later than those kept before.

        A later head covers all entries before it. Signatures are the caller's to check.
        """
        rows = []
        for anchor in anchors:
            head = anchor.head if isinstance(anchor, Receipt) else anchor
            rows.append((head.party, head.ledger, int(isinstance(anchor, Receipt)), head.seq, anchor.to_bytes()))
        with self._lock:
            self._guarded(lambda: self._keep(rows))

    def anchors(self, party: str | None = None) -> list[Head | Receipt]:
        """Heads and receipts that were kept, of one party or of all, in the order of their sequence numbers."""
        with self._lock:
            return self._guarded(lambda: _anchors(self._database, party))

    def last_heads(self) -> dict[str, Head]:
        """The latest head that was kept of each other party."""
        return {
            head.party: head for head in self.anchors() if isinstance(head, Head) and head.party != self._identity.name
        }

    def holds(self, head: Head) -> bool:
        """Whether this ledger has the entry that an own head speaks of."""
        with self._lock:
            if head.ledger != self._genesis:
                return False
            found = self._guarded(
                lambda: self._database.execute("SELECT hash FROM entries WHERE seq = ?", (head.seq,)).fetchone()
            )
            return found is not None and bytes(found[0]) == head.hash

    def close(self) -> None:
        """Close the file; the object is of no more use."""
        with self._lock:
            self._database.close()

    def _keep(self, rows: list[tuple[str, bytes, int, int, bytes]]) -> None:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            self._database.executemany(_KEEP, rows)
            self._database.execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise

    def _append(self, make: Callable[[LedgerState], Entry]) -> int:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            self._refresh()
            entry = make(self._state)
            seq, at = self._seq + 1, datetime.fromtimestamp(self.clock(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            body, nonce = body_of(entry), os.urandom(NONCE_BYTES)
            hashed = entry_hash(seq, self._hash, at, nonce, body)
            signature = self._identity.sign(SIGNED, hashed)
            self._database.execute(_INSERT, (seq, at, body, nonce, self._hash, hashed, signature))
            self._state.apply(seq, at, entry)
        except BaseException:
            self._roll_back()
            raise
        try:
            self._database.execute("COMMIT")
        except BaseException:
            # What was folded in is not in the file: fold all of it again when it is next needed.
            self._state, self._seq, self._hash, self._version = LedgerState(), 0, GENESIS, None
            self._roll_back()
            raise
        self._seq, self._hash = seq, hashed
        if seq == 1:
            self._genesis = hashed
        return seq

    def _roll_back(self) -> None:
        # A full disk can have ended the transaction already.
        if self._database.in_transaction:
            self._database.execute("ROLLBACK")

    def _refresh(self) -> None:
        """Fold in what others have appended since."""
        # Before the rows are read: what is appended between the two is then found once more, and not missed.
        version = self._database.execute("PRAGMA data_version").fetchone()[0]
        if version == self._version:
            return
        stored_since = stored_entries(self._database, self._seq - 1)
        if self._seq:
            known = next(stored_since, None)
            if known is None or (known.seq, known.hash) != (self._seq, self._hash):
                raise LedgerError(f"{self.path}: entry {self._seq} is missing; restore the ledger")
        for stored in stored_since:
            if (stored.seq, stored.previous) != (self._seq + 1, self._hash):
                raise LedgerError(f"{self.path}: the chain breaks at entry {stored.seq}; restore the ledger")
            try:
                if stored.hash != entry_hash(stored.seq, stored.previous, stored.at, stored.nonce, stored.body):
                    raise LedgerError(f"{self.path}: entry {stored.seq} was changed; restore the ledger")
                self._state.apply(stored.seq, stored.at, stored.entry)
            except (LedgerFault, UnknownEntry, UnicodeEncodeError) as error:
                raise LedgerError(
                    f"{self.path}: entry {stored.seq} is not allowed there ({error}); restore the ledger"
                ) from None
            self._seq, self._hash = stored.seq, stored.hash
            if stored.seq == 1:
                self._genesis = stored.hash
                if self._state.card.key != self._identity.card.key:
                    raise LedgerError(f"{self.path}: is the ledger of {self._state.card.name!r}, with another key")
        self._version = version

    def _guarded(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except sqlite3.Error as error:
            raise _unusable(self.path, error) from None


def read_ledger(path: Path) -> Iterator[StoredEntry]:
    """The entries of a ledger as they are in the file, unchecked, read without writing to it.

    Raises:
        LedgerError: there is no ledger in the file.
    """
    with _reading(path) as database:
        yield from stored_entries(database, 0)


def copy_ledger(path: Path, target: Path) -> int:
    """Copy a ledger into a new file that is whole by itself, also while it is written to; returns how many entries.

    Raises:
        LedgerError: there is no ledger in the file.
        FileExistsError: something has the new name; it stays as it is.
        OSError: the new file cannot be written.
    """
    if target.exists():
        raise FileExistsError(target)
    with _reading(path) as database, tempfile.TemporaryDirectory(dir=target.parent, prefix=".ledger-") as folder:
        draft = Path(folder) / "draft.db"
        os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        copy = sqlite3.connect(draft)
        try:
            database.backup(copy)
            # Without a write-ahead log there is one file, and a reader writes nothing beside it.
            copy.execute("PRAGMA journal_mode=DELETE")
            entries = int(copy.execute("SELECT COUNT(*) FROM entries").fetchone()[0])
        finally:
            copy.close()
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        name_once(draft, target)
    return entries


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    if not path.is_file():
        raise LedgerError(f"{path}: there is no such ledger")
    try:
        database = sqlite3.connect(f"file:{path.resolve()}?mode=ro", uri=True)
        try:
            yield database
        finally:
            database.close()
    except sqlite3.Error as error:
        raise LedgerError(f"{path}: is no ledger ({error})") from None


def stored_entries(database: sqlite3.Connection, after: int) -> Iterator[StoredEntry]:
    """Entries above a sequence number, in order."""
    for row in database.execute("SELECT * FROM entries WHERE seq > ? ORDER BY seq", (after,)).fetchall():
        seq, at, body, nonce, previous, hashed, signature = row
        yield StoredEntry(seq, at, body, bytes(nonce), bytes(previous), bytes(hashed), bytes(signature))


def _anchors(database: sqlite3.Connection, party: str | None) -> list[Head | Receipt]:
    rows = database.execute("SELECT anchor, receipt FROM anchors ORDER BY party, seq, receipt, ledger").fetchall()
    try:
        found = [Receipt.from_bytes(bytes(a)) if receipt else Head.from_bytes(bytes(a)) for a, receipt in rows]
    except AnchorError as error:
        raise LedgerError(f"an anchor that was kept is damaged: {error}") from None
    return [anchor for anchor in found if party in (None, _place(anchor)[0])]


def _unusable(path: Path | None, error: sqlite3.Error) -> LedgerError:
    # Extended codes, as SQLITE_IOERR_WRITE, begin with the plain one.
    if getattr(error, "sqlite_errorname", "").startswith(_OUTSIDE):
        fix = "see that the disk has room, and that the file and its folder can be written"
        return LedgerError(f"{path}: cannot be written or read ({error}); {fix}")
    return LedgerError(f"{path}: is no ledger that can be used ({error}); restore it from a copy")


def _place(anchor: Head | Receipt) -> tuple[str, int]:
    """Whose ledger it speaks of, and of which entry."""
    head = anchor.head if isinstance(anchor, Receipt) else anchor
    return head.party, head.seq


def _connect(path: Path | None, simulation: bool) -> sqlite3.Connection:
    database = sqlite3.connect(
        ":memory:" if path is None else path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    database.execute("PRAGMA journal_mode=WAL")
    # A simulated party protects nobody, so its ledger need not outlive a power cut.
    database.execute(f"PRAGMA synchronous={'OFF' if simulation else 'FULL'}")
    return database
