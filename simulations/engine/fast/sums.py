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
from sealscore.simulations.engine.fast.cohort import CohortBins, Place, together
from sealscore.simulations.engine.fast.kernels import noise
from sealscore.simulations.engine.fast.keyed import PartyStreams
from sealscore.simulations.engine.fast.parties import Parties


class PlainSums:
    """`CohortSums` over roles: what each answers is what its node would, and no party ever fails alone.

    Formal guarantees: none. The integers are those of the in-process engine, of the same samples and noise: of most
    phases since the roles' own code makes them, of clipped sums over bins as `segments` argues.

    `by_role` counts the vectors that float order left to the roles.
    """

    def __init__(self, parties: Parties) -> None:
        self._parties, self._run = parties, run_name(parties.plan)
        self._streams = PartyStreams({name: party.secret for name, party in parties.of.items()})
        self._bins: tuple[str, CohortBins] | None = None
        self.by_role = 0

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
        bodies, place = self._parties.parts(parts), Place(self._run, phase, round, attempt, cohort)
        if together(self._parties.plan, phase):
            total = self._together(place, mechanism, parameters, bodies)
        else:
            total = np.zeros(mechanism.length, dtype=np.int64)
            for name in cohort:
                total += self._vector(name, place, mechanism, parameters, bodies)
        if not mechanism.own_noise_only:
            keys = self._streams.keys(cohort, self._run, phase.name, round, attempt, Purpose.NOISE)
            total += noise(keys, self._streams.source, mechanism.own_scale(len(cohort)), mechanism.length)
        return total, {}

    def _together(
        self, place: Place, mechanism: Mechanism, parameters: np.ndarray, bodies: dict[str, bytes]
    ) -> np.ndarray:
        phase, cohort = place.phase, place.cohort
        kept = self._bins
        if kept is None or (kept[0], kept[1].cohort, kept[1].parts) != (phase.name, cohort, bodies):
            kept = self._bins = phase.name, CohortBins(self._parties, phase, cohort, bodies)
        vectors, certain = kept[1].exact(place, mechanism, parameters, self._streams)
        for row in np.flatnonzero(~certain):
            vectors[row] = self._vector(cohort[row], place, mechanism, parameters, bodies)
            self.by_role += 1
        return np.asarray(vectors.sum(axis=0))

    def _vector(
        self, party: str, place: Place, mechanism: Mechanism, parameters: np.ndarray, bodies: dict[str, bytes]
    ) -> np.ndarray:
        """What one party's role computes, int64 [length], with noise only where local steps have it."""
        name, found = place.phase.name, self._parties.of[party]
        address = Address(self._parties.plan.hash, self._run, name, place.round, place.attempt, party, SERVER)
        context = RoundContext(found.secret, address, mechanism, len(place.cohort))
        try:
            work, own = found.role.sum(place.phase, parameters, bodies)
            return bounded(work(context), own)
        except Refused as refusal:
            raise PhaseFailed(f"{name}: {party} refuses: {refusal.code}", final=True) from refusal
        except LocalFault as fault:
            raise PhaseFailed(f"{name}: {fault}", final=True) from fault
