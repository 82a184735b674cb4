"""One sum over a cohort, with its attempts: ask, leave out who fails, ask the rest again.

An attempt that any party answered is spent: those parties have charged it, whether or not the sum came about. So a
new attempt has the smaller cohort, fresh samples and fresh noise at every party, and there are as many as the
plan's budget holds.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass

import numpy as np

from server.exchange import Exchange, Failure
from shared.aggregation import Aggregation, AggregationError, SumId
from shared.messages import (
    Header,
    Hello,
    Message,
    MessageError,
    Publish,
    Ready,
    Refusal,
    Stored,
    SumAnswer,
    SumRequest,
    decode,
    encode,
)
from shared.phases import Phase
from shared.plan import Plan
from shared.privacy.mechanisms import Mechanism

SERVER = "server"
# A party that failed this often in a row is asked no more in a phase: each try costs all others an attempt.
STRIKES = 3


class PhaseFailed(RuntimeError):  # noqa: N818 - says what happened
    """A phase cannot go on: too few parties are left. The message names them and how they failed."""


class AttemptsSpent(RuntimeError):  # noqa: N818 - says what happened
    """The attempts that the plan's budget holds for this phase are spent."""


@dataclass(frozen=True)
class Sum:
    """The sum of one round, float64 [length] in its own unit, and how it came about."""

    values: np.ndarray
    cohort: tuple[str, ...]
    attempts: int
    failures: dict[str, str]
    seconds: float


class Rounds:
    """Asks sums of the parties of a plan in one run, and counts what every phase and party has been asked for.

    `answered` counts, by phase name and party, the attempts that went out to the party and may have been answered:
    an upper bound on what the party has charged.
    """

    def __init__(
        self, plan: Plan, run: str, exchange: Exchange, aggregation: Aggregation, timeout: float | None = None
    ) -> None:
        self.plan = plan
        self.run = run
        self.answered: dict[str, Counter[str]] = {}
        self._exchange = exchange
        self._aggregation = aggregation
        self._timeout = timeout
        self._strikes: Counter[tuple[str, str]] = Counter()
        self._spent: Counter[str] = Counter()

    def publish(self, phase: Phase, name: str, body: bytes) -> str:
        """Send a public part of the model to every party of the phase's group; returns its digest."""
        parties = [party.name for party in self.plan.members(phase.group)]
        requests = {party: encode(Publish(self._header(phase, 0, 0, party), name, body)) for party in parties}
        stored = self._replies(requests, Stored)
        digests = {reply.digest for reply in stored.values() if isinstance(reply, Stored)}
        if len(digests) != 1:
            raise PhaseFailed(f"{phase.name}: no party, or not the same bytes at each, kept the part {name!r}")
        return digests.pop()

    def ask(self, phase: Phase, round: int, mechanism: Mechanism, parameters: np.ndarray, parts: dict[str, str]) -> Sum:
        """The sum of one round over as many parties as answer.

        Raises:
            PhaseFailed: fewer parties than the plan's `min_parties` can answer.
            AttemptsSpent: the budget holds no further attempt of this phase.
        """
        started, failures = time.monotonic(), {}
        for attempt in range(1, phase.attempts + 1):
            cohort = self._cohort(phase, failures)
            if self._spent[phase.name] >= phase.attempts:
                raise AttemptsSpent(f"{phase.name}: all {phase.attempts} attempts are spent in round {round}")
            self._spent[phase.name] += 1
            self.answered.setdefault(phase.name, Counter()).update(cohort)
            requests = {
                party: encode(SumRequest(self._header(phase, round, attempt, party), cohort, parameters, parts))
                for party in cohort
            }
            sum_id = SumId(self.plan.hash, self.run, phase.name, round, attempt, cohort)
            contributions, failed = self._contributions(requests, mechanism)
            if not failed:
                self._strikes.clear()
                total = self._aggregation.total(sum_id, mechanism.shape, contributions)
                return Sum(total * mechanism.grid, cohort, attempt, failures, time.monotonic() - started)
            failures |= failed
            self._strikes.update((phase.name, party) for party in failed)
        raise AttemptsSpent(f"{phase.name}: all {phase.attempts} attempts are spent in round {round}")

    def _cohort(self, phase: Phase, failures: dict[str, str]) -> tuple[str, ...]:
        """Every party that is there: those that failed lately are greeted first, those of this round only at need."""
        members = [p.name for p in self.plan.members(phase.group) if self._strikes[phase.name, p.name] < STRIKES]
        doubted = [party for party in members if self._strikes[phase.name, party] and party not in failures]
        present = {party for party in members if not self._strikes[phase.name, party]}
        present |= self._greet(phase, doubted)
        least = self.plan.groups[phase.group].min_parties
        if len(present) < least:
            present |= self._greet(phase, [party for party in members if party in failures])
        if len(present) < least:
            lost = [p.name for p in self.plan.members(phase.group) if p.name not in present]
            told = ", ".join(f"{party} ({failures.get(party, 'failed before')})" for party in lost)
            raise PhaseFailed(f"{phase.name}: {len(present)} parties are left and the plan needs {least}; lost: {told}")
        return tuple(sorted(present))

    def _greet(self, phase: Phase, parties: list[str]) -> set[str]:
        """Those of the parties that answer a greeting, which costs nothing."""
        requests = {party: encode(Hello(self._header(phase, 0, 0, party))) for party in parties}
        return {party for party, reply in self._replies(requests, Ready).items() if isinstance(reply, Ready)}

    def _contributions(
        self, requests: dict[str, bytes], mechanism: Mechanism
    ) -> tuple[dict[str, bytes], dict[str, str]]:
        contributions, failed = {}, {}
        for party, reply in self._replies(requests, SumAnswer).items():
            if isinstance(reply, str):
                failed[party] = reply
                continue
            try:
                mechanism.shape.unpack(reply.contribution)
                contributions[party] = reply.contribution
            except AggregationError:
                failed[party] = "rubbish"
        return contributions, failed

    def _replies(self, requests: dict[str, bytes], expected: type[Message]) -> dict[str, Message | str]:
        """Each party's reply of the expected type, or a short code of what came in its place."""
        if not requests:
            return {}
        replies: dict[str, Message | str] = {}
        for party, raw in self._exchange.send(requests, self._timeout).items():
            replies[party] = self._read(party, raw, requests[party], expected)
        return replies

    def _read(self, party: str, raw: bytes | Failure, request: bytes, expected: type[Message]) -> Message | str:
        if isinstance(raw, Failure):
            return raw.reason
        try:
            reply = decode(raw, expected, Refusal)
            asked = decode(request, Hello, Publish, SumRequest).header
        except MessageError:
            return "rubbish"
        answers = Header(asked.plan, asked.run, asked.phase, asked.round, asked.attempt, party, SERVER)
        if reply.header != answers:
            return "rubbish"
        return f"refused: {reply.code[:40]}" if isinstance(reply, Refusal) else reply

    def _header(self, phase: Phase, round: int, attempt: int, party: str) -> Header:
        return Header(self.plan.hash, self.run, phase.name, round, attempt, SERVER, party)
