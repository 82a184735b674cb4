"""Payloads between a lender and a platform: the server carries them from one to the other and opens none."""

from __future__ import annotations

import time
from collections import Counter

from sealscore.server.transport.exchange import TIMEOUT, UNAVAILABLE, PartyClient, PhaseFailed, lost_for_good
from sealscore.server.transport.journal import Journal
from sealscore.shared.messages.messages import PairAnswer, PairRequest
from sealscore.shared.phases.order import Phase
from sealscore.shared.plan.plan import Plan

# A step is asked again this often; a party that answered before gives the same answer, and is charged nothing.
TRIES = 3
# A party that was restarted cannot open what was sealed to it before, nor go on with an alignment. So the pair
# begins its phase again, under a higher attempt, this often; what was released already is not charged again.
ATTEMPTS = 4
_NO_PART = "refused: part-missing"
_LOST = frozenset({"refused: seal", "refused: out-of-order"})


class _Lost(Exception):
    """A party has lost what it needs for a step; `failed` is what this comes to at the end."""

    def __init__(self, failed: PhaseFailed) -> None:
        self.failed = failed


class PairExchange:
    """Carries the steps of paired phases, and counts the bytes that crossed between each two parties.

    What was given is in the `journal`, and is not asked for again.
    """

    def __init__(self, plan: Plan, asker: PartyClient, journal: Journal | None = None) -> None:
        self.crossed: Counter[tuple[str, str]] = Counter()
        self._plan, self._asker = plan, asker
        self._journal = journal or Journal(plan.hash, asker.run)

    def carry(self, phase: Phase, order: tuple[str, ...], parts: dict[str, str]) -> None:
        """For every lender and every platform of the phase's group, carry one payload after the other.

        `order` says by role who gives at each step; after the last one that gives, the other side takes. Platforms
        are asked with the published `parts` that the phase builds on.

        Raises:
            PhaseFailed: a party of a pair does not answer a step; names it.
        """
        for lender in self._plan.members(self._plan.lenders):
            for platform in self._plan.members(phase.group):
                self._pair(phase, order, {"lender": lender.name, "platform": platform.name}, parts)

    def _pair(self, phase: Phase, order: tuple[str, ...], names: dict[str, str], parts: dict[str, str]) -> None:
        last, bodies = self._journal.steps(phase.name, names["lender"], names["platform"])
        first: PhaseFailed | None = None
        for attempt in range(max(last, 1), max(last, 1) + ATTEMPTS):
            try:
                self._steps(phase, order, names, parts, attempt, bodies)
            except _Lost as lost:
                first, bodies = first or lost.failed, []
                continue
            for role, body in zip(order, bodies, strict=True):
                self.crossed[names[role], names[_other(role)]] += len(body)
            return
        if first is not None:
            raise first

    def _steps(
        self,
        phase: Phase,
        order: tuple[str, ...],
        names: dict[str, str],
        parts: dict[str, str],
        attempt: int,
        bodies: list[bytes],
    ) -> None:
        """Carry the steps that `bodies` lacks, and put each payload into it."""
        for step, role in enumerate(order, start=1):
            if step <= len(bodies):
                continue
            party, peer = names[role], names[_other(role)]
            header = self._asker.header(phase, step, attempt, party)
            request = PairRequest(header, peer, bodies[-1] if bodies else b"", parts if role == "platform" else {})
            body = self._step(phase, request)
            self._journal.carried(phase.name, names["lender"], names["platform"], attempt, step, body)
            bodies.append(body)

    def _step(self, phase: Phase, request: PairRequest) -> bytes:
        party, began, tries = request.header.recipient, time.monotonic(), 0
        while True:
            reply = self._asker.ask({party: request}, PairAnswer)[party]
            if isinstance(reply, PairAnswer):
                return reply.body
            if reply == _NO_PART:
                self._asker.publish_again(phase, [party])
            tries += 1
            if tries >= TRIES and not (reply in (UNAVAILABLE, TIMEOUT) and self._asker.bear(began)):
                break
        where = f"{phase.name}: {party} gave nothing for {request.peer} at step {request.header.round}"
        failed = PhaseFailed(f"{where}: {reply}", final=lost_for_good(reply, self._journal.answered(party)))
        raise _Lost(failed) if reply in _LOST else failed


def _other(role: str) -> str:
    return "platform" if role == "lender" else "lender"
