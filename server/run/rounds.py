"""One sum over a cohort, with its attempts: ask, leave out who fails, ask the rest again.

An attempt that any party answered is spent: those parties have charged it, whether or not the sum came about. So a
new attempt has the smaller cohort, fresh samples and fresh noise at every party, and there are as many as the
plan's budget allows.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import numpy as np

from sealscore.server.run.cohort_sums import CohortSums
from sealscore.server.transport.exchange import PartyClient, PhaseFailed, lost_for_good
from sealscore.server.transport.journal import Journal, Sum
from sealscore.shared.dp.mechanisms import Mechanism
from sealscore.shared.messages.messages import Hello, Ready
from sealscore.shared.phases.order import Phase
from sealscore.shared.plan.plan import Plan

# A party that failed this often in a row is asked no more: each try costs all others an attempt.
STRIKES = 3


class Observer(Protocol):
    """Gets the progress of a run; nothing that it gets depends on a record other than through noised sums."""

    def phase(self, phase: Phase) -> None:
        """A phase begins."""
        ...

    def round(self, row: dict[str, Any]) -> None:
        """A round is done: phase, round, attempts, cohort size, seconds, and what the mechanism reports."""
        ...


@runtime_checkable
class StepObserver(Protocol):
    """An observer that also hears of each payload of a paired phase."""

    def step(self, phase: Phase, done: int, total: int) -> None:
        """Of a paired phase so many of all payloads were carried."""
        ...


class AttemptsSpent(PhaseFailed):
    """The attempts that the plan's budget allows for this phase are used up, for good."""

    def __init__(self, what: str) -> None:
        super().__init__(what, final=True)


