"""Watch bits that platforms told a lender, by the handle of the token that an application used, for two quarters.

They lie in the log of scores, by the pseudonym under which its lines are, so that a withdrawal or an erasure deletes
them with the batch or the line that brings it. A handle that was withdrawn, ended or of an erased person is read by no
batch any more, so one that comes late or again restores nothing. An entry of a token that no application has used yet
waits for that as a tombstone among the handles: what was receipted is never sent again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import NamedTuple

from sealscore.shared.serving.watch import (
    LONGEST_QUARTER,
    MOST_QUARTERS,
    end_entry,
    last_day,
    quarter_after,
    quarter_of,
    watch_entry,
)

WATCH_SCHEMA = """
CREATE TABLE IF NOT EXISTS watch_bits (
    handle BLOB NOT NULL, quarter TEXT NOT NULL, value INTEGER NOT NULL, person BLOB NOT NULL, platform TEXT NOT NULL,
    PRIMARY KEY (handle, quarter)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS watch_bits_of ON watch_bits (person);
CREATE TABLE IF NOT EXISTS watch_ended (handle BLOB PRIMARY KEY) STRICT, WITHOUT ROWID;
"""
# A watch begins at most a quarter after its token's last day, its quarters after the rest of that one, and a bit of the
# last is taken in the quarter after it.
_LONGEST = LONGEST_QUARTER * (MOST_QUARTERS + 3)


class WatchBit(NamedTuple):
    """A bit of a person, as the log names persons, that a platform told of a quarter."""

    person: bytes
    platform: str
    quarter: str
    value: int


class _Meaning(NamedTuple):
    """What an entry says: the bit of a quarter (None: the end) of a token of a person."""

    handle: bytes
    person: bytes
    quarter: str | None
    bit: int


@dataclass(frozen=True)
class Meanings:
    """What each entry of a platform's batch would mean, by the tokens that may be told of. Its `repr` shows none."""

    handles: frozenset[bytes] = frozenset()
    entries: Mapping[bytes, _Meaning] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Meanings({len(self.handles)} tokens)"


def meanings(database: sqlite3.Connection, platform: str, day: date, before: Meanings | None = None) -> Meanings:
    """What entries mean on a day: bits of the quarters of `_taken_on`, and ends.

    To compute takes seconds for a hundred thousand tokens, in which nobody writes if it is done in a commit: so what
    was computed `before` it is used for the tokens that are still there.
    """
    query = (
        "SELECT handle, person FROM handles WHERE platform = ? AND application IS NOT NULL AND withdrawn IS NULL "
        "AND expires >= ? AND handle NOT IN (SELECT handle FROM watch_ended)"
    )
    known = before or Meanings()
    persons = {
        bytes(handle): bytes(person) for handle, person in database.execute(query, (platform, str(day - _LONGEST)))
    }
    found = {entry: one for entry, one in known.entries.items() if one.handle in persons}
    quarters = _taken_on(day)
    for handle in persons.keys() - known.handles:
        found.update(_meanings_of(handle, persons[handle], quarters))
    return Meanings(frozenset(persons), found)


def _meanings_of(handle: bytes, person: bytes, quarters: Iterable[str]) -> dict[bytes, _Meaning]:
    bits = {
        watch_entry(handle, quarter, bit): _Meaning(handle, person, quarter, bit)
        for quarter in quarters
        for bit in (0, 1)
    }
    return {end_entry(handle): _Meaning(handle, person, None, 0), **bits}


def take_entries(
    database: sqlite3.Connection, entries: Sequence[bytes], platform: str, meant: Meanings
) -> tuple[list[bytes], bool]:
    """Keep the bits among the entries of a platform's batch, and end what it ends; gives the entries that are neither,
    and whether bits were deleted.
    """
    deleted = _keep(database, [meant.entries[entry] for entry in entries if entry in meant.entries], platform)
    return [entry for entry in entries if entry not in meant.entries], deleted


def take_tombstones(database: sqlite3.Connection, handle: bytes, person: bytes, platform: str, day: date) -> bool:
    """Read the entries of a token that came before an application used it, as `take_entries` would have.

    They lie among the handles as tombstones of the platform, and are deleted; gives whether bits were deleted.
    """
    found = _meanings_of(handle, person, _taken_on(day))
    query = "DELETE FROM handles WHERE (handle, platform) = (?, ?) AND application IS NULL"
    kept = [one for entry, one in found.items() if database.execute(query, (entry, platform)).rowcount]
    deleted = _keep(database, kept, platform)
    return deleted or (len(kept) > 1 and any(one.quarter is None for one in kept))


def _keep(database: sqlite3.Connection, found: Iterable[_Meaning], platform: str) -> bool:
    """Keep bits, and end what is ended; gives whether bits were deleted."""
    deleted = False
    # Ends first: a batch that has both keeps no bit.
    for one in sorted(found, key=lambda one: one.quarter is not None):
        if one.quarter is None:
            deleted |= drop_bits(database, one.handle)
            database.execute("INSERT OR IGNORE INTO watch_ended VALUES (?)", (one.handle,))
            continue
        database.execute(
            "INSERT INTO watch_bits SELECT ?1, ?2, ?3, ?4, ?5 WHERE NOT EXISTS "
            "(SELECT 1 FROM watch_ended WHERE handle = ?1) ON CONFLICT DO NOTHING",
            (one.handle, one.quarter, one.bit, one.person, platform),
        )
    return deleted


def _oldest_kept(day: date) -> str:
    """The first quarter of which bits are kept on a day."""
    return quarter_after(quarter_of(day), -1)


def _taken_on(day: date) -> list[str]:
    """The quarters of which bits are taken on a day: also the next one on the last day of a quarter, as the platform's
    clock may be ahead of this one, and what is receipted does not come again.
    """
    quarter = quarter_of(day)
    return [_oldest_kept(day), quarter, *([quarter_after(quarter, 1)] if day == last_day(quarter) else [])]


def drop_bits(database: sqlite3.Connection, handle: bytes) -> bool:
    """Delete the bits of a token; False where none was kept."""
    return database.execute("DELETE FROM watch_bits WHERE handle = ?", (handle,)).rowcount > 0


def drop_bits_of(database: sqlite3.Connection, person: bytes) -> bool:
    """Delete all bits of a person who is erased, and take none by her tokens any more; False where none was kept."""
    database.execute("INSERT OR IGNORE INTO watch_ended SELECT handle FROM handles WHERE person = ?", (person,))
    return database.execute("DELETE FROM watch_bits WHERE person = ?", (person,)).rowcount > 0


def drop_old_bits(database: sqlite3.Connection, day: str) -> bool:
    """Delete bits of quarters that are over for more than one; False where none is."""
    oldest = _oldest_kept(date.fromisoformat(day))
    return database.execute("DELETE FROM watch_bits WHERE quarter < ?", (oldest,)).rowcount > 0


def bits_on(database: sqlite3.Connection, day: date) -> list[WatchBit]:
    """The bits that hold on a day, in the order of persons, platforms and quarters: of a platform and person the latest
    quarter alone, the worse one where two tokens told of it.
    """
    query = (
        "SELECT person, platform, quarter, MAX(value) FROM watch_bits AS one WHERE quarter >= ? AND quarter = "
        "(SELECT MAX(quarter) FROM watch_bits WHERE (person, platform) = (one.person, one.platform)) "
        "GROUP BY person, platform, quarter ORDER BY person, platform"
    )
    rows = database.execute(query, (_oldest_kept(day),))
    return [WatchBit(bytes(person), platform, quarter, value) for person, platform, quarter, value in rows]


def expires_on(quarter: str) -> date:
    """The last day on which a bit of a quarter is used."""
    return last_day(quarter_after(quarter, 1))
