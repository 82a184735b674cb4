"""The exact clipped sums of a cohort at once, where its tower is additive over bins."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sealscore.clients.roles.encoding import Encoder
from sealscore.shared.dp.clipped_sum import CLIP
from sealscore.shared.dp.mechanisms import Mechanism
from sealscore.shared.model.additive.additive_code import AdditiveCode, linear_tables, of_codes, of_coding
from sealscore.shared.model.additive.codes import BinTables, Codes
from sealscore.shared.model.build import coding_of
from sealscore.shared.model.coding import Coding
from sealscore.shared.phases.additive.tower_budget import label_keep
from sealscore.shared.phases.order import Phase
from sealscore.shared.plan.plan import Plan
from sealscore.shared.randomness.streams import Purpose, sampled
from sealscore.simulations.engine.fast.kernels import words32
from sealscore.simulations.engine.fast.keyed import PartyStreams
from sealscore.simulations.engine.fast.parties import Parties
from sealscore.simulations.engine.fast.segments import Segments, clipped_sums, error_bound, rounded


@dataclass(frozen=True)
class Place:
    """One attempt of one round over a cohort."""

    run: str
    phase: Phase
    round: int
    attempt: int
    cohort: tuple[str, ...]


def together(plan: Plan, phase: Phase) -> bool:
    """Whether a phase's sums can be made of bins: clipped gradients of an additive tower, by the fused formula.

    Networks, local steps, noisy labels under hand-set keys and Opacus as the plan's engine are left to the roles.
    """
    if not phase.of.clips:
        return False
    if not phase.summed.trains:
        return True
    training = plan.training
    return (
        training.local is None and training.engine == "fused" and plan.model.hidden == 0 and phase.group == plan.lenders
    )


class CohortBins:
    """The bins of a cohort's training records under the parts of one phase, and their sums.

    Raises:
        Refused: the parts are none, which no coordinator of this engine sends.
    """

    def __init__(self, parties: Parties, phase: Phase, cohort: tuple[str, ...], parts: dict[str, bytes]) -> None:
        plan, encoder = parties.plan, Encoder(parties.plan, phase.tower)
        binning = encoder.binning(parts["bins"])
        roles = [parties.of[name].role for name in cohort]
        for role in roles:
            role.check_told(phase)
        self.cohort, self.parts = cohort, parts
        self._plan, self._phase = plan, phase
        self._all = Segments.of([role.training_bins(phase.tower, binning) for role in roles])
        self._keep, self._rate = 1.0, 1.0
        self._coding: Coding | None = None
        self._scored: Codes | None = None
        if phase.summed.trains:
            self._rate = plan.training.sample_rate
            self._coding = coding_of(plan, phase.tower, binning)
            self._code: AdditiveCode = of_coding(self._coding, plan.clip_norm(phase.group))
        else:
            self._keep = label_keep(plan, phase.tower)
            self._scored = encoder.additive(parts["codes"], binning)
            summed = encoder.additive(parts["pairs"], binning) if "pairs" in parts else self._scored
            self._code = of_codes(summed, CLIP)

    def exact(
        self, place: Place, mechanism: Mechanism, parameters: np.ndarray, streams: PartyStreams
    ) -> tuple[np.ndarray, np.ndarray]:
        """Each party's vector in grid units, int64 [parties, length], and which are certain to be its own, bool."""
        records = self._sampled(place, streams)
        error = error_bound(self._code, records.sizes)
        sums = clipped_sums(self._code, self._tables(parameters), records, self._keep)
        return rounded(sums, mechanism.grid, mechanism.bound, error)

    def _sampled(self, place: Place, streams: PartyStreams) -> Segments:
        if self._rate == 1.0:
            return self._all
        keys = streams.keys(place.cohort, place.run, place.phase.name, place.round, place.attempt, Purpose.SAMPLING)
        words = words32(keys, streams.source, self._all.sizes)
        return self._all.take(sampled(words, self._rate))

    def _tables(self, parameters: np.ndarray) -> BinTables:
        if self._coding is not None:
            return linear_tables(self._coding, parameters)
        assert self._scored is not None
        return self._scored.tables(parameters)
