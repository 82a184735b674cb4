"""A ledger's file row by row, with no trust in it: every row as it is, and what is wrong with its place.

A database is a program too: a view in a table's place computes what it likes without end, and pages that are named
many times make a small file long. So only tables are read, and no more steps, rows or bytes of them than a file of
that size can have honestly.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sealscore.shared.ledger.chain import GENESIS, HASH_BYTES, NONCE_BYTES, StoredEntry, entry_hash

_COLUMNS = "seq, at, body, nonce, previous, hash, signature"
TABLES = frozenset({"entries", "anchors"})
_STORE = frozenset({"batches", "told"})
_DATABASE = b"SQLite format 3\0"
EXPORT = "`sealscore-node ledger export` makes a whole one"
# A row of a ledger takes some 15 steps of SQLite's machine and 400 bytes.
_STEPS_AT_LEAST, _EVERY = 1_000_000, 1_000
_BYTES_AT_LEAST = 2**20
_TYPES = (int, str, str, bytes, bytes, bytes, bytes)


class Unreadable(ValueError):
    """A file that is no ledger, or a row that is no entry; `seq` is its place, 0 where it has none."""

    def __init__(self, what: str, seq: int = 0) -> None:
        super().__init__(what)
        self.seq = seq


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """The file's database, for reading only; Unreadable where there is none, or where it fails while in use."""
    if not path.is_file():
        raise Unreadable(f"{path}: there is no such file")
    if _beginning(path) not in (_DATABASE, b""):
        raise Unreadable(f"{path}: is no database, so no ledger; a file of anchors goes with --anchors")
    database: _Bounded | None = None
    try:
        database = _connected(path)
        try:
            _require_tables(database, path)
            yield database
        finally:
            database.close()
    except (sqlite3.Error, OverflowError) as error:
        # SQLite swallows a Ctrl-C that comes while it asks whether to go on, and only stops.
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT and database and database.left >= 0:
            raise KeyboardInterrupt from None
        raise Unreadable(f"{path}: cannot be read as a ledger ({error})") from None


class _Bounded(sqlite3.Connection):
    """A connection that stops once it has taken `left` steps more."""

    left = 0

    def stops(self) -> bool:
        """Count the steps since the last call; whether there were too many."""
        self.left -= _EVERY
        return self.left < 0


def _connected(path: Path) -> _Bounded:
    place = f"file:{quote(str(path.resolve()))}?mode=ro"
    if without_log(path):
        # Nobody has it open, and SQLite would leave files of its own beside it.
        return _bounded(f"{place}&immutable=1", path)
    database = _bounded(place, path)
    try:
        database.execute("SELECT 1 FROM sqlite_master").fetchone()
    except sqlite3.OperationalError:
        database.close()
        # On a medium that cannot be written to, SQLite has no room for its index of the write-ahead log.
        if path.with_name(path.name + "-wal").exists():
            raise
        database = _bounded(f"{place}&immutable=1", path)
    return database


def _bounded(place: str, path: Path) -> _Bounded:
    """A connection that takes no more steps, and no longer values, than a file of that size can need."""
    log = path.with_name(path.name + "-wal")
    size = path.stat().st_size + (log.stat().st_size if log.is_file() else 0)
    database = sqlite3.connect(place, uri=True, factory=_Bounded)
    database.left = max(_STEPS_AT_LEAST, size)
    database.text_factory = _text
    database.set_progress_handler(database.stops, _EVERY)
    database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, max(_BYTES_AT_LEAST, size))
    return database


def without_log(path: Path) -> bool:
    """Whether a file is as a node writes it, and its write-ahead log is not beside it.

    If the node ran when it was copied, its last entries were in that log; what ended well looks the same.
    """
    try:
        with path.open("rb") as file:
            head = file.read(20)
    except OSError:
        return False
    # Both bytes are 2 where a database has a write-ahead log (https://www.sqlite.org/fileformat.html, section 1.3).
    return head[18:20] == b"\2\2" and not path.with_name(path.name + "-wal").exists()


