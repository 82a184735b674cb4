"""The log of scores: a signed chain of lines, each encrypted under a key of its person, committed before answers leave.

A line that is altered, cut or moved breaks the chain; one that is missing at the end is found by the head that the
ledger keeps of each day. A person's lines are read while its key is there: a withdrawal moves the key under the
retention key, an erasure destroys it, and the chain verifies all the same. After a withdrawal a person's next lines get
a key of their own, so that each is kept to its own term.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sealscore.clients.scoring.durable import ROOM, HeadFile, open_durable, whole
from sealscore.clients.scoring.storage.kept_levels import (
    LEVELS_SCHEMA,
    drop_level,
    drop_levels,
    drop_old_levels,
    keep_level,
    pseudonym,
)
from sealscore.clients.scoring.storage.lines import NONCE, SIGNED, START, bound, chained, opened, verified
from sealscore.shared.fields import pack_fields
from sealscore.shared.files import OWNER_ONLY
from sealscore.shared.serving.token import Token

KEY_BYTES = 32
_OPEN_KEY = "SELECT key FROM persons WHERE person = ? AND retained = 0"
# Lines that are of no person, and not encrypted.
_OPEN_KINDS = ("erased", "policy")
_SCHEMA = """
CREATE TABLE IF NOT EXISTS lines (
    seq INTEGER PRIMARY KEY, at TEXT NOT NULL, kind TEXT NOT NULL, person BLOB NOT NULL, body BLOB NOT NULL,
    head BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS commits (seq INTEGER PRIMARY KEY, signature BLOB NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS lines_heads ON lines (head);
CREATE INDEX IF NOT EXISTS lines_erased ON lines (person) WHERE kind = 'erased';
CREATE INDEX IF NOT EXISTS lines_policies ON lines (seq) WHERE kind = 'policy';
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
CREATE TRIGGER IF NOT EXISTS lines_stay BEFORE UPDATE ON lines BEGIN SELECT RAISE(ABORT, 'a log only grows'); END;
CREATE TRIGGER IF NOT EXISTS lines_last BEFORE DELETE ON lines BEGIN SELECT RAISE(ABORT, 'a log only grows'); END;
"""


class ScoreLogError(RuntimeError):
    """A log that cannot be used; the message names the file and the fix."""


@dataclass(frozen=True)
class LogKeys:
    """What the log is kept under: the key that signs it, the secret that names persons, and the retention key. Its
    `repr` shows none.
    """

    signing: Ed25519PrivateKey = field(repr=False)
    naming: bytes = field(repr=False)
    retention: bytes = field(repr=False)

    @classmethod
    def of(cls, secret: bytes) -> LogKeys:
        """All of them from one secret of 96 bytes."""
        if len(secret) != 3 * KEY_BYTES:
            raise ValueError(f"the keys of a log follow from {3 * KEY_BYTES} bytes")
        return cls(Ed25519PrivateKey.from_private_bytes(secret[:32]), secret[32:64], secret[64:])

    @classmethod
    def fresh(cls) -> LogKeys:
        """New keys."""
        return cls.of(os.urandom(3 * KEY_BYTES))

    def person(self, person: str) -> bytes:
        """What stands for a person in the file, 32 bytes."""
        return pseudonym(self.naming, person)


class ScoreLine(NamedTuple):
    """A line as it was written: `content` is None where its person's key is gone, and `erased` says since when.

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


@dataclass(frozen=True)
class Handle:
    """A token's handle that this lender has seen: for which application, and when it was withdrawn, if it was."""

    application: bytes | None
    withdrawn: str | None


class ScoreLog:
    """The file of one lender, of mode 0600, or memory where no path is given. One process writes at a time.

    Raises:
        ScoreLogError: it cannot be used.
    """

    def __init__(self, keys: LogKeys, path: Path | None = None, mode: int = OWNER_ONLY) -> None:
        self.path, self._keys = path, keys
        self._heads = None if path is None else HeadFile(path.with_suffix(".head"), mode)
        self._batch: Batch | None = None
        try:
            # A key that is destroyed must leave no bytes in the file.
            self._database = open_durable(path, _SCHEMA + LEVELS_SCHEMA, "secure_delete=ON", mode=mode)
        except (OSError, sqlite3.Error) as error:
            raise ScoreLogError(f"{path}: no log of scores can be used there ({error})") from None

    @contextmanager
    def commit(self) -> Iterator[Batch]:
        """Lines that are written together: on the disk and signed when the block ends well, and none if it does not.

        A commit within another is a part of it, so that a score and what is decided on it stand or fall together.

        Raises:
            ScoreLogError: they cannot be written; no answer may leave.
        """
        if self._batch is not None:
            yield self._batch
            return
        try:
            with whole(self._database):
                batch = self._batch = Batch(self._database, self._keys)
                try:
                    yield batch
                    batch.sign()
                finally:
                    self._batch = None
            if batch.shed:
                # Nor in the file beside it, where pages wait for their place.
                self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            if self._heads is not None and batch.written:
                self._heads.keep(*batch.last)
        except (sqlite3.Error, OSError) as error:
            raise ScoreLogError(f"{self.path}: cannot be written ({error}); {ROOM}") from None

    @property
    def keys(self) -> LogKeys:
        """What it is kept under."""
        return self._keys

    def extend(self, schema: str) -> None:
        """Make tables beside the lines, which are written in the same commits; ScoreLogError where that fails."""
        try:
            self._database.executescript(schema)
        except sqlite3.Error as error:
            raise ScoreLogError(f"{self.path}: cannot be written ({error}); {ROOM}") from None

    @property
    def head(self) -> str:
        """The head of the chain, 64 hexadecimal digits."""
        return _last(self._database)[1].hex()

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

    def lines(self, seqs: Sequence[int] | None = None) -> Iterator[ScoreLine]:
        """The lines in order, decrypted as far as their persons' keys are there."""
        where = "" if seqs is None else f"WHERE seq IN ({','.join('?' * len(seqs))})"
        keys = self._person_keys(where, seqs or ())
        query = f"SELECT seq, at, kind, person, body FROM lines {where} ORDER BY seq"
        for seq, at, kind, person, body in self._database.execute(query, tuple(seqs or ())):
            name = bytes(person)
            if kind in _OPEN_KINDS:
                yield ScoreLine(seq, at, kind, json.loads(bytes(body)), "", name)
                continue
            key = next((key for since, key in keys.get(name, ()) if since <= seq), None)
            content = None if key is None else opened(key, seq, name, bytes(body))
            yield ScoreLine(seq, at, kind, content, "" if content is not None else self._erased_at(name), name)

    def notes(self) -> Iterator[ScoreLine]:
        """The lines of policies, which are of no person, in order."""
        query = "SELECT seq, at, body FROM lines WHERE kind = 'policy' ORDER BY seq"
        for seq, at, body in self._database.execute(query):
            yield ScoreLine(seq, at, "policy", json.loads(bytes(body)))

    def find(self, score: str) -> ScoreLine | None:
        """The line of a score by its id."""
        query = "SELECT seq, person FROM answers JOIN lines USING (seq) WHERE score = ?"
        row = self._database.execute(query, (score,)).fetchone()
        return None if row is None else next(self.lines([int(row[0])]))

    def close(self) -> None:
        """Close the file; the object is of no more use."""
        self._database.close()

    def _erased_at(self, person: bytes) -> str:
        query = "SELECT MAX(at) FROM lines WHERE kind = 'erased' AND person = ?"
        return str(self._database.execute(query, (person,)).fetchone()[0] or "unknown")

    def _person_keys(self, where: str, seqs: Sequence[int]) -> dict[bytes, list[tuple[int, AESGCM]]]:
        """The keys of persons of these lines with the line from which on each is used, the latest first."""
        found: dict[bytes, list[tuple[int, AESGCM]]] = {}
        retention = AESGCM(self._keys.retention)
        of = f"WHERE person IN (SELECT person FROM lines {where})" if where else ""
        query = f"SELECT person, since, key, retained FROM persons {of} ORDER BY since DESC"
        for person, since, key, retained in self._database.execute(query, tuple(seqs)):
            raw, name = bytes(key), bytes(person)
            # What another retention key wrapped is as good as destroyed.
            with suppress(InvalidTag):
                opened = AESGCM(retention.decrypt(raw[:NONCE], raw[NONCE:], name) if retained else raw)
                found.setdefault(name, []).append((since, opened))
        return found


class Batch:
    """Lines, answers and handles of one commit."""

    def __init__(self, database: sqlite3.Connection, keys: LogKeys) -> None:
        self._database, self._keys = database, keys
        self._seq, self._head = _last(database)
        self._written = False
        self._open: dict[bytes, AESGCM] = {}
        self.shed = False
        """Whether a key was destroyed or wrapped, or a level deleted: what it was must go from the files, too."""

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

    def note_policy(self, content: dict[str, Any]) -> int:
        """A line of a policy, which is of no person and not encrypted; gives its number."""
        self._append("policy", b"", json.dumps(content, sort_keys=True).encode())
        return self._seq

    @property
    def database(self) -> sqlite3.Connection:
        """The file in this commit's transaction, for tables that `ScoreLog.extend` made."""
        return self._database

    def handle(self, handle: bytes) -> Handle | None:
        """What is known of a token's handle."""
        query = "SELECT application, withdrawn FROM handles WHERE handle = ?"
        row = self._database.execute(query, (handle,)).fetchone()
        return None if row is None else Handle(None if row[0] is None else bytes(row[0]), row[1])

    def free(self, known: Handle | None, application: str) -> bool:
        """Whether a token of which so much is known may serve an application: it is bound to no other one."""
        return known is None or known.application == self._application(application)

    def use(self, handle: bytes, application: str, person: str, platform: str, expires: str) -> None:
        """Bind a free token to an application."""
        row = (handle, self._application(application), platform, self._keys.person(person), expires)
        self._database.execute("INSERT OR IGNORE INTO handles VALUES (?, ?, ?, ?, ?, NULL)", row)

    def keep_level(self, token: Token, person: str, purpose: str) -> None:
        """Keep the level of a token that is used here, for a purpose of retraining that its consent names."""
        keep_level(self._database, self._keys.person(person), token, purpose)

    def withdraw(self, handles: Iterable[bytes], platform: str, day: str, until: str) -> int:
        """Use these tokens of a platform no more; their persons' lines move under the retention key until a day.

        A handle that is not known leaves its tombstone; one that was withdrawn before changes nothing. Gives how many
        were known.
        """
        count = 0
        for handle in handles:
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
            self.shed |= drop_level(self._database, handle)
            query = "UPDATE handles SET withdrawn = ? WHERE handle = ? AND withdrawn IS NULL"
            if self._database.execute(query, (day, handle)).rowcount == 1:
                self._retain(bytes(row[0]), until)
        return count

    def erase(self, person: str, cause: str) -> bool:
        """Destroy a person's keys for good, with a line that says why; False where there was none."""
        name = self._keys.person(person)
        self.shed |= drop_levels(self._database, name)
        gone = self._database.execute("DELETE FROM persons WHERE person = ?", (name,)).rowcount
        return self._erased(name, cause, gone)

    def destroy_expired(self, day: str) -> int:
        """Destroy the keys whose term has ended, and levels that are kept no longer; gives how many keys."""
        self.shed |= drop_old_levels(self._database, day)
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


def _last(database: sqlite3.Connection) -> tuple[int, bytes]:
    row = database.execute("SELECT seq, head FROM lines ORDER BY seq DESC LIMIT 1").fetchone()
    return (int(row[0]), bytes(row[1])) if row else (0, START)
