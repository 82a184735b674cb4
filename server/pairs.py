"""Payloads between a lender and a platform: the server carries them from one to the other and opens none."""

from __future__ import annotations

from collections import Counter

from server.asking import Asker, PhaseFailed
from shared.messages import PairAnswer, PairRequest
from shared.phases import Phase
from shared.plan import Plan

# A step is asked again this often; a party that answered before gives the same answer, and is charged nothing.
TRIES = 3


class Pairs:
    """Carries the steps of paired phases, and counts the bytes that crossed between each two parties."""

    def __init__(self, plan: Plan, asker: Asker) -> None:
        self.crossed: Counter[tuple[str, str]] = Counter()
        self._plan, self._asker = plan, asker

    def carry(self, phase: Phase, order: tuple[str, ...], parts: dict[str, str]) -> None:
        """For every lender and every platform of the phase's group, carry one payload after the other.

        `order` tells by role who gives at each step; after the last one that gives, the other side takes. Platforms
        are asked with the published `parts` that the phase builds on.

        Raises:
            PhaseFailed: a party of a pair does not answer a step; names it.
        """
        for lender in self._plan.members(self._plan.lenders):
            for platform in self._plan.members(phase.group):
                names = {"lender": lender.name, "platform": platform.name}
                body = b""
                for step, role in enumerate(order, start=1):
                    party, peer = names[role], names["platform" if role == "lender" else "lender"]
                    body = self._step(phase, step, party, peer, body, parts if role == "platform" else {})
                    self.crossed[party, peer] += len(body)

    def _step(self, phase: Phase, step: int, party: str, peer: str, body: bytes, parts: dict[str, str]) -> bytes:
        request = PairRequest(self._asker.header(phase, step, 1, party), peer, body, parts)
        reply: PairAnswer | str = "not asked"
        for _ in range(TRIES):
            reply = self._asker.ask({party: request}, PairAnswer)[party]
            if isinstance(reply, PairAnswer):
                return reply.body
        raise PhaseFailed(f"{phase.name}: {party} gave nothing for {peer} at step {step}: {reply}")
