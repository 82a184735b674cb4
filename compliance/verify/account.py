"""One ledger as a report reads it: every entry that can be read, and where they leave each plan.

A report is of use above all where something is wrong, so nothing here refuses a ledger: what cannot be read is left
out. Whether a ledger verifies is for `sealscore.compliance.verify.verify`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from sealscore.compliance.verify.reading import Unreadable, opened, rows
from sealscore.shared.ledger.chain import UnknownEntry
from sealscore.shared.ledger.entries import Ceilings, Entry
from sealscore.shared.ledger.state import LedgerFault, LedgerState, PlanState
from sealscore.shared.plan.plan import Plan
from sealscore.shared.text.catalogue import tr
from sealscore.shared.text.foreign import GROUP

E = TypeVar("E")
NO_DATE = "no date"


@dataclass(frozen=True)
class LedgerLine:
    """An entry in its place. `at` is by the party's own clock, None where the text is no time."""

    seq: int
    at: datetime | None
    entry: Entry

    @property
    def day(self) -> str:
        """The day in UTC, as in 2027-03-31."""
        return self.at.strftime("%Y-%m-%d") if self.at else NO_DATE

    @property
    def minute(self) -> str:
        """The day and the time in UTC."""
        return self.at.strftime("%Y-%m-%d %H:%M") if self.at else NO_DATE


@dataclass
class Account:
    """A ledger: `state` is what its check made of it, `lines` the entries that can be read."""

    path: Path
    state: LedgerState
    lines: list[LedgerLine] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path, state: LedgerState) -> Account:
        """Read what can be read of a ledger, without writing to it."""
        account = cls(path, state)
        try:
            with opened(path) as database:
                account.lines.extend(_lines(database))
        except Unreadable:
            # Its check has found that out, and says so.
            return account
        return account

    @property
    def party(self) -> str:
        """Whose ledger it is, by its own card; else the name of its file."""
        try:
            return self.state.card.name
        except LedgerFault:
            return self.path.stem

    @property
    def role(self) -> str:
        """ "lender" or "platform", by the party's own card; nothing where there is none."""
        try:
            return self.state.card.role
        except LedgerFault:
            return ""

    @property
    def data_set(self) -> str:
        """The data set that it speaks of."""
        return self.state.opened.data_set if self.state.opened else "not known"

    @property
    def ceilings(self) -> Ceilings | None:
        """What the operator lets be spent; None where no opening entry can be read."""
        return self.state.ceilings

    @property
    def plans(self) -> list[PlanState]:
        """The approved plans in the order of their approval."""
        return list(self.state.plans.values())

    def of(self, kind: type[E]) -> Iterator[tuple[LedgerLine, E]]:
        """The entries of a kind, in order."""
        for line in self.lines:
            if isinstance(line.entry, kind):
                yield line, line.entry

    def plan_name(self, plan: str) -> str:
        """A plan by its name and, where another here has the same, the beginning of its hash."""
        known = self.state.plans.get(plan)
        if known is None:
            return tr("a plan that was not approved, {hash}", hash=plan[:GROUP])
        return plan_title(known.plan, [one.plan for one in self.plans])


def plan_title(plan: Plan, among: Iterable[Plan]) -> str:
    """A plan by its name and, where another of these plans has the same, the beginning of its hash."""
    alike = {one.hash for one in among if one.name == plan.name} - {plan.hash}
    return f"{plan.name} ({plan.hash[:GROUP]})" if alike else plan.name


def _lines(database: sqlite3.Connection) -> Iterator[LedgerLine]:
    for row in rows(database):
        if isinstance(row, Unreadable):
            continue
        try:
            yield LedgerLine(row.seq, _time(row.at), row.entry)
        except UnknownEntry:
            continue


def _time(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None
