"""Loans that are open at a lender: each starts and ends as a line of the log, by hand or from a table."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from sealscore.clients.decision.own_tables import rows_of
from sealscore.clients.decision.register import SCHEMA, DecisionError, Register
from sealscore.clients.scoring.score_log import ScoreLog
from sealscore.clients.scoring.storage.batch import Batch

LOAN = "loan"
_COLUMNS = ("loan", "person", "principal")
_MOST_ID = 200


@dataclass(frozen=True)
class LoanRow:
    """An open loan as a lender's own table has it. `principal` is what is owed, in whole units, rounded up."""

    loan: str = field(repr=False)
    person: str = field(repr=False)
    principal: int = field(repr=False)


class LoanBook:
    """The open loans in a lender's log. `form` gives a person's normal form."""

    def __init__(self, log: ScoreLog, form: Callable[[str], str]) -> None:
        self._log, self._form = log, form
        log.extend(SCHEMA)

    def start(self, loan: str, decision: str, principal: int, today: date) -> None:
        """A loan starts by an approval, whose reservation it takes the place of; see `Register.start_loan`."""
        _check(loan, principal)
        with self._log.commit() as batch:
            register = Register(batch, self._log.keys)
            kept = register.decision(decision)
            register.start_loan(loan, kept, principal, str(today))
            self._line(batch, kept.person, loan, today, principal, decision)

    def open(self, loan: str, person: str, principal: int, today: date) -> None:
        """A loan that came of no decision here; DecisionError where it cannot be."""
        _check(loan, principal)
        with self._log.commit() as batch:
            name = self._person(person)
            Register(batch, self._log.keys).open_loan(loan, name, principal, str(today))
            self._line(batch, name, loan, today, principal, None)

    def close(self, loan: str, today: date) -> None:
        """A loan is paid back or written off; DecisionError where it is not open."""
        with self._log.commit() as batch:
            person = Register(batch, self._log.keys).close_loan(loan)
            self._line(batch, person, loan, today, 0, None)

    def read(self, rows: Iterable[LoanRow], today: date, as_of: date | None = None) -> dict[str, int]:
        """Open loans are those of a table, and no others; gives how many are new, changed and over.

        `as_of` is the day for which the table was made, by default today: a loan that started on that day or after it
        may be missing there, and stays open.

        Raises:
            DecisionError: a row has no person or stands twice, or the day is still to come; nothing was written.
        """
        as_of = as_of or today
        if as_of > today:
            raise DecisionError(
                "as-of", "the table is of a day that is still to come; correct --as-of, or set the clock"
            )
        with self._log.commit() as batch:
            register = Register(batch, self._log.keys)
            known, changed, seen, fresh = register.loans(), {}, set[bytes](), 0
            for number, row in enumerate(rows, 1):
                _check(row.loan, row.principal, f"row {number}: ")
                name, person = register.loan(row.loan), self._person(row.person, f"row {number}: ")
                if name in seen:
                    raise DecisionError("loan", f"row {number}: this loan stands twice; take one row out")
                seen.add(name)
                if known.get(name) == (person, row.principal):
                    continue
                fresh += name not in known
                if name in known and known[name][0] != person:
                    batch.add(LOAN, _content(name, today, 0, None), known[name][0])
                changed[name] = (person, row.principal)
                self._line(batch, person, row.loan, today, row.principal, None)
            over = known.keys() - seen - register.loans_since(str(as_of))
            for name in sorted(over):
                person = known[name][0]
                batch.add(LOAN, _content(name, today, 0, None), person)
            # What a table has was open when its day began, or else a later one of that day could not close it.
            register.change_loans(changed, iter(over), str(as_of - timedelta(days=1)))
        return {"new": fresh, "changed": len(changed) - fresh, "over": len(over)}

    def _person(self, given: str, where: str = "") -> bytes:
        form = self._form(given.strip())
        if not form:
            raise DecisionError("person", f"{where}the identifier has no normal form; correct it")
        return self._log.keys.person(form)

    def _line(self, batch: Batch, person: bytes, loan: str, today: date, principal: int, decision: str | None) -> None:
        name = Register(batch, self._log.keys).loan(loan)
        batch.add(LOAN, _content(name, today, principal, decision), person)


def read_loans(path: Path) -> list[LoanRow]:
    """The rows of a table (.csv or .parquet) with the columns loan, person, principal.

    Raises:
        DataError: it cannot be read as a table.
        DecisionError: a column is missing, or a principal is no number of 0 or more; the row is named, and no cell.
    """
    found = []
    for number, (loan, person, principal) in enumerate(rows_of(path, *_COLUMNS), 1):
        try:
            amount = float(principal)
        except ValueError:
            amount = math.nan
        if not 0 <= amount <= 1e12:
            raise DecisionError("loan", f"{path}: row {number}: principal must be a number of 0 or more; correct it")
        found.append(LoanRow(loan, person, math.ceil(amount)))
    return found


def _content(loan: bytes, today: date, principal: int, decision: str | None) -> dict[str, Any]:
    """What a line says; the loan by its keyed name, which is at hand of one that left the table, too."""
    return {"loan": loan.hex(), "day": str(today), "principal": principal, "decision_id": decision}


def _check(loan: str, principal: int, where: str = "") -> None:
    if not 1 <= len(loan.strip()) <= _MOST_ID:
        raise DecisionError("loan", f"{where}a loan's id has 1 to {_MOST_ID} characters")
    if not 0 <= principal <= 10**12:
        raise DecisionError("loan", f"{where}the principal must be a whole number of 0 or more")
