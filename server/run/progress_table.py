"""A live table of a run: phases, rounds, attempts, parties that were lost, and epsilon so far."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

from rich.table import Table

from sealscore.shared.dp.mechanisms import Mechanisms
from sealscore.shared.phases.order import Phase
from sealscore.shared.plan.plan import Plan
from sealscore.shared.text.terminal import foreign

# Composing takes a moment, so it is done again after so many seconds only.
_COMPOSE = 5.0


class RunTable:
    """An Observer that keeps what it gets as a table."""

    def __init__(self, plan: Plan) -> None:
        self._plan, self._mechanisms = plan, Mechanisms(plan)
        self._rows: dict[str, dict[str, Any]] = {}
        self._attempts: Counter[str] = Counter()
        self._epsilon, self._composed, self._known = 0.0, 0.0, -1

    def phase(self, phase: Phase) -> None:
        """A phase begins."""
        self._rows[phase.name] = {"round": 0, "rounds": phase.rounds, "seconds": 0.0, "lost": Counter(), "cohort": ""}

    def round(self, row: dict[str, Any]) -> None:
        """A round is done."""
        kept = self._rows[row["phase"]]
        kept["round"], kept["cohort"] = row["round"], str(row["cohort"])
        kept["seconds"] += row["seconds"]
        kept["lost"].update(list(row["failures"]))
        self._attempts[row["phase"]] += row["attempts"]

    def shown(self) -> Table:
        """The table as it is now."""
        title = f"{self._plan.name}: epsilon {self._now():.3g} of {self._plan.privacy.epsilon:g} for a person so far"
        table = Table("phase", "round", "attempts", "parties", "seconds a round", "lost", title=title)
        for name, row in self._rows.items():
            lost = ", ".join(f"{foreign(party)} ({count})" for party, count in row["lost"].items())
            pace = f"{row['seconds'] / row['round']:.2f}" if row["round"] else ""
            done = f"{row['round']} of {row['rounds']}"
            table.add_row(foreign(name), done, str(self._attempts[name]), row["cohort"], pace, lost)
        return table

    def _now(self) -> float:
        total, now = sum(self._attempts.values()), time.monotonic()
        if self._plan.privacy.noise != "none" and total != self._known and now - self._composed > _COMPOSE:
            self._epsilon = self._mechanisms.claim(lambda phase: self._attempts[phase.name])
            self._composed, self._known = now, total
        return self._epsilon
