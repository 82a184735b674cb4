"""The list of borrowers to contact first, as a lender's own command makes it, once a month."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import polars as pl

from sealscore.clients.warning.arrears import read_arrears
from sealscore.clients.warning.borrowers import warned_loans
from sealscore.clients.warning.rules import WarningRules
from sealscore.shared.serving.watch import quarter_of
from sealscore.simulations.life.parties.lenders import LifeLender
from sealscore.simulations.life.rows import Row

RULES_FILE = Path(__file__).with_name("warning.toml")
LISTS, POINTS = "points and bits", "points alone"
"""The lists of a life, and those that its lenders would make if no platform told a watch bit."""
LIST_DAY = 5
"""The day of each month on which lists are made: a quarter's bits are all taken by then."""
_SCHEMA = {"loan": pl.String, "person": pl.String, "due_at": pl.Date, "paid_at": pl.Date, "points": pl.Int64}


class WarningDesk:
    """One lender's lists: its own table of instalments, its rules, and the watch bits in its log."""

    def __init__(self, lender: LifeLender, form: Callable[[str], str], folder: Path) -> None:
        self._lender, self._form, self._file = lender, form, folder / f"{lender.name}.repayments.parquet"
        self._rules = WarningRules.load(RULES_FILE)
        assert self._rules.share is not None
        alone = self._rules.share.model_copy(update={"bit": 0})
        self._alone = self._rules.model_copy(update={"share": alone})
        self._rows: list[tuple[str, str, date, date | None, int]] = []
        self._withdrawn: set[str] = set()

    def due(self, loan: str, person: str, due_at: date, paid_at: date | None, points: int) -> None:
        """An instalment of a loan that started; `paid_at` may be to come, and is not looked at before."""
        self._rows.append((loan, person, due_at, paid_at, points))

    def withdrawn(self, loan: str) -> None:
        """A consent was withdrawn by which the loan was scored: its points are used no more."""
        self._withdrawn.add(loan)

    def listed(self, today: date) -> tuple[list[Row], list[Row]]:
        """Both lists of a day, one row a loan; and the bits of the quarter, of each open loan whose person has one."""
        frame = pl.DataFrame(self._rows, schema=_SCHEMA, orient="row")
        paid = pl.col("paid_at")
        scored = ~pl.col("loan").is_in(list(self._withdrawn))
        known = (pl.when(paid <= today).then(paid), pl.when(scored).then("points"))
        frame.with_columns(*known).write_parquet(self._file)
        loans, log = read_arrears(self._file, self._form, today), self._lender.log
        names = {loan.person: log.keys.person(loan.person) for loan in loans}
        bits = log.watch_bits(today)
        found = {
            LISTS: warned_loans(loans, self._rules, bits, names, log.erased()),
            POINTS: warned_loans(loans, self._alone, (), names, log.erased()),
        }
        of_person = {bit.person: bit.value for bit in bits if bit.quarter == quarter_of(today)}
        told = [
            {"application_id": loan.loan, "lender": self._lender.name, "day": today, "value": of_person[name]}
            for loan in loans
            if (name := names[loan.person]) in of_person
        ]
        listed = [
            {
                "application_id": one.loan,
                "lender": self._lender.name,
                "day": today,
                "list": name,
                "rank": one.rank,
                "priority": one.priority,
                "days_past_due": one.days_past_due,
                "missed": one.missed,
                "reasons": sorted({reason["code"] for reason in one.reasons}),
            }
            for name, ones in found.items()
            for one in ones
        ]
        return listed, told if today.month % 3 == 1 else []
