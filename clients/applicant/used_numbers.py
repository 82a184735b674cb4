"""Which numbers of papers applicants used, since when: the index behind the checks that compare applicants.

The checks ask one thing: did another person use this number before the day of the application? So of each number and
person the earliest day is kept, and a question looks at two rows at most, however many applications there are. Numbers
and persons are kept as keyed hashes alone (HMAC-SHA-256, 128 bits); whoever has the file and not the key learns how
many persons share a number, and when each came.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import polars as pl

from sealscore.clients.applicant.errors import UsedNumbersError
from sealscore.clients.features.papers import NUMBERS, Paper
from sealscore.clients.scoring.durable import ROOM, open_durable, whole
from sealscore.shared.fields import pack_fields
from sealscore.shared.files import OWNER_ONLY

KEY_BYTES = 32
CNY: Mapping[str, float] = {"CNY": 1.0}
_SCHEMA = """
CREATE TABLE IF NOT EXISTS built (key_check BLOB NOT NULL, rates TEXT NOT NULL, zone TEXT) STRICT;
CREATE TABLE IF NOT EXISTS uses (
    number BLOB NOT NULL, person BLOB NOT NULL, day INTEGER NOT NULL, PRIMARY KEY (number, person)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS uses_by_day ON uses (number, day, person);
"""
_USE = """
INSERT INTO uses VALUES (?, ?, ?) ON CONFLICT (number, person) DO UPDATE SET day = MIN(day, excluded.day)
"""
_NUMBER, _PERSON, _CHECK = (f"sealscore used {what} 1".encode() for what in ("number", "person", "key"))
_HASH = 16
Numbers = Mapping[Paper, str | None]


class UsedNumbers:
    """The index in a file, made where there is none, or in memory; `key` has 32 bytes.

    Raises:
        UsedNumbersError: the file cannot be used, or was built under another key.
    """

    def __init__(self, key: bytes, path: Path | None = None, mode: int = OWNER_ONLY) -> None:
        self._key, self._path = key, path
        with self._told():
            self._database = open_durable(path, _SCHEMA, mode=mode)
            check = self._database.execute("SELECT key_check FROM built").fetchone()
        if check is not None and not hmac.compare_digest(check[0], self._hash(_CHECK)):
            self.close()
            raise UsedNumbersError(
                f"{self._place}: was built under another key; build it again: sealscore-node applicant index TABLES"
            )

    @property
    def built(self) -> bool:
        """Whether it has been built; until then it says of nobody what others used."""
        with self._told():
            return self._database.execute("SELECT 1 FROM built").fetchone() is not None

    @property
    def read_by(self) -> tuple[dict[str, float], str | None]:
        """The rates and the zone that it was built with.

        Raises:
            UsedNumbersError: it cannot be read, or has not been built.
        """
        self._refuse_unbuilt()
        with self._told():
            rates, zone = self._database.execute("SELECT rates, zone FROM built").fetchone()
        return json.loads(rates), zone

    def __len__(self) -> int:
        """Pairs of a number and a person."""
        with self._told():
            return int(self._database.execute("SELECT COUNT(*) FROM uses").fetchone()[0])

    def build(self, filed: pl.DataFrame, rates: Mapping[str, float] = CNY, zone: str | None = None) -> None:
        """Have all of `papers.filed_papers` in it and nothing else: on the disk when this returns, or nothing of it.

        `rates` and `zone` are those of the tables, by which one applicant's rows are to be read, too.

        Raises:
            UsedNumbersError: it cannot be written.
        """
        with self._told(), whole(self._database):
            self._database.execute("DELETE FROM uses")
            self._database.execute("DELETE FROM built")
            for paper, number in NUMBERS.items():
                firsts = filed.drop_nulls(number).group_by(number, "creator_id").agg(pl.col("applied_at").min())
                uses = firsts.select("creator_id", "applied_at", number).iter_rows()
                self._database.executemany(_USE, (self._use(person, day, paper, text) for person, day, text in uses))
            self._database.execute(
                "INSERT INTO built VALUES (?, ?, ?)", (self._hash(_CHECK), json.dumps(dict(rates)), zone)
            )

    def add(self, person: str, day: date, numbers: Numbers) -> None:
        """One application more: the numbers that a person filed that day. Again is the same as once.

        Raises:
            UsedNumbersError: it cannot be written, or has not been built.
        """
        self._refuse_unbuilt()
        uses = [self._use(person, day, paper, text) for paper, text in numbers.items() if text is not None]
        with self._told(), whole(self._database):
            self._database.executemany(_USE, uses)

    def used_by_others(self, person: str, day: date, numbers: Numbers) -> dict[Paper, bool]:
        """Of each paper whether somebody else used its number before that day.

        Raises:
            UsedNumbersError: it cannot be read, or has not been built.
        """
        self._refuse_unbuilt()
        return {paper: text is not None and self._by_others(*self._use(person, day, paper, text))
                for paper, text in numbers.items()}  # fmt: skip

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def _by_others(self, number: bytes, person: bytes, day: int) -> bool:
        # A person has one row of a number, so of any two the one or the other is another's.
        query = "SELECT person FROM uses WHERE number = ? AND day < ? ORDER BY day LIMIT 2"
        with self._told():
            return any(user != person for (user,) in self._database.execute(query, (number, day)))

    def _use(self, person: str, day: date, paper: Paper, text: str) -> tuple[bytes, bytes, int]:
        return self._hash(_NUMBER, paper, text), self._hash(_PERSON, person), day.toordinal()

    def _hash(self, kind: bytes, *parts: str) -> bytes:
        packed = pack_fields(kind, *(part.encode() for part in parts))
        return hmac.digest(self._key, packed, hashlib.sha256)[:_HASH]

    def _refuse_unbuilt(self) -> None:
        if not self.built:
            fix = "build it first: sealscore-node applicant index TABLES"
            raise UsedNumbersError(f"{self._place}: has no numbers of other applicants yet; {fix}")

    @property
    def _place(self) -> str:
        return "the index in memory" if self._path is None else str(self._path)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            what = f"{self._place}: cannot be used ({type(error).__name__}); {ROOM}"
            raise UsedNumbersError(f"{what}, or build it again: sealscore-node applicant index TABLES") from None
