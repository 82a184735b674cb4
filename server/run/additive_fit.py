"""The additive recipe over a federation: each sum that it asks for is a round of a phase."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from sealscore.server.transport.journal import Sum
from sealscore.shared.dp.mechanisms import Mechanism, Mechanisms
from sealscore.shared.model.additive.codes import Codes
from sealscore.shared.model.additive.curve import SUMS, PdCurve
from sealscore.shared.model.recipe.facts import Facts
from sealscore.shared.model.recipe.solver import Released
from sealscore.shared.phases.kind import Kind
from sealscore.shared.phases.order import Phase


class Asks(Protocol):
    """What `Rounds` does for a fit."""

    def publish(self, phase: Phase, name: str, body: bytes) -> dict[str, str]:
        """Give a part to all parties of the phase; gives the name and key by which requests name it."""
        ...

    def summed(
        self,
        phase: Phase,
        round: int,
        mechanism: Mechanism,
        parameters: np.ndarray,
        parts: dict[str, str],
        **figures: Callable[[Sum], float],
    ) -> Sum | None:
        """One round's sum, reported with these figures; None where the attempts are spent after the first round."""
        ...


class FederatedSums:
    """`recipe.fit.Sums` of one tower, whose published bins are `parts`.

    The fit goes by the number of records that the histogram counted. Where other parties answer later, sum and noise
    are scaled to those that were `counted`, by public numbers: curvature and sums are of the same records.
    """

    def __init__(
        self,
        asks: Asks,
        mechanisms: Mechanisms,
        tower: str,
        facts: Facts,
        parts: dict[str, str],
        counted: Sequence[str],
    ) -> None:
        self._asks, self._mechanisms, self._facts, self._bins = asks, mechanisms, facts, parts
        self._phases = {phase.kind: phase for phase in mechanisms.phases if phase.tower == tower}
        self._codes: Codes | None = None
        self._counted = self._nominal(counted)
        self.parts = parts

    def first(self, round: int, codes: Codes, weights: np.ndarray) -> Released | None:
        """As `recipe.Sums`."""
        return self._gradient(Kind.FIRST, round, codes, weights)

    def pairs(self, scorer: Codes, weights: np.ndarray, codes: Codes) -> Released:
        """As `recipe.Sums`."""
        phase = self._phases[Kind.PAIRS]
        parts = self._published(phase, scorer) | self._asks.publish(phase, "pairs", codes.to_bytes())
        found = self._asked(phase, 1, codes.length, weights, parts)
        if found is None:
            raise RuntimeError("a first round is there or raises")
        return found

    def second(self, round: int, codes: Codes, weights: np.ndarray) -> Released | None:
        """As `recipe.Sums`."""
        return self._gradient(Kind.SECOND, round, codes, weights)

    def residuals(self, round: int, codes: Codes, weights: np.ndarray, curve: PdCurve) -> Released | None:
        """As `recipe.Sums`."""
        phase = self._phases[Kind.RESIDUALS]
        parameters = np.concatenate([weights, curve.vector()])
        return self._asked(phase, round, SUMS, parameters, self._published(phase, codes))

    def _gradient(self, kind: Kind, round: int, codes: Codes, weights: np.ndarray) -> Released | None:
        phase = self._phases[kind]
        return self._asked(phase, round, codes.length, weights, self._published(phase, codes))

    def _published(self, phase: Phase, codes: Codes) -> dict[str, str]:
        """The parts of a phase: bins, and the codes, which are published once."""
        if self._codes is not codes:
            self.parts = self._bins | self._asks.publish(phase, "codes", codes.to_bytes())
            self._codes = codes
        return self.parts

    def _asked(
        self, phase: Phase, round: int, length: int, parameters: np.ndarray, parts: dict[str, str]
    ) -> Released | None:
        mechanism, records = self._mechanisms.mechanism(phase, length), self._facts.records

        def scale(found: Sum) -> float:
            return self._counted / self._nominal(found.cohort)

        def noise(found: Sum) -> float:
            return scale(found) * mechanism.total_std(len(found.cohort))

        found = self._asks.summed(
            phase,
            round,
            mechanism,
            parameters,
            parts,
            gradient_norm=lambda found: scale(found) * float(np.linalg.norm(found.values)) / records,
            noise_norm=lambda found: noise(found) * float(np.sqrt(length)) / records,
        )
        return None if found is None else Released(scale(found) * found.values, noise(found))

    def _nominal(self, parties: Sequence[str]) -> int:
        plan = self._mechanisms.plan
        return sum(plan.nominal_training(plan.party(party)) for party in parties)