class Rounds:
    """Asks sums of the parties of a plan in one run, and counts what every phase and party has been asked for.

    What came about is in the `journal`, and is not asked for again. The `observer` is told of phases and rounds; `rows`
    are all rounds that it was told of, `bodies` all published parts by their keys, and `early` says by phase why it
    ended before its last round, where it did.
    """

    def __init__(
        self,
        plan: Plan,
        run: str,
        asker: PartyClient,
        sums: CohortSums,
        observer: Observer,
        journal: Journal | None = None,
    ) -> None:
        self.plan = plan
        self.run = run
        self._asker = asker
        self._sums = sums
        self._journal = journal or Journal(plan.hash, run)
        self._observer = observer
        self.rows: list[dict[str, Any]] = []
        self.bodies: dict[str, bytes] = {}
        self.early: dict[str, str] = {}
        self._members = {group: [party.name for party in plan.members(group)] for group in plan.groups}
        self._strikes: Counter[str] = Counter()
        self._reasons: dict[str, str] = {}  # how each party failed last

    def answered(self, phase: Phase) -> Counter[str]:
        """By party the attempts that went out to it and may have been answered: at least what it has charged."""
        return Counter(party for _, _, cohort in self._journal.attempts(phase.name) for party in cohort)

    def begin(self, phase: Phase) -> None:
        """Tell the observer that a phase begins."""
        self._observer.phase(phase)

    def publish(self, phase: Phase, name: str, body: bytes) -> dict[str, str]:
        """Give a part to all parties of the phase; gives the name and key by which requests name it."""
        key = self._asker.publish(phase, name, body, needed=not self._journal.ended)
        self.bodies[key] = body
        return {name: key}

    def single(self, phase: Phase, mechanism: Mechanism, parameters: np.ndarray, parts: dict[str, str]) -> Sum:
        """The one sum of a phase that has one round, reported; raises as `ask`."""
        self.begin(phase)
        found = self.ask(phase, 1, mechanism, parameters, parts)
        self.report(phase, 1, found)
        return found

    def summed(
        self,
        phase: Phase,
        round: int,
        mechanism: Mechanism,
        parameters: np.ndarray,
        parts: dict[str, str],
        **figures: Callable[[Sum], float],
    ) -> Sum | None:
        """One round's sum, reported with these figures; None where the attempts are spent after the first round.

        Raises:
            PhaseFailed, AttemptsSpent: as `ask`; the latter in the first round only.
        """
        if round == 1:
            self.begin(phase)
        try:
            found = self.ask(phase, round, mechanism, parameters, parts)
        except AttemptsSpent as spent:
            if round == 1:
                raise
            self.early[phase.name] = f"{spent}; the model is that of {round - 1} of {phase.rounds} rounds"
            return None
        self.report(phase, round, found, **{name: figure(found) for name, figure in figures.items()})
        return found

    def report(self, phase: Phase, round: int, found: Sum, **more: float) -> None:
        """Tell the observer of a round that came about."""
        row = {"phase": phase.name, "round": round, "rounds": phase.rounds, "attempts": found.attempts}
        row |= {"cohort": len(found.cohort), "seconds": found.seconds, "failures": found.failures}
        self.note(row | more)

    def step(self, phase: Phase, done: int, total: int) -> None:
        """Tell an observer that wants to hear of it that a payload was carried."""
        if isinstance(self._observer, StepObserver):
            self._observer.step(phase, done, total)

    def note(self, row: dict[str, Any]) -> None:
        """Keep a row, and pass it on to the observer."""
        self.rows.append(row)
        self._observer.round(row)

    def ask(self, phase: Phase, round: int, mechanism: Mechanism, parameters: np.ndarray, parts: dict[str, str]) -> Sum:
        """The sum of one round over as many parties as answer.

        Raises:
            PhaseFailed: fewer parties than the plan's `min_parties` can answer.
            AttemptsSpent: the budget has no further attempt of this phase.
        """
        if (kept := self._journal.sum(phase.name, round)) is not None:
            return kept
        started = time.monotonic()
        failures: dict[str, str] = {}
        before, last = self._journal.asked(phase.name, round)
        for attempt in range(last + 1, last + 1 + phase.attempts - before):
            cohort = self._cohort(phase, failures)
            self._journal.attempt(phase.name, round, attempt, cohort)
            total, failed = self._sums.attempt(phase, round, attempt, cohort, mechanism, parameters, parts)
            if total is not None:
                for party in cohort:
                    del self._strikes[party]
                found = Sum(total * mechanism.grid, cohort, attempt, failures, time.monotonic() - started)
                self._journal.add(phase.name, round, found)
                return found
            failures |= failed
            self._reasons |= failed
            self._strikes.update(failed.keys())
        lost = "".join(f"; lost: {party} ({reason})" for party, reason in sorted(failures.items()))
        raise AttemptsSpent(f"{phase.name}: all {phase.attempts} attempts are spent in round {round}{lost}")

    def _cohort(self, phase: Phase, failures: dict[str, str]) -> tuple[str, ...]:
        """Every party that is there: those that failed lately are greeted first, those of this round only at need."""
        members = [party for party in self._members[phase.group] if self._strikes[party] < STRIKES]
        doubted = [party for party in members if self._strikes[party] and party not in failures]
        present = {party for party in members if not self._strikes[party]}
        present |= self._greet(phase, doubted)
        least, began = self.plan.groups[phase.group].min_parties, time.monotonic()
        while len(present) < least:
            present |= self._greet(phase, [party for party in members if party not in present])
            if len(present) >= least or not self._asker.bear(began):
                break
        if len(present) < least:
            lost = [party for party in self._members[phase.group] if party not in present]
            told = ", ".join(f"{party} ({failures.get(party, 'failed before')})" for party in lost)
            over = sum(lost_for_good(self._reasons.get(party, ""), self._journal.answered(party)) for party in lost)
            what = f"{phase.name}: {len(present)} parties are left and the plan needs {least}; lost: {told}"
            raise PhaseFailed(what, final=len(present) + len(lost) - over < least)
        return tuple(sorted(present))

    def _greet(self, phase: Phase, parties: list[str]) -> set[str]:
        """Those of the parties that answer a greeting, which is free; they get what parts they missed."""
        requests = {party: Hello(self._asker.header(phase, 0, 0, party)) for party in parties}
        ready = {party for party, reply in self._asker.ask(requests, Ready).items() if isinstance(reply, Ready)}
        self._asker.publish_again(phase, sorted(ready))
        return ready
