"""A run's journal: what a coordinator needs in order to continue a killed run.

It has the sums that came about and the payloads that were carried, so a resumed coordinator goes through the plan
from its start, takes what is there from the journal, and asks for the rest: model and optimizer come out as they were,
bit for bit. Attempts are noted before they are asked, since parties have charged them. Nothing here is secret from the
server: sums with noise, and payloads that it cannot open.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sealscore.shared.files import create

_SCHEMA = """
CREATE TABLE IF NOT EXISTS run (plan TEXT NOT NULL, run TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS ended (run TEXT PRIMARY KEY) STRICT;
CREATE TABLE IF NOT EXISTS epochs (epoch INTEGER PRIMARY KEY) STRICT;
CREATE TABLE IF NOT EXISTS attempts (
    phase TEXT NOT NULL, round INTEGER NOT NULL, attempt INTEGER NOT NULL, cohort TEXT NOT NULL,
    PRIMARY KEY (phase, round, attempt)
) STRICT;
CREATE TABLE IF NOT EXISTS sums (
    phase TEXT NOT NULL, round INTEGER NOT NULL, content TEXT NOT NULL, total BLOB NOT NULL, PRIMARY KEY (phase, round)
) STRICT;
CREATE TABLE IF NOT EXISTS steps (
    phase TEXT NOT NULL, lender TEXT NOT NULL, platform TEXT NOT NULL, attempt INTEGER NOT NULL, step INTEGER NOT NULL,
    body BLOB NOT NULL, PRIMARY KEY (phase, lender, platform, attempt, step)
) STRICT;
"""


class JournalError(RuntimeError):
    """A journal that cannot be used; the message names the file and the fix."""


@dataclass(frozen=True)
class Sum:
    """The sum of one round, float64 [length] in its own unit, and how it came about."""

    values: np.ndarray
    cohort: tuple[str, ...]
    attempts: int
    failures: dict[str, str]
    seconds: float


class Journal:
    """The journal of one run of a plan, in a file of mode 0600 where a path is given, else in memory.

    One process at a time has it: a server app that outlived its SuperLink may still be at work on it.

    Raises:
        JournalError: the file is damaged, of another plan or run, or another process has it.
    """

    def __init__(self, plan: str, run: str, path: Path | None = None) -> None:
        self._path = path
        try:
            if path is not None and not path.exists():
                create(path, b"")
            self._database = sqlite3.connect(path or ":memory:", isolation_level=None)
            self._database.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=FULL")
            self._database.executescript(_SCHEMA)
            known = self._database.execute("SELECT plan, run FROM run").fetchone()
            if known is None:
                self._database.execute("INSERT INTO run VALUES (?, ?)", (plan, run))
        except (OSError, sqlite3.Error) as error:
            busy = getattr(error, "sqlite_errorname", "").startswith("SQLITE_BUSY")
            what = "another process carries out this run; wait for its end" if busy else "no journal can be kept there"
            raise JournalError(f"{path}: {what} ({error})") from None
        if known not in (None, (plan, run)):
            raise JournalError(f"{path}: is the journal of the run {known[1]} of another plan; name another folder")

    @property
    def epoch(self) -> int:
        """The last epoch in which parties were asked to join; 0 where none was."""
        return int(self._one("SELECT coalesce(max(epoch), 0) FROM epochs")[0])

    @property
    def ended(self) -> bool:
        """Whether all that parties are asked for had come about: they may know that the run is over."""
        return bool(self._one("SELECT EXISTS (SELECT 1 FROM ended)")[0])

    def end(self, run: str) -> None:
        """Note that parties are about to learn that the run is over."""
        self._write("INSERT OR IGNORE INTO ended VALUES (?)", run)

    def join(self, epoch: int) -> None:
        """Note that parties are about to be asked to join again."""
        self._write("INSERT INTO epochs VALUES (?)", epoch)

    def attempts(self, phase: str) -> list[tuple[int, int, tuple[str, ...]]]:
        """(round, attempt, cohort) of every attempt of a phase, in order."""
        query = "SELECT round, attempt, cohort FROM attempts WHERE phase = ? ORDER BY round, attempt"
        rows = self._database.execute(query, (phase,)).fetchall()
        return [(round, attempt, tuple(json.loads(cohort))) for round, attempt, cohort in rows]

    def asked(self, phase: str, round: int) -> tuple[int, int]:
        """How many attempts of a phase were noted, and the last one's number in a round; 0 where it has none."""
        last = "coalesce(max(attempt) FILTER (WHERE round = ?), 0)"
        count, attempt = self._one(f"SELECT count(*), {last} FROM attempts WHERE phase = ?", round, phase)
        return int(count), int(attempt)

    def attempt(self, phase: str, round: int, attempt: int, cohort: Iterable[str]) -> None:
        """Note an attempt that is about to be asked."""
        self._write("INSERT INTO attempts VALUES (?, ?, ?, ?)", phase, round, attempt, json.dumps(list(cohort)))

    def sum(self, phase: str, round: int) -> Sum | None:
        """The sum of a round, where it came about."""
        row = self._one("SELECT content, total FROM sums WHERE phase = ? AND round = ?", phase, round)
        if row is None:
            return None
        content = json.loads(row[0])
        values = np.frombuffer(row[1], dtype="<f8").astype(np.float64)
        return Sum(values, tuple(content["cohort"]), content["attempts"], content["failures"], content["seconds"])

    def add(self, phase: str, round: int, found: Sum) -> None:
        """Keep the sum of a round."""
        content = {"cohort": found.cohort, "attempts": found.attempts, "failures": found.failures}
        text = json.dumps(content | {"seconds": found.seconds})
        self._write("INSERT INTO sums VALUES (?, ?, ?, ?)", phase, round, text, found.values.astype("<f8").tobytes())

    def steps(self, phase: str, lender: str, platform: str) -> tuple[int, list[bytes]]:
        """The last attempt of a pair in a phase (0 where there was none), and the payloads of its steps so far."""
        query = "SELECT attempt, body FROM steps WHERE phase = ? AND lender = ? AND platform = ? ORDER BY attempt, step"
        rows = self._database.execute(query, (phase, lender, platform)).fetchall()
        last = int(rows[-1][0]) if rows else 0
        return last, [bytes(body) for attempt, body in rows if attempt == last]

    def carried(self, phase: str, lender: str, platform: str, attempt: int, step: int, body: bytes) -> None:
        """Keep the payload of a step, before it is carried on."""
        self._write("INSERT INTO steps VALUES (?, ?, ?, ?, ?, ?)", phase, lender, platform, attempt, step, body)

    def answered(self, party: str) -> bool:
        """Whether anything that a party gave came about."""
        if self._one("SELECT EXISTS (SELECT 1 FROM steps WHERE ? IN (lender, platform))", party)[0]:
            return True
        contents = self._database.execute("SELECT content FROM sums")
        return any(party in json.loads(content)["cohort"] for (content,) in contents)

    def close(self) -> None:
        """Close the file; the object is of no more use."""
        self._database.close()

    def _one(self, query: str, *values: object) -> tuple[Any, ...]:
        found: tuple[Any, ...] = self._database.execute(query, values).fetchone()
        return found

    def _write(self, statement: str, *values: object) -> None:
        try:
            self._database.execute(statement, values)
        except sqlite3.Error as error:
            raise JournalError(f"{self._path}: cannot be written ({error}); see that the disk has room") from None
