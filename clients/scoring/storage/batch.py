"""Lines, answers and handles of a log of scores that are written in one commit."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import msgspec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sealscore.clients.scoring.storage.kept_levels import (
    drop_level,
    drop_levels,
    drop_old_levels,
    keep_level,
)
from sealscore.clients.scoring.storage.lines import NONCE, SIGNED, START, bound, chained, opened
from sealscore.clients.scoring.storage.log_keys import KEY_BYTES, LogKeys
from sealscore.clients.scoring.storage.watch_bits import (
    Meanings,
    drop_bits,
    drop_bits_of,
    drop_old_bits,
    meanings,
    take_entries,
    take_tombstones,
)
from sealscore.shared.fields import pack_fields
from sealscore.shared.serving.token import Token

_OPEN_KEY = "SELECT key FROM persons WHERE person = ? AND retained = 0"


@dataclass(frozen=True)
class Handle:
    """A token's handle that this lender has seen: for which application, and when it was withdrawn, if it was."""

    application: bytes | None
    withdrawn: str | None


class LogView:
    """The file of a log in one transaction."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    @property
    def database(self) -> sqlite3.Connection:
        """The file in this transaction, for tables that `ScoreLog.extend` made."""
        return self._database


class Batch(LogView):
    """Lines, answers and handles of one commit."""

    def __init__(self, database: sqlite3.Connection, keys: LogKeys) -> None:
        super().__init__(database)
        self._keys = keys
        self._seq, self._head = last_line(database)
        self._written = False
        self._open: dict[bytes, AESGCM] = {}
        self.shed = False
        """Whether a key was destroyed or wrapped, or a level deleted: what it was must go from the files, too."""

    @contextmanager
    def apart(self) -> Iterator[None]:
        """What is written in the block is written whole or not at all; the rest of the commit does not depend on it."""
        before = (self._seq, self._head, self._written, self.shed)
        self._database.execute("SAVEPOINT apart")
        try:
            yield
        except BaseException:
            # After some faults SQLite has undone all of the transaction by itself.
            if self._database.in_transaction:
                self._database.execute("ROLLBACK TO apart")
                self._database.execute("RELEASE apart")
            self._seq, self._head, self._written, self.shed = before
            # Keys that were made in the block are gone with it.
            self._open.clear()
            raise
        self._database.execute("RELEASE apart")

    def answered(self, application: str, digest: bytes) -> tuple[int, int | None]:
        """How many versions of an application were answered, and the line of the one with that body, if there is."""
        place = self._application(application)
        count = self._database.execute("SELECT COUNT(*) FROM answers WHERE application = ?", (place,)).fetchone()[0]
        query = "SELECT seq FROM answers WHERE (application, digest) = (?, ?) ORDER BY version LIMIT 1"
        row = self._database.execute(query, (place, self._body(digest))).fetchone()
        return int(count), None if row is None else int(row[0])

    def content(self, seq: int, person: str) -> dict[str, Any] | None:
        """What a line says of its person; None where the key is gone or under the retention key."""
        name = self._keys.person(person)
        row = self._database.execute("SELECT body FROM lines WHERE seq = ? AND person = ?", (seq, name)).fetchone()
        kept = self._database.execute(_OPEN_KEY, (name,)).fetchone()
        if row is None or kept is None:
            return None
        return opened(AESGCM(bytes(kept[0])), seq, name, bytes(row[0]))

    def write(self, content: dict[str, Any], application: str, person: str, version: int, digest: bytes) -> int:
        """A line of an answer; gives its number."""
        seq = self.add("score", content, self._keys.person(person))
        row = (self._application(application), version, self._body(digest), content["score_id"], seq)
        self._database.execute("INSERT INTO answers VALUES (?, ?, ?, ?, ?)", row)
        return seq

    def add(self, kind: str, content: dict[str, Any], person: bytes) -> int:
        """A line of a person as the file names it (`LogKeys.person`), encrypted; gives its number."""
        key, seq, nonce = self._key(person), self._seq + 1, os.urandom(NONCE)
        self._append(kind, person, nonce + key.encrypt(nonce, msgspec.json.encode(content), bound(seq, person)))
        return seq

    def note(self, kind: str, content: dict[str, Any]) -> int:
        """A line of a kind that is of no person (`NoteKind`), and is not encrypted; gives its number."""
        self._append(kind, b"", json.dumps(content, sort_keys=True).encode())
        return self._seq

    def handle(self, handle: bytes) -> Handle | None:
        """What is known of a token's handle."""
        query = "SELECT application, withdrawn FROM handles WHERE handle = ?"
        row = self._database.execute(query, (handle,)).fetchone()
        return None if row is None else Handle(None if row[0] is None else bytes(row[0]), row[1])

    def free(self, known: Handle | None, application: str) -> bool:
        """Whether a token of which so much is known may serve an application: it is bound to no other one."""
        return known is None or known.application == self._application(application)

    def use(self, handle: bytes, application: str, person: str, platform: str, expires: str, day: date) -> None:
        """Bind a free token to an application, and read what batches up to that day told of it before."""
        name = self._keys.person(person)
        row = (handle, self._application(application), platform, name, expires)
        self._database.execute("INSERT OR IGNORE INTO handles VALUES (?, ?, ?, ?, ?, NULL)", row)
        self.shed |= take_tombstones(self._database, handle, name, platform, day)

    def keep_level(self, token: Token, person: str, purpose: str) -> None:
        """Keep the level of a token that is used here, for a purpose of retraining that its consent names."""
        keep_level(self._database, self._keys.person(person), token, purpose)

    def take_watch(
        self, entries: Sequence[bytes], platform: str, day: date, before: Meanings | None = None
    ) -> list[bytes]:
        """Keep the watch bits among the entries of a platform's batch; gives those that are none. `before` is what
        `ScoreLog.watch_meanings` gave for that platform and day.
        """
        meant = meanings(self._database, platform, day, before)
        others, deleted = take_entries(self._database, entries, platform, meant)
        self.shed |= deleted
        return others

    def withdraw(self, handles: Iterable[bytes], platform: str, day: str, until: str) -> int:
        """Use these tokens of a platform no more; their persons' lines move under the retention key until a day.

        A handle that is not known leaves its tombstone; one that was withdrawn before changes nothing. Gives how many
        were known.
        """
        count = 0
        for handle in handles:
            self.shed |= drop_level(self._database, handle, platform)
            query = "SELECT person, platform, application IS NULL FROM handles WHERE handle = ?"
            row = self._database.execute(query, (handle,)).fetchone()
            if row is None:
                self._database.execute(
                    "INSERT INTO handles VALUES (?, NULL, ?, ?, '', ?)", (handle, platform, b"", day)
                )
                continue
            if row[1] != platform or row[2]:
                continue
            count += 1
            query = "UPDATE handles SET withdrawn = ? WHERE handle = ? AND withdrawn IS NULL"
            if self._database.execute(query, (day, handle)).rowcount == 1:
                self.shed |= drop_bits(self._database, handle)
                self._retain(bytes(row[0]), until)
        return count

    def erase(self, person: str, cause: str) -> bool:
        """Destroy a person's keys for good, with a line that says why; False where there was none."""
        name = self._keys.person(person)
        self.shed |= drop_levels(self._database, name) | drop_bits_of(self._database, name)
        gone = self._database.execute("DELETE FROM persons WHERE person = ?", (name,)).rowcount
        return self._erased(name, cause, gone)

    def destroy_expired(self, day: str) -> int:
        """Destroy the keys whose term has ended, and levels that are kept no longer; gives how many keys."""
        self.shed |= drop_old_levels(self._database, day) | drop_old_bits(self._database, day)
        query = "DELETE FROM persons WHERE retained = 1 AND until < ? RETURNING person"
        names = [bytes(person) for (person,) in self._database.execute(query, (day,))]
        return sum(self._erased(name, "term-ended", 1) for name in names)

    @property
    def written(self) -> bool:
        """Whether there are lines in this commit."""
        return self._written

    @property
    def last(self) -> tuple[int, bytes]:
        """Number and head of the last line."""
        return self._seq, self._head

    def sign(self) -> None:
        """Sign the chain as it is now."""
        if self._written:
            signature = self._keys.signing.sign(SIGNED + self._head)
            self._database.execute("INSERT INTO commits VALUES (?, ?)", (self._seq, signature))

    def _erased(self, name: bytes, cause: str, keys: int) -> bool:
        """Write that keys of a person were destroyed, if any were."""
        if keys:
            self.shed = True
            self._open.pop(name, None)
            self._append("erased", name, json.dumps({"cause": cause}).encode())
        return bool(keys)

    def _retain(self, name: bytes, until: str) -> None:
        row = self._database.execute(_OPEN_KEY, (name,)).fetchone()
        if row is None:
            return
        nonce = os.urandom(NONCE)
        wrapped = nonce + AESGCM(self._keys.retention).encrypt(nonce, bytes(row[0]), name)
        self._database.execute(
            "UPDATE persons SET key = ?, retained = 1, until = ? WHERE person = ? AND retained = 0",
            (wrapped, until, name),
        )
        self.shed = True
        self._open.pop(name, None)

    def _key(self, name: bytes) -> AESGCM:
        if name not in self._open:
            row = self._database.execute(_OPEN_KEY, (name,)).fetchone()
            raw = os.urandom(KEY_BYTES) if row is None else bytes(row[0])
            if row is None:
                # Also of who withdrew before: lines under the retention key end with the term of that withdrawal.
                self._database.execute("INSERT INTO persons VALUES (?, ?, ?, 0, NULL)", (name, self._seq + 1, raw))
            self._open[name] = AESGCM(raw)
        return self._open[name]

    def _append(self, kind: str, person: bytes, body: bytes) -> None:
        at = f"{datetime.now(UTC).replace(tzinfo=None).isoformat(timespec='seconds')}Z"
        self._seq, self._written = self._seq + 1, True
        self._head = chained(self._head, self._seq, at, kind, person, body)
        row = (self._seq, at, kind, person, body, self._head)
        self._database.execute("INSERT INTO lines VALUES (?, ?, ?, ?, ?, ?)", row)

    def _application(self, application: str) -> bytes:
        return hmac.digest(self._keys.naming, pack_fields(b"application", application.encode()), hashlib.sha256)

    def _body(self, digest: bytes) -> bytes:
        """What stands for a body: of a plain digest anyone could try which values an applicant gave."""
        return hmac.digest(self._keys.naming, pack_fields(b"body", digest), hashlib.sha256)


def last_line(database: sqlite3.Connection) -> tuple[int, bytes]:
    """Number and head of the last line; 0 and the start of the chain where there is none."""
    row = database.execute("SELECT seq, head FROM lines ORDER BY seq DESC LIMIT 1").fetchone()
    return (int(row[0]), bytes(row[1])) if row else (0, START)
