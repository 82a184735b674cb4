"""The lender's own table of repayments: one row for each loan and month, with the days past due at its end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from sealscore.clients.data import DataError, Problem, Source, Table, read_source
from sealscore.clients.data.cells import IDENTIFIER_MEND, NO_IDENTIFIER, WrongTypeError, identifiers, numbers, texts
from sealscore.clients.decision.register import loan_name
from sealscore.clients.scoring.storage.log_keys import LogKeys
from sealscore.clients.watch.frames import REPAYMENTS
from sealscore.clients.watch.months import closing_month, days_in, month_number

_MONTH = r"^\d{4}-(0[1-9]|1[0-2])(-\d{2})?$"
_MOST_DAYS = 36_500
Rows = list[tuple[int, int, int]]


@dataclass(frozen=True)
class RepaymentTable:
    """Where the table lies, and the names of its columns."""

    source: Source
    loan: str
    month: str
    days_past_due: str

    def read(self, keys: LogKeys) -> Repayments:
        """The rows, loans by what stands for them in the log.

        Raises:
            DataError: it cannot be read, lacks a column, or has cells that are no loan, month or days.
        """
        table, frame = self.rows()
        names_of = {loan: loan_name(keys, loan).hex() for loan in frame["loan"].unique().to_list()}
        named = frame.with_columns(pl.Series("loan", [names_of[loan] for loan in frame["loan"].to_list()], pl.String))
        return Repayments(table, self, named)

    def rows(self) -> tuple[Table, pl.DataFrame]:
        """The table, and its rows with loans as they are named there.

        Raises:
            DataError: as `read`.
        """
        names = [self.loan, self.month, self.days_past_due]
        table = read_source(self.source, names, (self.loan,))
        if lacking := [name for name in names if name not in table.frame.columns]:
            fix = "name the columns under [data.repayments] in node.toml"
            raise DataError([_problem(table, "columns", "the column is missing", fix, column=name) for name in lacking])
        loans, inexact = self._column(table, self.loan, identifiers)
        months = self._column(table, self.month, _months)
        days, unread = self._column(table, self.days_past_due, numbers)
        whole = (days >= 0) & (days <= _MOST_DAYS) & (days == np.floor(days))
        faults = (
            (self.loan, loans.is_null().to_numpy(), "the loan is blank", "give its id, or leave the row out"),
            (self.loan, inexact, f"the loan is {NO_IDENTIFIER}", IDENTIFIER_MEND),
            (self.month, months.is_null().to_numpy(), "no month such as 2027-03, or a day of it", "correct the rows"),
            (self.days_past_due, unread | ~whole, "no whole number of days, 0 or more", "correct the rows"),
        )
        problems = [
            _problem(table, "repayment", what, fix, np.flatnonzero(mask), column) for column, mask, what, fix in faults
            if mask.any()
        ]  # fmt: skip
        if problems:
            raise DataError(problems)
        frame = pl.DataFrame(
            {
                "loan": loans.to_list(),
                "month": [month_number(month) for month in months.to_list()],
                "days_past_due": days.astype(np.int64),
            },
            schema=REPAYMENTS,
        )
        return table, frame

    def histories(self) -> pl.DataFrame:
        """The rows, of which each loan has one for each month from its first to its last.

        Raises:
            DataError: as `read`; a row stands twice, or a month is missing.
        """
        table, frame = self.rows()
        placed = frame.with_row_index("at").sort("loan", "month", "at")
        since = placed.select(pl.col("month").diff().over("loan"))["month"].to_numpy()
        faults = {code: placed["at"].to_numpy()[mask] for code, mask in (("twice", since == 0), ("gap", since > 1))}
        if found := [_problem(table, code, *_WORDS[code], np.sort(at)) for code, at in faults.items() if len(at)]:
            raise DataError(found)
        return frame

    def _column(self, table: Table, name: str, read: Any) -> Any:
        try:
            return read(table.frame[name])
        except WrongTypeError as error:
            raise DataError([_problem(table, "repayment", str(error), "export it as text", column=name)]) from None


@dataclass(frozen=True)
class Repayments:
    """Rows of a table, and the table, to say where one is at fault."""

    table: Table
    columns: RepaymentTable
    frame: pl.DataFrame = field(repr=False)

    def checked(
        self, loans: pl.DataFrame, unread: Set[str], others: int, until: int, window: int
    ) -> tuple[pl.DataFrame, int]:
        """The rows of loans that the log has, and how many loans were left out since their lines were not read.

        `loans` are those of the log (see `frames.LOANS`), of which the `unread` and so many `others` may be missing; no
        row may be of a month after `until`. A loan has rows from the month of its start until its window of so many
        days is over, or it is paid.

        Raises:
            DataError: a loan is unknown, a row stands twice, is before its loan or still to come, a month is missing,
                days past due rise by more than the days that went by, or a loan is gone while its window was open and
                it was past due, or open by the log.
        """
        known = {loan: (start, over) for loan, start, over in loans.select("loan", "start", "over").iter_rows()}
        rows: dict[str, Rows] = {}
        for at, (loan, month, days) in enumerate(self.frame.iter_rows()):
            rows.setdefault(loan, []).append((at, month, days))
        strange = [loan for loan in rows if loan not in known]
        faults: dict[str, list[int]] = {}
        unnamed = [loan for loan in strange if loan not in unread]
        if len(unnamed) > others:
            faults["unknown"] = [rows[loan][0][0] for loan in unnamed]
        latest = max((int(month) for _, month, _ in self.frame.iter_rows()), default=until)
        for loan in rows.keys() & known.keys():
            for code, at in _faults(rows[loan], known[loan], min(until, latest), until, window):
                faults.setdefault(code, []).append(at)
        if faults:
            raise DataError(
                [
                    _problem(self.table, code, what, fix, np.array(sorted(faults[code])))
                    for code, (what, fix) in _WORDS.items()
                    if code in faults
                ]
            )
        kept = self.frame.filter(pl.col("loan").is_in([*known]))
        return kept, len(strange)

    @property
    def last(self) -> int | None:
        """The last month of the table; None where it has no row."""
        found = self.frame["month"].max()
        return None if found is None else int(found)  # type: ignore[arg-type]


_WORDS: Mapping[str, tuple[str, str]] = {
    "unknown": (
        "loans that the log does not have",
        "sealscore-node loan read, or loan open, tells of them; or correct the id",
    ),
    "twice": ("a second row of a loan and month", "keep one"),
    "before": ("a row more than a month before that in which its loan started", "correct the month or the loan"),
    "to-come": ("a row of a month that is not over", "leave it out until then"),
    "gap": (
        "a month without a row before it, since the loan's start or last row",
        "give a row for each month of a loan, from that of its start",
    ),
    "jump": ("days past due rose by more than the days that went by", "correct the rows"),
    "gone": (
        "the last row of a loan before its window is over, though it was past due, or is open in the log",
        "keep its rows, also when it is written off; one that was paid ends with 0, and sealscore-node loan close, or "
        "loan read, tells of it",
    ),
}


def _faults(
    rows: Rows, loan: tuple[int | None, int | None], latest: int, until: int, window: int
) -> Iterator[tuple[str, int]]:
    """Codes and places of what is wrong with the rows of one loan."""
    start, over = loan
    rows = sorted(rows, key=lambda row: row[1])
    before: tuple[int, int] | None = None
    for at, month, days in rows:
        if month > until:
            yield "to-come", at
        # A loan of a month's last day may be told of on the next.
        elif start is not None and month < start - 1:
            yield "before", at
        elif before is None:
            if start is not None and month > start:
                yield "gap", at
            elif start is not None and days > days_in(month):
                yield "jump", at
        elif month == before[0]:
            yield "twice", at
        elif month > before[0] + 1:
            yield "gap", at
        elif days > before[1] + days_in(month):
            yield "jump", at
        before = month, days
    at, month, days = rows[-1]
    watched = start is not None and month < min(latest, closing_month(start, window))
    # A loan that was written off is closed, too, so that only a row of 0 says that it was paid.
    if watched and (days > 0 or over is None or over > month + 1):
        yield "gone", at


def _months(cells: pl.Series) -> pl.Series:
    """Months as 2027-03, null where a cell is none."""
    if cells.dtype in (pl.Date, pl.Datetime):
        return cells.dt.strftime("%Y-%m")
    text = texts(cells)
    return pl.select(pl.when(text.str.contains(_MONTH)).then(text.str.slice(0, 7))).to_series()


def _problem(
    table: Table, code: str, what: str, fix: str, at: np.ndarray | None = None, column: str | None = None
) -> Problem:
    rows = () if at is None else table.rows([int(one) for one in at])
    return Problem(table.source, f"{what} ({code})", fix, column, rows, table.unit, code=code)
