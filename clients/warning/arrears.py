"""What a lender's own table says of its loans: which instalments are open past their day."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from sealscore.clients.decision.own_tables import rows_of
from sealscore.clients.decision.register import DecisionError

COLUMNS = ("loan", "person", "due_at", "paid_at")
POINTS = "points"


@dataclass(frozen=True)
class LoanArrears:
    """An open loan on a day: days since the oldest instalment that is open fell due, and how many are open past their
    day; 0 each where none is. `person` is in normal form, `points` the lender's own score of the application, where its
    table has that. Its `repr` shows neither loan nor person.
    """

    loan: str = field(repr=False)
    person: str = field(repr=False)
    days: int
    missed: int
    points: int | None = field(default=None, repr=False)


def read_arrears(path: Path, form: Callable[[str], str], as_of: date) -> list[LoanArrears]:
    """The open loans of a table (.csv or .parquet) with a row an instalment, in the order of their first rows.

    Its columns are loan, person, due_at and paid_at, days as 2027-03-31; paid_at is empty while an instalment is open.
    It may have points, the whole number of the score with which the loan was applied for, empty where there is none. A
    loan of which all instalments are paid is over, and left out.

    Raises:
        DataError: it cannot be read as a table.
        DecisionError: a column is missing or a cell cannot be read; the row is named, and no cell.
    """
    persons: dict[str, str] = {}
    unpaid: dict[str, list[date]] = {}
    scored: dict[str, int | None] = {}
    for number, (loan, given, due_at, paid_at, points) in enumerate(rows_of(path, *COLUMNS, optional=(POINTS,)), 1):
        where = f"{path}: row {number}: "
        person = form(given)
        if not person:
            raise DecisionError("person", f"{where}the identifier has no normal form; correct it")
        if not loan:
            raise DecisionError("loan", f"{where}the loan has no id; correct it")
        if persons.setdefault(loan, person) != person:
            raise DecisionError("loan", f"{where}the loan is of another person in an earlier row; correct it")
        of_loan = _points(points, where)
        if scored.setdefault(loan, of_loan) != of_loan:
            raise DecisionError("loan", f"{where}the loan has other points in an earlier row; correct it")
        due = _day(due_at, f"{where}due_at")
        paid = _day(paid_at, f"{where}paid_at") if paid_at else None
        if paid is None or paid > as_of:
            unpaid.setdefault(loan, []).append(due)
    return [_arrears(loan, persons[loan], days, as_of, scored[loan]) for loan, days in unpaid.items()]


def _arrears(loan: str, person: str, unpaid: Iterable[date], as_of: date, points: int | None) -> LoanArrears:
    late = sorted(due for due in unpaid if due < as_of)
    return LoanArrears(loan, person, (as_of - late[0]).days if late else 0, len(late), points)


def _points(text: str, where: str) -> int | None:
    try:
        return int(text) if text else None
    except ValueError:
        raise DecisionError("points", f"{where}points must be a whole number, or empty; correct it") from None


def _day(text: str, where: str) -> date:
    try:
        return date.fromisoformat(text[:10])
    except ValueError:
        raise DecisionError("day", f"{where} must be a day such as 2027-03-31; correct it") from None