def _beginning(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(len(_DATABASE))


def _require_tables(database: sqlite3.Connection, path: Path) -> None:
    """Unreadable where a ledger's table is missing, is a view or a virtual table, or has columns that are computed."""
    database.execute("PRAGMA trusted_schema=OFF")
    made_of = database.execute("SELECT name, sql FROM sqlite_master").fetchall()
    names = {str(name).lower() for name, _ in made_of}
    if names >= _STORE:
        raise Unreadable(f"{path}: is a party's disclosure store and no ledger; `consent` reads it, at the party")
    if not names and without_log(path):
        raise Unreadable(f"{path}: was copied without {path.name}-wal, where its entries are; copy both, or {EXPORT}")
    if not names >= TABLES:
        raise Unreadable(f"{path}: is a database and no ledger: it has no entries and anchors")
    for name, made in made_of:
        if str(name).lower() in TABLES and not str(made).startswith("CREATE TABLE"):
            raise Unreadable(f"{name} is no table but a program: {str(made)[:40]!r}")
    for name in sorted(TABLES):
        if any(column[-1] for column in database.execute(f"PRAGMA table_xinfo({name})").fetchall()):
            raise Unreadable(f"{name} has a column that is computed")


def _text(raw: bytes) -> str:
    """Text that is not UTF-8 must not end the reading: it cannot be hashed as an entry, which is then found."""
    return raw.decode("utf-8", "surrogateescape")


def count_rows(database: sqlite3.Connection) -> int:
    """How many rows there are, counted one by one: SQLite's own count cannot be stopped."""
    return int(database.execute("SELECT COUNT(*) FROM (SELECT 1 FROM entries LIMIT -1 OFFSET 0)").fetchone()[0])


def rows(database: sqlite3.Connection) -> Iterator[StoredEntry | Unreadable]:
    """Every row in the order of the sequence numbers, whatever these are; what is no entry at all as `Unreadable`."""
    left = 2 * max(_BYTES_AT_LEAST, _file_bytes(database))
    for row in database.execute(f"SELECT {_COLUMNS} FROM entries ORDER BY seq"):
        left -= sum(len(value) for value in row if isinstance(value, str | bytes))
        if left < 0:
            raise Unreadable("its rows are longer than its file: pages are used more than once")
        yield _stored(row)


def _file_bytes(database: sqlite3.Connection) -> int:
    pages, width = (int(database.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("page_count", "page_size"))
    return pages * width


def _stored(row: tuple[Any, ...]) -> StoredEntry | Unreadable:
    seq = row[0] if isinstance(row[0], int) else 0
    if any(type(value) is not kind for value, kind in zip(row, _TYPES, strict=True)):
        return Unreadable("a column has another kind of value than it may", seq)
    stored = StoredEntry(*row)
    if len(stored.nonce) != NONCE_BYTES or not len(stored.previous) == len(stored.hash) == HASH_BYTES:
        return Unreadable("a nonce or a hash has another length than 32 bytes", seq)
    if not (stored.at.isascii() and stored.body.isascii()):
        return Unreadable("time and body must be ASCII", seq)
    return stored


class Chain:
    """Follows the rows: whether each is the next, speaks of the one before it, and has the hash of what it says."""

    def __init__(self) -> None:
        self._seq, self._hash = 0, GENESIS
        self.hashes: dict[int, bytes] = {}

    @property
    def length(self) -> int:
        """The last sequence number."""
        return self._seq

    def faults(self, stored: StoredEntry) -> Iterator[tuple[str, str]]:
        """(code, words) for everything that is wrong with the place of the next row."""
        if stored.seq != self._seq + 1:
            yield (
                "gap",
                f"after entry {self._seq} comes entry {stored.seq}: entries are missing, or numbers were changed",
            )
        elif stored.previous != self._hash:
            yield "link", "it does not follow the entry before it, which was changed, put in or moved"
        if not 0 < stored.seq < 2**63:
            yield "hash", "it has no sequence number that could be hashed"
        elif stored.hash != entry_hash(stored.seq, stored.previous, stored.at, stored.nonce, stored.body):
            yield "hash", "its hash is not that of what it says: it was changed"
        self._seq, self._hash = stored.seq, stored.hash
        self.hashes[stored.seq] = stored.hash
