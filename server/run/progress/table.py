"""A live table of a run: phases, rounds, attempts, parties that were lost, and epsilon so far."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

from rich.table import Table

from sealscore.server.run.progress.pace import Remaining, minutes
from sealscore.shared.dp.mechanisms import Mechanisms
from sealscore.shared.phases.order import Phase
from sealscore.shared.plan.plan import Plan
from sealscore.shared.text.terminal import foreign

# Composing takes a moment, so it is done again after so many seconds only.
_COMPOSE = 5.0


class EpsilonSoFar:
    """The epsilon of a run for a person, by the attempts that were asked for so far, as it was a moment ago."""

    def __init__(self, plan: Plan) -> None:
        self._plan, self._mechanisms = plan, Mechanisms(plan)
        self.attempts: Counter[str] = Counter()
        self._epsilon, self._composed, self._known = 0.0, 0.0, -1

    def round(self, row: dict[str, Any]) -> None:
        """A round is done."""
        self.attempts[row["phase"]] += row["attempts"]

    @property
    def words(self) -> str:
        """As operators read it."""
        return f"epsilon {self._now():.3g} of {self._plan.privacy.epsilon:g} for a person so far"

    def _now(self) -> float:
        total, now = sum(self.attempts.values()), time.monotonic()
        if self._plan.privacy.noise != "none" and total != self._known and now - self._composed > _COMPOSE:
            self._epsilon = self._mechanisms.claim(lambda phase: self.attempts[phase.name])
            self._composed, self._known = now, total
        return self._epsilon


class RunTable:
    """An Observer that keeps what it gets as a table."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._rows: dict[str, dict[str, Any]] = {}
        self._epsilon, self._left = EpsilonSoFar(plan), Remaining(plan)

    def phase(self, phase: Phase) -> None:
        """A phase begins."""
        self._left.phase(phase)
        row = {"round": 0, "rounds": phase.rounds, "seconds": 0.0, "lost": Counter(), "cohort": "", "carried": ""}
        self._rows[phase.name] = row

    def round(self, row: dict[str, Any]) -> None:
        """A round is done."""
        kept = self._rows[row["phase"]]
        kept["round"], kept["cohort"] = row["round"], str(row["cohort"])
        kept["seconds"] += row["seconds"]
        kept["lost"].update(list(row["failures"]))
        self._epsilon.round(row)
        self._left.round(row)

    def step(self, phase: Phase, done: int, total: int) -> None:
        """Of a paired phase so many of all payloads were carried."""
        self._left.step(phase, done, total)
        self._rows[phase.name]["carried"] = f"payload {done} of {total}"

    def shown(self) -> Table:
        """The table as it is now."""
        title = f"{self._plan.name}: {self._epsilon.words}"
        left = self._left.seconds()
        table = Table("phase", "round", "attempts", "parties", "seconds a round", "lost", title=title)
        table.caption = f"about {minutes(left)} left" if self._rows and left else None
        for name, row in self._rows.items():
            lost = ", ".join(f"{foreign(party)} ({count})" for party, count in row["lost"].items())
            pace = f"{row['seconds'] / row['round']:.2f}" if row["round"] else ""
            done = row["carried"] if row["carried"] and not row["round"] else f"{row['round']} of {row['rounds']}"
            table.add_row(foreign(name), done, str(self._epsilon.attempts[name]), row["cohort"], pace, lost)
        return table
