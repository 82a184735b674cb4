"""What a platform told for scoring, of whom, and the tokens that it gave: a SQLite file beside the disclosure store.

What is told is charged, computed, sealed and kept in one transaction, so a crash leaves all of it or nothing, and a
request that comes again gets the same token. Rows of what was told are chained and never deleted: bits of a person add
up over the life of a data set. Any number of processes may use one file.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sealscore.clients.scoring.durable import ROOM, open_durable, whole
from sealscore.clients.scoring.storage.subscriptions import ENDS_THAT_WAIT, SUBSCRIPTIONS_SCHEMA, entries_of, fill
from sealscore.shared.fields import counter, pack_fields

_LABEL = b"sealscore serving store 1"
_START = bytes(32)
# What follows the meaning in the row of a corrected value, before its cause; no meaning has it.
_CORRECTED = "|corrected|"
# `given` counts tokens by day: to count them anew would cost each consent of a day more than the one before. Files from
# before it are counted once, in one transaction with the trigger that counts from then on, in whichever process. Of a
# correction what it tells is kept before its token, and it takes nothing of the day's most: a trigger of before counted
# it, too.
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS told (
    seq INTEGER PRIMARY KEY, person TEXT NOT NULL, kind TEXT NOT NULL, what TEXT NOT NULL, month TEXT NOT NULL,
    value INTEGER NOT NULL, bits INTEGER NOT NULL, lender TEXT NOT NULL, release TEXT NOT NULL, handle BLOB NOT NULL,
    nonce BLOB NOT NULL, head BLOB NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS told_of ON told (person, kind, what);
CREATE INDEX IF NOT EXISTS told_heads ON told (head);
CREATE TABLE IF NOT EXISTS tokens (
    release TEXT NOT NULL, lender TEXT NOT NULL, key TEXT NOT NULL, request BLOB NOT NULL, person TEXT NOT NULL,
    day TEXT NOT NULL, expires TEXT NOT NULL, handle BLOB NOT NULL, token BLOB NOT NULL,
    withdrawn TEXT, batch INTEGER, PRIMARY KEY (release, lender, key)
) STRICT;
CREATE INDEX IF NOT EXISTS tokens_of ON tokens (person, lender);
CREATE INDEX IF NOT EXISTS tokens_on ON tokens (release, lender, day);
CREATE TABLE IF NOT EXISTS withdrawals (
    person TEXT NOT NULL, lender TEXT NOT NULL, day TEXT NOT NULL, PRIMARY KEY (person, lender)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS batches (
    lender TEXT NOT NULL, number INTEGER NOT NULL, day TEXT NOT NULL, receipt BLOB, PRIMARY KEY (lender, number)
) STRICT;
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS given (
    release TEXT NOT NULL, lender TEXT NOT NULL, day TEXT NOT NULL, tokens INTEGER NOT NULL,
    PRIMARY KEY (release, lender, day)
) STRICT, WITHOUT ROWID;
DROP TRIGGER IF EXISTS tokens_given;
CREATE TRIGGER IF NOT EXISTS tokens_counted AFTER INSERT ON tokens WHEN NOT EXISTS (
    SELECT 1 FROM told WHERE (person, handle) = (NEW.person, NEW.handle) AND instr(what, '{_CORRECTED}')
) BEGIN
    INSERT INTO given VALUES (NEW.release, NEW.lender, NEW.day, 1) ON CONFLICT DO UPDATE SET tokens = tokens + 1;
END;
INSERT INTO given SELECT release, lender, day, COUNT(*) FROM tokens WHERE NOT EXISTS (SELECT 1 FROM given)
    AND handle NOT IN (SELECT handle FROM told WHERE instr(what, '{_CORRECTED}')) GROUP BY release, lender, day;
COMMIT;
CREATE TRIGGER IF NOT EXISTS told_stay BEFORE UPDATE ON told BEGIN SELECT RAISE(ABORT, 'it only grows'); END;
CREATE TRIGGER IF NOT EXISTS told_last BEFORE DELETE ON told BEGIN SELECT RAISE(ABORT, 'it only grows'); END;
"""

