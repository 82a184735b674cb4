"""Levels of tokens whose consent names retraining, as a lender keeps them until the creator withdraws.

They lie in the log of scores, by the pseudonym under which its lines are: an answer and the level in it are kept
together or not at all, and a withdrawal or an erasure deletes the level. A training run asks for those of the persons
in its own table.
"""

from __future__ import annotations

import hashlib
import hmac
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from sealscore.clients.scoring.durable import HeadFile
from sealscore.shared.fields import pack_fields
from sealscore.shared.ledger.disclosure_store import DisclosureStoreError
from sealscore.shared.serving.token import Token

LEVELS_SCHEMA = """
CREATE TABLE IF NOT EXISTS levels (
    handle BLOB PRIMARY KEY, person BLOB NOT NULL, platform TEXT NOT NULL, meaning TEXT NOT NULL, purpose TEXT NOT NULL,
    as_of TEXT NOT NULL, value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS levels_of ON levels (person);
CREATE INDEX IF NOT EXISTS levels_for ON levels (platform, meaning, purpose);
CREATE TABLE IF NOT EXISTS level_deletions (number INTEGER NOT NULL) STRICT;
CREATE TRIGGER IF NOT EXISTS levels_counted AFTER DELETE ON levels BEGIN
    DELETE FROM level_deletions WHERE number < (SELECT MAX(number) FROM level_deletions);
    INSERT INTO level_deletions SELECT COALESCE(MAX(number), 0) + 1 FROM level_deletions;
END;
"""
# As long as the record of a decision, by default; a loan's outcome is known long before.
MOST_DAYS = 1826
_PERSON = b"sealscore score person 1"


def pseudonym(naming: bytes, person: str) -> bytes:
    """What stands for a person in the log's file."""
    return hmac.digest(naming, pack_fields(_PERSON, person.encode()), hashlib.sha256)


def keep_level(database: sqlite3.Connection, person: bytes, token: Token, purpose: str) -> None:
    """Keep the level of a token that is used, for a purpose of retraining."""
    row = (token.handle, person, token.platform, token.meaning, purpose, str(token.as_of), token.values["signal"])
    database.execute("INSERT OR IGNORE INTO levels VALUES (?, ?, ?, ?, ?, ?, ?)", row)


def drop_level(database: sqlite3.Connection, handle: bytes, platform: str) -> bool:
    """Delete the level of a token that its platform withdrew; False where none was kept."""
    query = "DELETE FROM levels WHERE (handle, platform) = (?, ?)"
    return database.execute(query, (handle, platform)).rowcount > 0


def drop_levels(database: sqlite3.Connection, person: bytes) -> bool:
    """Delete all levels of a person; False where none was kept."""
    return database.execute("DELETE FROM levels WHERE person = ?", (person,)).rowcount > 0


def drop_old_levels(database: sqlite3.Connection, day: str) -> bool:
    """Delete levels that are older than they may be on a day, and those of tokens that no answer used, as an earlier
    version kept them; False where none is.
    """
    used = "SELECT handle FROM handles WHERE application IS NOT NULL AND withdrawn IS NULL"
    query = f"DELETE FROM levels WHERE as_of < date(?, '-{MOST_DAYS} days') OR handle NOT IN ({used})"
    return database.execute(query, (day,)).rowcount > 0


@dataclass(frozen=True)
class KeptLevels:
    """What a training run may read of a lender's kept levels; `naming` gives the secret that names persons, None where
    there is no log yet. The file is only read, by a connection a call, as any thread may ask.
    """

    path: Path
    naming: Callable[[], bytes | None]

    def deletions(self) -> int:
        """A number that has grown since a level was deleted.

        Raises:
            DisclosureStoreError: the file cannot be read.
        """
        ((number,),) = self._read("SELECT COALESCE(MAX(number), 0) FROM level_deletions", ()) or [(0,)]
        return int(number)

    def of(self, platform: str, meaning: str, purpose: str, persons: Iterable[str]) -> dict[str, int]:
        """Levels by person (in normal form) that a platform told for that purpose: of several, the first one.

        A later one may know of the loan what nobody knew when it was made.

        Raises:
            DisclosureStoreError: the file cannot be read.
        """
        query = "SELECT person, value FROM levels WHERE (platform, meaning, purpose) = (?, ?, ?) ORDER BY as_of DESC"
        known = {bytes(person): int(value) for person, value in self._read(query, (platform, meaning, purpose))}
        naming = self.naming() if known else None
        if naming is None:
            return {}
        names = {person: pseudonym(naming, person) for person in set(persons)}
        return {person: known[name] for person, name in names.items() if name in known}

    def _read(self, query: str, values: tuple[str, ...]) -> list[tuple[bytes | int, ...]]:
        if not self.path.exists():
            return []
        try:
            kept = HeadFile(self.path.with_suffix(".head")).read()
        except OSError as error:
            raise self._unreadable(error) from None
        try:
            with closing(sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=rw", timeout=60, uri=True)) as database:
                # A log of before there were levels.
                if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'level_deletions'").fetchone():
                    return []
                # In one that was put back there are levels that were withdrawn since.
                if kept and not database.execute("SELECT 1 FROM lines WHERE head = ?", (kept.head,)).fetchone():
                    raise self._unreadable("it lacks its own last head")
                return database.execute(query, values).fetchall()
        except sqlite3.Error as error:
            raise self._unreadable(error) from None

    def _unreadable(self, why: object) -> DisclosureStoreError:
        what = f"levels kept for retraining cannot be read ({why}); restore the latest copy"
        return DisclosureStoreError(f"{self.path}: {what}")
