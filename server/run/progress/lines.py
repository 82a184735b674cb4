"""A run's progress in lines, for logs, pipes and services: one a phase, and one now and then with what is left."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from sealscore.server.run.progress.pace import Remaining, minutes
from sealscore.server.run.progress.table import EpsilonSoFar
from sealscore.shared.phases.order import Phase
from sealscore.shared.plan.plan import Plan
from sealscore.shared.text.foreign import plain

EVERY = 10.0  # seconds between two lines of a phase, at least


class ProgressLines:
    """An Observer that says what it gets, a line a phase and one at most every `EVERY` seconds.

    `tick` is called now and then, so that a phase in which nothing comes about is seen to be under way. `clock` gives
    seconds.
    """

    def __init__(self, plan: Plan, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._say, self._clock = say, clock
        self._epsilon, self._left = EpsilonSoFar(plan), Remaining(plan)
        self._began = self._said = clock()
        self._at: str | None = None
        self._lost: Counter[str] = Counter()

    def phase(self, phase: Phase) -> None:
        """A phase begins."""
        self._left.phase(phase)
        self._at, self._began = "", self._clock()
        rounds = "" if phase.paired else f", {phase.rounds} {'round' if phase.rounds == 1 else 'rounds'}"
        self._tell(f"phase {self._left.number}: {phase.name}{rounds}")

    def round(self, row: dict[str, Any]) -> None:
        """A round is done."""
        self._left.round(row)
        self._epsilon.round(row)
        self._lost.update(list(row["failures"]))
        self._at = f"round {row['round']} of {row['rounds']}" if "rounds" in row else f"round {row['round']}"
        self.tick()

    def step(self, phase: Phase, done: int, total: int) -> None:
        """Of a paired phase so many of all payloads were carried."""
        self._left.step(phase, done, total)
        self._at = f"payload {done} of {total}"
        self.tick()

    def tick(self) -> None:
        """Say where the run is, unless that was said a moment ago, or it has not begun."""
        if self._at is None or self._clock() - self._said < EVERY:
            return
        words = [self._at or f"at work for {self._clock() - self._began:.0f} s", self._epsilon.words]
        words.append(f"about {minutes(self._left.seconds())} left")
        if self._lost:
            words.append("lost: " + ", ".join(f"{plain(party)} ({count})" for party, count in self._lost.items()))
        self._tell(f"  {'; '.join(words)}")

    def _tell(self, text: str) -> None:
        self._said = self._clock()
        self._say(text)
