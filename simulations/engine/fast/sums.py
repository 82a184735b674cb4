"""Sums over the roles of a cohort, by plain addition of integers."""

from __future__ import annotations

import numpy as np

from sealscore.clients.roles.errors import LocalFault, Refused
from sealscore.clients.roles.role import RoundContext, bounded
from sealscore.server.run.run import run_name
from sealscore.server.transport.exchange import PhaseFailed
from sealscore.shared.dp.mechanisms import Mechanism
from sealscore.shared.messages.codec import Address
from sealscore.shared.phases.order import Phase
from sealscore.shared.plan.plan import SERVER
from sealscore.shared.randomness.streams import Purpose
from sealscore.simulations.engine.fast.parties import Parties


class PlainSums:
    """`CohortSums` over roles: what each answers is what its node would, and no party ever fails alone.

    Formal guarantees: none. The integers are those of the in-process engine, of the same samples and noise.
    """

    def __init__(self, parties: Parties) -> None:
        self._parties, self._run = parties, run_name(parties.plan)

    def attempt(
        self,
        phase: Phase,
        round: int,
        attempt: int,
        cohort: tuple[str, ...],
        mechanism: Mechanism,
        parameters: np.ndarray,
        parts: dict[str, str],
    ) -> tuple[np.ndarray | None, dict[str, str]]:
        """The sum int64 [length] in grid units.

        Raises:
            PhaseFailed: the work of a party fails, or its role refuses it; names the party.
        """
        bodies, total = self._parties.parts(parts), np.zeros(mechanism.length, dtype=np.int64)
        for name in cohort:
            address = Address(self._parties.plan.hash, self._run, phase.name, round, attempt, name, SERVER)
            context = RoundContext(self._parties.of[name].secret, address, mechanism, len(cohort))
            try:
                total += self._answer(phase, context, parameters, bodies)
            except Refused as refusal:
                raise PhaseFailed(f"{phase.name}: {name} refuses: {refusal.code}", final=True) from refusal
            except LocalFault as fault:
                raise PhaseFailed(f"{phase.name}: {fault}", final=True) from fault
        return total, {}

    def _answer(
        self, phase: Phase, context: RoundContext, parameters: np.ndarray, bodies: dict[str, bytes]
    ) -> np.ndarray:
        """What one party answers, with its noise: int64 [length]."""
        work, mechanism = self._parties.of[context.address.sender].role.sum(phase, parameters, bodies)
        vector = bounded(work(context), mechanism)
        if mechanism.own_noise_only:
            return vector
        return mechanism.noised(vector, context.stream(Purpose.NOISE), context.cohort)