# Rows of a value under one meaning, and of its correction.
_MEANING = (
    "WHERE (person, kind) = (?1, ?2) AND "
    f"(what = ?3 OR substr(what, 1, length(?3) + {len(_CORRECTED)}) = ?3 || '{_CORRECTED}')"
)


class ServingStoreError(RuntimeError):
    """A serving store that cannot be used; the message names the file and the fix."""


@dataclass(frozen=True)
class KeptToken:
    """A token that was given: the digest of what was asked, the token, its last day, and the day of its withdrawal, if
    there is one. Its `repr` shows nothing.
    """

    request: bytes
    handle: bytes
    token: bytes
    expires: str
    withdrawn: str | None = None

    def __repr__(self) -> str:
        return "KeptToken()"


class Transaction:
    """What can be read and written in one transaction."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def kept(self, release: str, lender: str, key: str) -> KeptToken | None:
        """The token that was given for an idempotency key."""
        query = "SELECT request, handle, token, expires, withdrawn FROM tokens WHERE (release, lender, key) = (?, ?, ?)"
        row = self._database.execute(query, (release, lender, key)).fetchone()
        return None if row is None else KeptToken(bytes(row[0]), bytes(row[1]), bytes(row[2]), *row[3:])

    def keep(
        self,
        release: str,
        lender: str,
        key: str,
        token: KeptToken,
        person: str,
        day: str,
    ) -> None:
        """Keep a token for its key."""
        row = (release, lender, key, token.request, person, day, token.expires, token.handle, token.token)
        self._database.execute("INSERT INTO tokens VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL)", row)

    def given_on(self, release: str, lender: str, day: str) -> int:
        """How many tokens a lender's applicants got on a day."""
        query = "SELECT tokens FROM given WHERE (release, lender, day) = (?, ?, ?)"
        row = self._database.execute(query, (release, lender, day)).fetchone()
        return 0 if row is None else int(row[0])

    def told(self, person: str, kind: str, what: str) -> int | None:
        """The value that was told under one meaning: the corrected one, where there is one."""
        query = f"SELECT value FROM told {_MEANING} ORDER BY seq DESC LIMIT 1"
        row = self._database.execute(query, (person, kind, what)).fetchone()
        return None if row is None else int(row[0])

    def corrected(self, person: str, kind: str, what: str) -> bool:
        """Whether the value that was told under one meaning was corrected."""
        query = f"SELECT 1 FROM told {_MEANING} AND what <> ?3"
        return self._database.execute(query, (person, kind, what)).fetchone() is not None

    def supersede(self, person: str, kind: str, what: str, day: str) -> None:
        """Tokens, for whatever lender, by which a value under one meaning was told go into the next batches."""
        handles = f"SELECT handle FROM told {_MEANING}"
        query = f"UPDATE tokens SET withdrawn = ?4 WHERE withdrawn IS NULL AND handle IN ({handles})"
        self._database.execute(query, (person, kind, what, day))

    def bits(self, person: str, kind: str, month: str | None = None) -> int:
        """Bits of a kind that were told of a person ever, or in a calendar month; without those of corrections, which
        are beyond the limits.
        """
        where, values = f"(person, kind) = (?, ?) AND instr(what, '{_CORRECTED}') = 0", [person, kind]
        if month is not None:
            where, values = f"{where} AND month = ?", [*values, month]
        query = f"SELECT COALESCE(SUM(bits), 0) FROM told WHERE {where}"
        return int(self._database.execute(query, values).fetchone()[0])

    def tell(
        self,
        person: str,
        kind: str,
        what: str,
        month: str,
        value: int,
        bits: int,
        lender: str,
        release: str,
        handle: bytes,
        cause: str = "",
    ) -> None:
        """Note that a value is told; `bits` are those that are new. With a `cause` it corrects the one told before."""
        what = f"{what}{_CORRECTED}{cause}" if cause else what
        seq, head = _last(self._database)
        nonce = os.urandom(32)
        row = (seq + 1, person, kind, what, month, value, bits, lender, release, handle)
        chained = _chained(head, nonce, row)
        self._database.execute("INSERT INTO told VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (*row, nonce, chained))

    def withdraw(self, person: str, lender: str, day: str) -> int:
        """Note that a person withdrew from a lender: its tokens go into the next batch. Gives how many there are.

        The last day on which it did is kept, also where no token was given.
        """
        kept = "INSERT INTO withdrawals VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET day = MAX(day, excluded.day)"
        self._database.execute(kept, (person, lender, day))
        query = "UPDATE tokens SET withdrawn = ? WHERE (person, lender) = (?, ?) AND withdrawn IS NULL"
        return self._database.execute(query, (day, person, lender)).rowcount

    def consented(self, release: str, lender: str, person: str, request: bytes) -> str | None:
        """The last day on which a person got a token by a consent, by the digest of what was asked."""
        query = "SELECT MAX(day) FROM tokens WHERE (person, lender) = (?, ?) AND (release, request) = (?, ?)"
        (day,) = self._database.execute(query, (person, lender, release, request)).fetchone()
        return None if day is None else str(day)

    def withdrew(self, person: str, lender: str) -> str | None:
        """The last day on which a person withdrew from a lender."""
        query = "SELECT day FROM withdrawals WHERE (person, lender) = (?, ?)"
        row = self._database.execute(query, (person, lender)).fetchone()
        return None if row is None else str(row[0])

    def take_batch(self, lender: str, day: str, places: int) -> tuple[int, list[bytes], list[bytes]]:
        """The day's batch of a lender: its number, the handles in it, withdrawals in the order in which they came, and
        entries of the watch in the places that are left.

        What an earlier one had goes into this one too, until it is receipted. What does not fit waits.
        """
        row = self._database.execute(
            "SELECT number FROM batches WHERE (lender, day) = (?, ?)", (lender, day)
        ).fetchone()
        if row is None:
            found = self._database.execute("SELECT COALESCE(MAX(number), 0) FROM batches WHERE lender = ?", (lender,))
            number = int(found.fetchone()[0]) + 1
            self._database.execute("INSERT INTO batches VALUES (?, ?, ?, NULL)", (lender, number, day))
            waiting = (
                "SELECT rowid FROM tokens WHERE lender = ? AND withdrawn IS NOT NULL AND (batch IS NULL OR batch IN "
                "(SELECT number FROM batches WHERE lender = tokens.lender AND receipt IS NULL)) "
                "ORDER BY withdrawn, rowid LIMIT ?"
            )
            query = f"UPDATE tokens SET batch = ? WHERE rowid IN ({waiting})"
            taken = self._database.execute(query, (number, lender, places)).rowcount
            fill(self._database, lender, number, places - taken)
        else:
            number = int(row[0])
        rows = self._database.execute(
            "SELECT handle FROM tokens WHERE (lender, batch) = (?, ?) ORDER BY rowid", (lender, number)
        )
        return number, [bytes(handle) for (handle,) in rows], entries_of(self._database, lender, number)

    @property
    def database(self) -> sqlite3.Connection:
        """The file in this transaction, for the tables of `storage`."""
        return self._database

    def receipted(self, lender: str, number: int, receipt: bytes) -> bool:
        """Note a lender's receipt of a batch; False where there is no such batch."""
        query = "UPDATE batches SET receipt = ? WHERE (lender, number) = (?, ?)"
        return self._database.execute(query, (receipt, lender, number)).rowcount == 1

    def waiting(self) -> list[tuple[str, str]]:
        """(lender, day of the first) of withdrawals and ends of watches that no batch has now, in order."""
        query = (
            f"SELECT lender, MIN(day) FROM (SELECT lender, withdrawn AS day FROM tokens WHERE withdrawn IS NOT NULL "
            f"AND batch IS NULL UNION ALL {ENDS_THAT_WAIT}) GROUP BY lender ORDER BY lender"
        )
        return [(str(lender), str(day)) for lender, day in self._database.execute(query)]

    def unreceipted(self) -> list[tuple[str, int, str]]:
        """(lender, number, day) of the batches of which the lender gave no receipt yet, in order.

        Those that a later one made up for are not among them.
        """
        query = (
            "SELECT lender, number, day FROM batches AS one WHERE receipt IS NULL AND (number > (SELECT "
            "COALESCE(MAX(number), 0) FROM batches WHERE lender = one.lender AND receipt IS NOT NULL) OR EXISTS "
            "(SELECT 1 FROM tokens WHERE (lender, batch) = (one.lender, one.number))) ORDER BY lender, number"
        )
        return [(lender, int(number), day) for lender, number, day in self._database.execute(query)]


class ServingStore:
    """The file of one data set, of mode 0600, or memory where no path is given.

    Raises:
        ServingStoreError: it cannot be used.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        try:
            self._database = open_durable(path, _SCHEMA + SUBSCRIPTIONS_SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise ServingStoreError(f"{path}: no serving store can be used there ({error})") from None

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """A transaction, on the disk when the block ends well, and undone when it does not.

        Raises:
            ServingStoreError: it cannot be written; nothing of it was.
        """
        try:
            with whole(self._database):
                yield Transaction(self._database)
        except sqlite3.Error as error:
            raise ServingStoreError(f"{self.path}: cannot be written ({error}); {ROOM}") from None

    @property
    def head(self) -> str:
        """The head of the chain of what was told, 64 hexadecimal digits."""
        return _last(self._database)[1].hex()

    def check(self) -> int | None:
        """The first row that was changed, or None where the whole chain is intact."""
        head = _START
        for place, row in enumerate(self._database.execute("SELECT * FROM told ORDER BY seq"), start=1):
            *told, nonce, kept = row
            head = _chained(head, bytes(nonce), tuple(told))
            if told[0] != place or head != bytes(kept):
                return place
        return None

    def holds(self, head: str) -> bool:
        """Whether the chain has had this head."""
        if head == _START.hex():
            return True
        row = self._database.execute("SELECT 1 FROM told WHERE head = ?", (bytes.fromhex(head),)).fetchone()
        return row is not None

    def told_of(self, person: str) -> list[Mapping[str, object]]:
        """All that was told of a person, in order, for whoever has a right to see it.

        `day` is that of the token which told it (of a watch bit the one that its consent names), `withdrawn` that from
        which on the lender is told not to use it, or None. A correction has its cause, `corrected`.
        """
        names = ("kind", "month", "value", "bits", "lender", "release", "day", "withdrawn")
        query = (
            f"SELECT {', '.join(names)}, what FROM (SELECT seq, kind, month, value, bits, told.lender, told.release, "
            "day, withdrawn, what FROM told LEFT JOIN tokens USING (person, lender, handle) WHERE person = ?) "
            "ORDER BY seq"
        )
        found: list[Mapping[str, object]] = []
        for *row, what in self._database.execute(query, (person,)):
            cause = what.partition(_CORRECTED)[2]
            found.append(dict(zip(names, row, strict=True)) | ({"corrected": cause} if cause else {}))
        return found

    def most_bits(self) -> dict[str, int]:
        """By kind the most bits that were told of one person."""
        query = (
            "SELECT kind, MAX(total) FROM (SELECT kind, SUM(bits) AS total FROM told GROUP BY kind, person) "
            "GROUP BY kind ORDER BY kind"
        )
        return {kind: int(total) for kind, total in self._database.execute(query)}

    def close(self) -> None:
        """Close the file; the object is of no more use."""
        self._database.close()


def _last(database: sqlite3.Connection) -> tuple[int, bytes]:
    row = database.execute("SELECT seq, head FROM told ORDER BY seq DESC LIMIT 1").fetchone()
    return (int(row[0]), bytes(row[1])) if row else (0, _START)


def _chained(head: bytes, nonce: bytes, row: tuple[object, ...]) -> bytes:
    seq, *texts, handle = row
    fields = [counter(int(str(seq))), *(str(text).encode() for text in texts), bytes(handle)]  # type: ignore[call-overload]
    return hashlib.sha256(pack_fields(_LABEL, head, nonce, *fields)).digest()
