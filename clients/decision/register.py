"""What a lender promised and lent to each person, and where each decision is: tables beside the lines of the log.

They are written in the transaction that writes the line, so a reservation without its line, or a line without its
reservation, cannot be. They end with the key of their line, whatever destroyed it; loans that are open stay until they
are over. Persons, applications and loans are named by keyed digests, as the log names them.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Literal

from sealscore.clients.decision.policy.model import MOST_DAYS, MOST_MANY
from sealscore.clients.scoring.storage.batch import LogView
from sealscore.clients.scoring.storage.log_keys import LogKeys
from sealscore.shared.fields import pack_fields

SCHEMA = """
CREATE TABLE IF NOT EXISTS decisions (
    decision TEXT PRIMARY KEY, seq INTEGER NOT NULL, application BLOB NOT NULL, version INTEGER NOT NULL,
    digest BLOB NOT NULL, person BLOB NOT NULL, state TEXT NOT NULL, queue TEXT, due TEXT, noticed TEXT, disputes TEXT,
    disputed TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS decisions_of ON decisions (application, version);
CREATE INDEX IF NOT EXISTS decisions_person ON decisions (person);
CREATE INDEX IF NOT EXISTS decisions_waiting ON decisions (due) WHERE state = 'waiting';
CREATE TABLE IF NOT EXISTS reservations (
    application BLOB PRIMARY KEY, decision TEXT NOT NULL, person BLOB NOT NULL, amount INTEGER NOT NULL,
    until TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS reservations_of ON reservations (person);
CREATE INDEX IF NOT EXISTS reservations_until ON reservations (until);
CREATE TABLE IF NOT EXISTS loans (
    loan BLOB PRIMARY KEY, application BLOB, person BLOB NOT NULL, principal INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS loans_of ON loans (person);
CREATE INDEX IF NOT EXISTS loans_application ON loans (application);
CREATE TABLE IF NOT EXISTS reviews (
    seq INTEGER PRIMARY KEY, decision TEXT NOT NULL, outcome TEXT NOT NULL, override INTEGER NOT NULL,
    reversal INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS loan_days (loan BLOB PRIMARY KEY, since TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TRIGGER IF NOT EXISTS loans_closed AFTER DELETE ON loans BEGIN
    DELETE FROM loan_days WHERE loan = OLD.loan;
END;
CREATE TABLE IF NOT EXISTS decision_days (
    decision TEXT PRIMARY KEY, person BLOB NOT NULL, day TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS decision_days_of ON decision_days (person, day);
CREATE TRIGGER IF NOT EXISTS decisions_gone AFTER DELETE ON decisions BEGIN
    DELETE FROM decision_days WHERE decision = OLD.decision;
END;
CREATE TRIGGER IF NOT EXISTS decisions_end AFTER DELETE ON persons BEGIN
    DELETE FROM decisions WHERE person = OLD.person
        AND seq < COALESCE((SELECT MIN(since) FROM persons WHERE person = OLD.person), seq + 1);
    DELETE FROM reservations WHERE person = OLD.person AND decision NOT IN (SELECT decision FROM decisions);
END;
"""
DecisionState = Literal["approved", "declined", "waiting", "superseded"]
_APPLICATION, _LOAN, _BODY, _DRAW = (
    f"sealscore {name} 1".encode() for name in ("decided application", "loan", "decided body", "random approval")
)
_COLUMNS = "decision, seq, application, version, digest, person, state, queue, due, noticed, disputes, disputed"


_NAMES = _COLUMNS.split(", ")
_INSERT = f"INSERT INTO decisions ({_COLUMNS}) VALUES ({', '.join('?' * len(_NAMES))})"
# Of an application the last version; a newer one took the place of the others. `keep` supersedes those that wait, but
# logs of earlier versions may have an older one that was disputed after that. The index of versions answers it.
_LAST = "version = (SELECT MAX(version) FROM decisions AS other WHERE other.application = decisions.application)"


class DecisionError(ValueError):
    """What cannot be done with a decision or a loan; `code` names the kind of fault, the message has the fix."""

    def __init__(self, code: str, what: str) -> None:
        super().__init__(f"{what} ({code})")
        self.code = code


@dataclass(frozen=True)
class KeptDecision:
    """Where a decision is: its line, its state, who reviews it until when, on which day its notice was given.

    `disputes` is the decision that this one was made anew for; `disputed` the day on which this one was objected to.
    """

    decision: str
    seq: int
    application: bytes
    version: int
    digest: bytes
    person: bytes
    state: DecisionState
    queue: str | None
    due: str | None
    noticed: str | None
    disputes: str | None
    disputed: str | None = None


class Register:
    """The tables in one commit of the log, or as it is read. All amounts are whole units of the policy's currency."""

    def __init__(self, view: LogView, keys: LogKeys) -> None:
        self._database, self._keys = view.database, keys

    def application(self, application: str) -> bytes:
        """What stands for an application, 32 bytes."""
        return self._name(_APPLICATION, application.encode())

    def body(self, text: bytes) -> bytes:
        """What stands for the body of a request, 32 bytes: of a plain digest anyone could try values."""
        return self._name(_BODY, text)

    def decision(self, id: str) -> KeptDecision:
        """A decision by its id; DecisionError where there is none."""
        row = self._database.execute(f"SELECT {_COLUMNS} FROM decisions WHERE decision = ?", (id,)).fetchone()
        if row is None:
            raise DecisionError("unknown", "there is no such decision; sealscore-node review list has those that wait")
        return KeptDecision(*row)

    def decisions(self, application: bytes) -> list[KeptDecision]:
        """All versions of an application, in order."""
        query = f"SELECT {_COLUMNS} FROM decisions WHERE application = ? ORDER BY version"
        return [KeptDecision(*row) for row in self._database.execute(query, (application,))]

    def waiting(self, queue: str | None = None, most: int = -1) -> list[KeptDecision]:
        """Those that a person has to decide, the most urgent first; of an application the last version alone.

        Of one queue, or of all; no more than `most`, where that is not negative.
        """
        query = (
            f"SELECT {_COLUMNS} FROM decisions WHERE state = 'waiting' AND queue = COALESCE(?, queue) AND {_LAST} "
            "ORDER BY due, decision LIMIT ?"
        )
        return [KeptDecision(*row) for row in self._database.execute(query, (queue, most))]

    def queued(self, today: str) -> dict[str, tuple[int, int]]:
        """How many wait in each queue that has any, and how many of them are over their day."""
        query = (
            "SELECT queue, COUNT(*), SUM(due < ?) FROM decisions "
            f"WHERE state = 'waiting' AND {_LAST} GROUP BY queue ORDER BY queue"
        )
        return {str(queue): (int(all), int(late)) for queue, all, late in self._database.execute(query, (today,))}

    def keep(self, one: KeptDecision) -> None:
        """A new decision; earlier versions of its application that wait are superseded."""
        if one.version > 1:
            query = "UPDATE decisions SET state = 'superseded' WHERE application = ? AND state = 'waiting'"
            self._database.execute(query, (one.application,))
        row = tuple(getattr(one, name) for name in _NAMES)
        self._database.execute(_INSERT, row)

    def keep_day(self, one: KeptDecision, day: str) -> None:
        """Count a decision among those of its person."""
        self._database.execute("INSERT INTO decision_days VALUES (?, ?, ?)", (one.decision, one.person, day))

    def recent(self, person: bytes, today: date) -> list[int]:
        """How many days before a day each counted decision on a person was, the latest first; see `recent_days`."""
        query = "SELECT day FROM decision_days WHERE person = ? ORDER BY day DESC LIMIT ?"
        return recent_days([str(day) for (day,) in self._database.execute(query, (person, MOST_MANY))], today)

    def move(self, id: str, state: DecisionState, queue: str | None = None, due: str | None = None) -> None:
        """Another state of a decision."""
        self._database.execute(
            "UPDATE decisions SET state = ?, queue = ?, due = ? WHERE decision = ?", (state, queue, due, id)
        )

    def noticed(self, id: str, day: str) -> None:
        """A notice was given; its first day counts."""
        self._database.execute("UPDATE decisions SET noticed = ? WHERE decision = ? AND noticed IS NULL", (day, id))

    def disputed(self, id: str, day: str) -> None:
        """An applicant objected."""
        self._database.execute("UPDATE decisions SET disputed = ? WHERE decision = ?", (day, id))

    def exposure(self, person: bytes, day: str, without: bytes = b"") -> int:
        """What a person owes or was promised on a day, but for one application's promise."""
        query = (
            "SELECT COALESCE((SELECT SUM(amount) FROM reservations"
            " WHERE person = ? AND until >= ? AND application <> ?), 0)"
            " + COALESCE((SELECT SUM(principal) FROM loans WHERE person = ?), 0)"
        )
        return int(self._database.execute(query, (person, day, without, person)).fetchone()[0])

    def is_last(self, one: KeptDecision) -> bool:
        """Whether a decision is the last version of its application."""
        query = "SELECT MAX(version) FROM decisions WHERE application = ?"
        return bool(self._database.execute(query, (one.application,)).fetchone()[0] == one.version)

    def is_locked(self, seq: int, person: bytes) -> bool:
        """Whether a line of a person is under the retention key, since a consent was withdrawn."""
        query = "SELECT retained FROM persons WHERE person = ? AND since <= ? ORDER BY since DESC LIMIT 1"
        row = self._database.execute(query, (person, seq)).fetchone()
        return row is not None and bool(row[0])

    def promise(self, application: bytes, day: str) -> tuple[str, int] | None:
        """Decision and amount of an application's approval that is in force on a day and no loan yet."""
        query = "SELECT decision, amount FROM reservations WHERE application = ? AND until >= ?"
        row = self._database.execute(query, (application, day)).fetchone()
        return None if row is None else (str(row[0]), int(row[1]))

    def promised(self, application: bytes, day: str) -> bool:
        """Whether an application has an approval in force, or a loan that came of one."""
        query = (
            "SELECT EXISTS (SELECT 1 FROM reservations WHERE application = ? AND until >= ?)"
            " OR EXISTS (SELECT 1 FROM loans WHERE application = ?)"
        )
        return bool(self._database.execute(query, (application, day, application)).fetchone()[0])

    def reserve(self, one: KeptDecision, amount: int, until: str, day: str) -> None:
        """Promise an amount until a day; DecisionError where the application has an approval in force."""
        self._database.execute("DELETE FROM reservations WHERE until < ?", (day,))
        if self.promised(one.application, day):
            raise DecisionError("approved-before", "this application has an approval in force; one is enough")
        row = (one.application, one.decision, one.person, amount, until)
        self._database.execute("INSERT INTO reservations VALUES (?, ?, ?, ?, ?)", row)

    def release(self, application: bytes) -> None:
        """Promise nothing any more for an application: another amount takes its place."""
        self._database.execute("DELETE FROM reservations WHERE application = ?", (application,))

    def open_loan(self, loan: str, person: bytes, principal: int, day: str) -> None:
        """A loan that came of no decision here; DecisionError where one of that id is open."""
        self._open(loan, None, person, principal, day)

    def start_loan(self, loan: str, decision: KeptDecision, principal: int, day: str) -> None:
        """A loan starts by an approval, whose reservation ends.

        Raises:
            DecisionError: the approval is over or for less, or a loan of that id is open.
        """
        query = "SELECT amount FROM reservations WHERE decision = ? AND until >= ?"
        row = self._database.execute(query, (decision.decision, day)).fetchone()
        if row is None:
            raise DecisionError("not-approved", "this decision has no approval in force; decide the application anew")
        if principal > int(row[0]):
            raise DecisionError("too-much", "the principal is above what was approved; lend that or less")
        self._database.execute("DELETE FROM reservations WHERE decision = ?", (decision.decision,))
        self._open(loan, decision.application, decision.person, principal, day)

    def _open(self, loan: str, application: bytes | None, person: bytes, principal: int, day: str) -> None:
        name = self.loan(loan)
        if self._database.execute("SELECT 1 FROM loans WHERE loan = ?", (name,)).fetchone():
            raise DecisionError("loan", "a loan of this id is open already; close it first, or give another id")
        self._database.execute("INSERT INTO loans VALUES (?, ?, ?, ?)", (name, application, person, principal))
        self._database.execute("INSERT INTO loan_days VALUES (?, ?)", (name, day))

    def close_loan(self, loan: str) -> bytes:
        """A loan is over; gives its person. DecisionError where none of that id is open."""
        query = "DELETE FROM loans WHERE loan = ? RETURNING person"
        row = self._database.execute(query, (self.loan(loan),)).fetchone()
        if row is None:
            raise DecisionError("loan", "no loan of this id is open; see the id")
        return bytes(row[0])

    def loans(self) -> dict[bytes, tuple[bytes, int]]:
        """Open loans: person and principal by what stands for the loan."""
        rows = self._database.execute("SELECT loan, person, principal FROM loans")
        return {bytes(loan): (bytes(person), int(principal)) for loan, person, principal in rows}

    def loans_since(self, day: str) -> set[bytes]:
        """Open loans that started, or were first in a table, on a day or after it."""
        rows = self._database.execute("SELECT loan FROM loan_days WHERE since >= ?", (day,))
        return {bytes(loan) for (loan,) in rows}

    def loan(self, loan: str) -> bytes:
        """What stands for a loan, 32 bytes."""
        return loan_name(self._keys, loan)

    def change_loans(self, changed: dict[bytes, tuple[bytes, int]], closed: Iterator[bytes], since: str) -> None:
        """What a table of open loans says: new ones and other principals, and those that it has no more.

        `since` is the day that is kept as the first of those that are new.
        """
        for loan, (person, principal) in changed.items():
            query = (
                "INSERT INTO loans VALUES (?, NULL, ?, ?) ON CONFLICT (loan) DO UPDATE SET principal = ?, person = ?"
            )
            self._database.execute(query, (loan, person, principal, principal, person))
            self._database.execute("INSERT OR IGNORE INTO loan_days VALUES (?, ?)", (loan, since))
        self._database.executemany("DELETE FROM loans WHERE loan = ?", [(loan,) for loan in closed])

    def reviewed(self, seq: int, decision: str, outcome: str, override: bool, reversal: bool) -> None:
        """Count what a person decided."""
        row = (seq, decision, outcome, override, reversal)
        self._database.execute("INSERT INTO reviews VALUES (?, ?, ?, ?, ?)", row)

    def last_review(self, decision: str, outcome: str | None = None) -> int | None:
        """The line of what a person decided last, or approved or declined last."""
        query = "SELECT MAX(seq) FROM reviews WHERE decision = ? AND outcome = COALESCE(?, outcome)"
        found = self._database.execute(query, (decision, outcome)).fetchone()[0]
        return None if found is None else int(found)

    def counts(self) -> dict[str, int]:
        """How many decisions persons took, and how many of them were overrides and reversals."""
        query = "SELECT COUNT(*), COALESCE(SUM(override), 0), COALESCE(SUM(reversal), 0) FROM reviews"
        return dict(zip(("taken", "overrides", "reversals"), self._database.execute(query).fetchone(), strict=True))

    def forget(self, person: bytes) -> None:
        """Take out what was decided and promised of a person; loans that are open stay until they are over."""
        self._database.execute("DELETE FROM decisions WHERE person = ?", (person,))
        self._database.execute("DELETE FROM reservations WHERE person = ?", (person,))

    def _name(self, label: bytes, content: bytes) -> bytes:
        return _named(self._keys, label, content)


def loan_name(keys: LogKeys, loan: str) -> bytes:
    """What stands for a loan in the log and its tables, 32 bytes."""
    return _named(keys, _LOAN, loan.encode())


def _named(keys: LogKeys, label: bytes, content: bytes) -> bytes:
    return hmac.digest(keys.naming, pack_fields(label, content), hashlib.sha256)


def recent_days(days: Iterable[str], today: date) -> list[int]:
    """Days of a person's decisions -> how many days before a day they were, the latest first.

    As many and as far back as any policy may count: no more is logged.
    """
    ago = sorted((today - date.fromisoformat(day)).days for day in days)
    return [one for one in ago if 0 <= one < MOST_DAYS][:MOST_MANY]


def draw_of(keys: LogKeys, person: bytes, series: str, product: str) -> float:
    """A number in [0, 1) of a person in a series, uniform to who lacks the key, and the same each time: 53 bits."""
    fields = pack_fields(_DRAW, series.encode(), product.encode(), person)
    word = hmac.digest(keys.naming, fields, hashlib.sha256)[:8]
    return (int.from_bytes(word, "big") >> 11) / 2**53
