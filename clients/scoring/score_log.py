"""The log of scores: a signed chain of lines, each encrypted under a key of its person, committed before answers leave.

A line that is altered, cut or moved breaks the chain; one that is missing at the end is found by the head that the
ledger keeps of each day. A person's lines are read while its key is there: a withdrawal moves the key under the
retention key, an erasure destroys it, and the chain verifies all the same. After a withdrawal a person's next lines get
a key of their own, so that each is kept to its own term.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import date
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sealscore.clients.scoring.durable import ROOM, HeadFile, emptied, open_durable, whole
from sealscore.clients.scoring.storage.batch import Batch, LogView, last_line
from sealscore.clients.scoring.storage.kept_levels import (
    LEVELS_SCHEMA,
)
from sealscore.clients.scoring.storage.lines import NONCE, START, chained, opened, verified
from sealscore.clients.scoring.storage.log_keys import LogKeys
from sealscore.clients.scoring.storage.watch_bits import WATCH_SCHEMA, Meanings, WatchBit, bits_on, meanings
from sealscore.shared.files import OWNER_ONLY

# Seconds for which nobody writes while readers keep pages of what was destroyed.
_PATIENCE = 1.0
NoteKind = Literal["policy", "watch", "release"]
"""Kinds of lines that are of no person: they hold nothing of one."""
_OPEN_KINDS = ("erased", *get_args(NoteKind))
_SCHEMA = """
CREATE TABLE IF NOT EXISTS lines (
    seq INTEGER PRIMARY KEY, at TEXT NOT NULL, kind TEXT NOT NULL, person BLOB NOT NULL, body BLOB NOT NULL,
    head BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS commits (seq INTEGER PRIMARY KEY, signature BLOB NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS lines_heads ON lines (head);
CREATE INDEX IF NOT EXISTS lines_erased ON lines (person) WHERE kind = 'erased';
CREATE INDEX IF NOT EXISTS lines_policies ON lines (seq) WHERE kind = 'policy';
CREATE INDEX IF NOT EXISTS lines_watch ON lines (seq) WHERE kind = 'watch';
CREATE TABLE IF NOT EXISTS persons (
    person BLOB NOT NULL, since INTEGER NOT NULL, key BLOB NOT NULL, retained INTEGER NOT NULL DEFAULT 0, until TEXT,
    PRIMARY KEY (person, since)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS answers (
    application BLOB NOT NULL, version INTEGER NOT NULL, digest BLOB NOT NULL, score TEXT NOT NULL,
    seq INTEGER NOT NULL, PRIMARY KEY (application, version)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS answers_of ON answers (score);
CREATE TABLE IF NOT EXISTS handles (
    handle BLOB PRIMARY KEY, application BLOB, platform TEXT NOT NULL, person BLOB NOT NULL, expires TEXT NOT NULL,
    withdrawn TEXT
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS shed (number INTEGER PRIMARY KEY AUTOINCREMENT) STRICT;
CREATE TRIGGER IF NOT EXISTS lines_stay BEFORE UPDATE ON lines BEGIN SELECT RAISE(ABORT, 'a log only grows'); END;
CREATE TRIGGER IF NOT EXISTS lines_last BEFORE DELETE ON lines BEGIN SELECT RAISE(ABORT, 'a log only grows'); END;
"""


class ScoreLogError(RuntimeError):
    """A log that cannot be used; the message names the file and the fix."""


class HeadNotKept(ScoreLogError):
    """A commit is on the disk, but its head is not beside the log: put back now, the log would not be found out."""


class ScoreLine(NamedTuple):
    """A line as it was written: `content` is None where its person's key is gone, and `erased` says since when; of a
    line that a withdrawal locked, and that was not to be read, `erased` is empty.

    `person` is what stands for its person in the file.
    """

    seq: int
    at: str
    kind: str
    content: dict[str, Any] | None
    erased: str = ""
    person: bytes = b""

    def __repr__(self) -> str:
        return f"ScoreLine(seq={self.seq}, kind={self.kind!r})"


class ScoreLog:
    """The file of one lender, of mode 0600, or memory where no path is given. One process writes at a time.

    Raises:
        ScoreLogError: it cannot be used.
    """

    def __init__(self, keys: LogKeys, path: Path | None = None, mode: int = OWNER_ONLY) -> None:
        self.path, self._keys = path, keys
        self._heads = None if path is None else HeadFile(path.with_suffix(".head"), mode)
        self._batch: Batch | None = None
        self._view: LogView | None = None
        self._extended: set[str] = set()
        self._unkept = False
        try:
            # A key that is destroyed must leave no bytes in the file.
            self._database = open_durable(path, _SCHEMA + LEVELS_SCHEMA + WATCH_SCHEMA, "secure_delete=ON", mode=mode)
            self._opened = _file_of(path)
        except (OSError, sqlite3.Error) as error:
            raise ScoreLogError(f"{path}: no log of scores can be used there ({error})") from None

    @contextmanager
    def commit(self) -> Iterator[Batch]:
        """Lines that are written together: on the disk and signed when the block ends well, and none if it does not.

        A commit within another is a part of it, so that a score and what is decided on it stand or fall together.

        Raises:
            ScoreLogError: they cannot be written, or the log was put back or replaced; no answer may leave.
            HeadNotKept: they are written, but no answer may leave; until a head is kept, each commit says so.
        """
        if self._batch is not None:
            yield self._batch
            return
        try:
            with whole(self._database):
                self.require_latest()
                batch = self._batch = Batch(self._database, self._keys)
                try:
                    yield batch
                    batch.sign()
                    if batch.shed:
                        # In the same transaction, so that a crash before its end leaves it to the next commit.
                        self._database.execute("INSERT INTO shed DEFAULT VALUES")
                finally:
                    self._batch = None
        except (sqlite3.Error, OSError) as error:
            raise ScoreLogError(f"{self.path}: cannot be written ({error}); {ROOM}") from None
        try:
            self._keep_head(batch)
        finally:
            self._clear(_PATIENCE if batch.shed else 0)

    @contextmanager
    def reading(self) -> Iterator[LogView]:
        """The log as it is at one moment, while others go on writing it. Within a commit, or another such block, it is
        a part of that; no commit is begun within it.

        Raises:
            ScoreLogError: it cannot be read, or the log was put back or replaced.
        """
        if (under_way := self._batch or self._view) is not None:
            yield under_way
            return
        try:
            with whole(self._database, write=False):
                # Before any other query: a head is kept after its line, so what is seen has the one that was kept.
                self.require_latest()
                view = self._view = LogView(self._database)
                try:
                    yield view
                finally:
                    self._view = None
        except (sqlite3.Error, OSError) as error:
            raise ScoreLogError(f"{self.path}: cannot be read ({error})") from None

    @property
    def keys(self) -> LogKeys:
        """What it is kept under."""
        return self._keys

    def extend(self, schema: str) -> None:
        """Make tables beside the lines, which are written in the same commits; ScoreLogError where that fails.

        A commit that is under way would end by it, so the first time is before any; later ones do nothing.
        """
        if schema in self._extended:
            return
        assert self._batch is None
        assert self._view is None
        try:
            self._database.executescript(schema)
            self._extended.add(schema)
        except sqlite3.Error as error:
            raise ScoreLogError(f"{self.path}: cannot be written ({error}); {ROOM}") from None

    @property
    def head(self) -> str:
        """The head of the chain, 64 hexadecimal digits."""
        return last_line(self._database)[1].hex()

    @property
    def last_at(self) -> str | None:
        """When the last line was written, in UTC as `2027-03-31T12:00:00Z`; None where there is none."""
        row = self._database.execute("SELECT at FROM lines ORDER BY seq DESC LIMIT 1").fetchone()
        return None if row is None else str(row[0])

    def holds(self, head: str) -> bool:
        """Whether the chain has had this head: one that is missing was cut off, or the log was put back."""
        if head == START.hex():
            return True
        return (
            self._database.execute("SELECT 1 FROM lines WHERE head = ?", (bytes.fromhex(head),)).fetchone() is not None
        )

    @property
    def lingers(self) -> bool:
        """Whether keys or levels that were destroyed may still lie in the file beside this one, as a reader keeps it:
        each commit, of whichever process, tries again.
        """
        return self._database.execute("SELECT 1 FROM shed").fetchone() is not None

    def require_latest(self) -> None:
        """See that this is the file that was opened, and has the last head that was kept beside it.

        Raises:
            ScoreLogError: it is not: what was used or withdrawn since would be used again.
        """
        if _file_of(self.path) != self._opened:
            fix = "restore the latest copy of it, and start again what uses it"
            raise ScoreLogError(f"{self.path}: was replaced or removed while it was open; {fix}")
        if not self.is_whole():
            raise older(self.path)

    def is_whole(self) -> bool:
        """Whether the chain has the last head that was kept beside it; one that was put back by itself has not.

        Raises:
            ScoreLogError: what is kept cannot be read.
        """
        try:
            kept = None if self._heads is None else self._heads.read()
        except OSError as error:
            raise ScoreLogError(f"{self._heads and self._heads.path}: cannot be read ({error.strerror})") from None
        return kept is None or self.holds(kept.head.hex())

    def check(self, heads: Iterable[str] = ()) -> list[str]:
        """What is wrong with the chain, its signatures, and the heads that a ledger kept of it; nothing if empty."""
        found, head, place = [], START, 0
        signed = dict(self._database.execute("SELECT seq, signature FROM commits").fetchall())
        public = self._keys.signing.public_key()
        for seq, at, kind, person, body, kept in self._database.execute("SELECT * FROM lines ORDER BY seq"):
            place += 1
            head = chained(head, seq, at, kind, person, body)
            if seq != place or head != bytes(kept):
                found.append(f"line {place} was altered, moved or cut out")
                break
            if seq in signed and not verified(public, bytes(signed[seq]), head):
                found.append(f"the signature at line {seq} is not this lender's")
        if not found and place and place not in signed:
            found.append(f"line {place}, the last, is not signed")
        if not found and any(seq > place for seq in signed):
            found.append(f"lines after {place} were cut off")
        if not self.is_whole():
            found.append("the last head that was kept beside the log is not in it: it was put back")
        found += [
            f"the head {kept[:16]} that the ledger keeps is not in the log" for kept in heads if not self.holds(kept)
        ]
        return found

    def lines(
        self,
        seqs: Sequence[int] | None = None,
        read: Callable[[bytes], dict[str, Any]] = msgspec.json.decode,
        locked: bool = True,
    ) -> Iterator[ScoreLine]:
        """The lines in order, decrypted as far as their persons' keys are there; `read` may leave parts of them out.

        Those that a withdrawal moved under the retention key are not read where `locked` is false.
        """
        where = "" if seqs is None else f"WHERE seq IN ({','.join('?' * len(seqs))})"
        keys = self._person_keys(where, seqs or (), locked)
        query = f"SELECT seq, at, kind, person, body FROM lines {where} ORDER BY seq"
        for seq, at, kind, person, body in self._database.execute(query, tuple(seqs or ())):
            name = bytes(person)
            if kind in _OPEN_KINDS:
                yield ScoreLine(seq, at, kind, json.loads(bytes(body)), "", name)
                continue
            kept = next((one for one in keys.get(name, ()) if one[0] <= seq), None)
            key = None if kept is None else kept[1]
            content = None if key is None else opened(key, seq, name, bytes(body), read)
            there = content is not None or (kept is not None and key is None)
            yield ScoreLine(seq, at, kind, content, "" if there else self._erased_at(name), name)

    @property
    def noted(self) -> int:
        """The number of the last line of a policy; 0 where there is none."""
        row = self._database.execute("SELECT MAX(seq) FROM lines WHERE kind = 'policy'").fetchone()
        return int(row[0] or 0)

    def notes(self, kind: NoteKind = "policy") -> Iterator[ScoreLine]:
        """The lines of a kind that is of no person, in order."""
        # Written out, so that the index of the kind serves it.
        query = f"SELECT seq, at, body FROM lines WHERE kind = '{kind}' ORDER BY seq"
        for seq, at, body in self._database.execute(query):
            yield ScoreLine(seq, at, kind, json.loads(bytes(body)))

    def find(self, score: str) -> ScoreLine | None:
        """The line of a score by its id."""
        query = "SELECT seq, person FROM answers JOIN lines USING (seq) WHERE score = ?"
        row = self._database.execute(query, (score,)).fetchone()
        return None if row is None else next(self.lines([int(row[0])]))

    def watch_meanings(self, platform: str, day: date) -> Meanings:
        """What entries of a platform's batch would mean, computed before the commit that takes it."""
        return meanings(self._database, platform, day)

    def watch_bits(self, day: date) -> list[WatchBit]:
        """The watch bits that hold on a day."""
        return bits_on(self._database, day)

    def erased(self) -> set[bytes]:
        """The persons, as the file names them, of whom nothing can be read any more: erased, or their term is over."""
        query = "SELECT person FROM lines WHERE kind = 'erased' AND person NOT IN (SELECT person FROM persons)"
        return {bytes(person) for (person,) in self._database.execute(query)}

    def close(self) -> None:
        """Close the file; the object is of no more use."""
        self._database.close()

    def _keep_head(self, batch: Batch) -> None:
        if self._heads is None or not (batch.written or self._unkept):
            return
        self._unkept = True
        try:
            self._heads.keep(*batch.last)
        except OSError as error:
            what = f"cannot be written ({error.strerror or error}), though what was to be logged is in the log"
            raise HeadNotKept(f"{self._heads.path}: {what}; {ROOM}") from None
        self._unkept = False

    def _clear(self, patience: float) -> None:
        """Let what was destroyed go from where pages wait for their place, too, unless a reader is in the way."""
        # What was committed stays, and so does the mark where this fails.
        with suppress(sqlite3.Error):
            (last,) = self._database.execute("SELECT MAX(number) FROM shed").fetchone()
            if last is not None and emptied(self._database, patience):
                self._database.execute("DELETE FROM shed WHERE number <= ?", (last,))

    def _erased_at(self, person: bytes) -> str:
        query = "SELECT MAX(at) FROM lines WHERE kind = 'erased' AND person = ?"
        return str(self._database.execute(query, (person,)).fetchone()[0] or "unknown")

    def _person_keys(
        self, where: str, seqs: Sequence[int], locked: bool
    ) -> dict[bytes, list[tuple[int, AESGCM | None]]]:
        """The keys of persons of these lines with the line from which on each is used, the latest first; None for those
        under the retention key that are not to be used.
        """
        found: dict[bytes, list[tuple[int, AESGCM | None]]] = {}
        retention = AESGCM(self._keys.retention)
        of = f"WHERE person IN (SELECT person FROM lines {where})" if where else ""
        query = f"SELECT person, since, key, retained FROM persons {of} ORDER BY since DESC"
        for person, since, key, retained in self._database.execute(query, tuple(seqs)):
            raw, name = bytes(key), bytes(person)
            if retained and not locked:
                found.setdefault(name, []).append((since, None))
                continue
            # What another retention key wrapped is as good as destroyed.
            with suppress(InvalidTag):
                opened = AESGCM(retention.decrypt(raw[:NONCE], raw[NONCE:], name) if retained else raw)
                found.setdefault(name, []).append((since, opened))
        return found


def lingering(path: Path | None) -> str:
    """What is said where `ScoreLog.lingers`."""
    return (
        f"{path}-wal: keys or levels that were destroyed may still lie in it, since another process is reading the "
        "log; end that, and the next line of the log, or the node's daily work, clears it"
    )


def older(path: Path | None) -> ScoreLogError:
    """What is said of a log that lacks lines which it had."""
    return ScoreLogError(f"{path}: is older than the ledger or its own last head; restore the latest copy of it")


def _file_of(path: Path | None) -> tuple[int, int] | None:
    """Which file lies there; None where none does."""
    with suppress(FileNotFoundError):
        found = os.stat(path) if path is not None else None
        return None if found is None else (found.st_dev, found.st_ino)
    return None
