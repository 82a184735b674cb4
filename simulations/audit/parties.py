"""What stands in for a party's role in the audited phase: the same records, engine, clip, sampling and noise, wider.

The node around it is the real one: it checks each request, charges, adds the noise, masks and seals as ever.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from sealscore.clients.roles.encoding import Encoder, expect
from sealscore.clients.roles.role import CodedExamples, Pair, PartyRole, RoundContext, Sum, train_step
from sealscore.shared.dp.mechanisms import Mechanisms
from sealscore.shared.messages.codec import Address
from sealscore.shared.model.build import coding_of, initial_tower
from sealscore.shared.phases.kind import Kind
from sealscore.shared.phases.order import Phase
from sealscore.shared.plan.plan import Plan
from sealscore.shared.randomness.streams import Purpose
from sealscore.simulations.audit.breaks import batches, broken_clip, broken_mechanism, in_turn
from sealscore.simulations.audit.canaries import RECORD, AuditBlock, AuditedGradientSum, tagged
from sealscore.simulations.audit.faults import Break


class ToldSums:
    """What colluding parties told the server: their own noisy vectors int64 [length], by round and attempt."""

    def __init__(self) -> None:
        self._sums: dict[tuple[int, int], np.ndarray] = {}

    def add(self, header: Address, vector: np.ndarray) -> None:
        """At a party: tell what it sends in this attempt."""
        place = header.round, header.attempt
        self._sums[place] = self._sums.get(place, np.zeros_like(vector)) + vector

    def take(self, round: int, attempt: int, length: int) -> np.ndarray:
        """At the server: the sum of what was told of an attempt, int64 [length]; it is forgotten then."""
        return self._sums.pop((round, attempt), np.zeros(length, dtype=np.int64))


class WidenedRole:
    """A role of which one tower has an audit block in its training; in all other phases it is the role itself.

    `numbers` are the canaries that are in, at the audited party, and none at others. `tell` is given every noisy
    vector of a party that colludes with the server.
    """

    def __init__(
        self,
        role: PartyRole,
        plan: Plan,
        tower: str,
        mechanisms: Mechanisms,
        canaries: int,
        numbers: np.ndarray,
        fault: Break | None = None,
        tell: Callable[[Address, np.ndarray], None] | None = None,
    ) -> None:
        self._role, self._plan, self._mechanisms = role, plan, mechanisms
        self._canaries, self._fault, self._tell = canaries, fault, tell
        self._audited = len(numbers) > 0
        self._tower, self._encoder = tower, Encoder(plan, tower)
        # Each canary is a person with as many records as a person may have at one party.
        self._numbers = torch.from_numpy(np.repeat(numbers, plan.privacy.max_records_per_person))
        self._examples: tuple[torch.Tensor, torch.Tensor] | None = None
        # A fixed batch is taken whole.
        self._whole = plan.replace(training__sample_rate=1.0)

    def changed(self) -> None:
        """As the role."""
        self._role.changed()

    def pair(self, phase: Phase, step: int, parts: dict[str, bytes]) -> Pair:
        """As the role."""
        return self._role.pair(phase, step, parts)

    def sum(self, phase: Phase, parameters: np.ndarray, parts: dict[str, bytes]) -> Sum:
        """As the role, but for the training phase."""
        if (phase.kind, phase.tower) != (Kind.TRAIN, self._tower):
            return self._role.sum(phase, parameters, parts)
        binning = self._encoder.binning(parts["bins"])
        block = AuditBlock(coding_of(self._plan, phase.tower, binning).width, self._plan.model.hidden, self._canaries)
        expect(parameters, block.length)
        self._role.sum(phase, parameters[block.own], parts)  # what it refuses is refused here
        mechanism = broken_mechanism(self._fault, self._mechanisms.mechanism(phase, block.length))
        tower = initial_tower(self._plan, phase.tower, binning)
        clip = self._plan.clip_norm(phase.group)
        if self._audited:
            clip = broken_clip(self._fault, clip)
        engine = AuditedGradientSum(block, tower, self._role.loss, clip, self._plan.training)

        def work(context: RoundContext) -> np.ndarray:
            if self._examples is None:
                self._examples = tagged(*self._role.training_examples(phase.tower, binning), self._numbers)
            vector = self._step(engine, parameters, *self._examples, context)
            if self._tell is not None:
                self._tell(context.address, self._noisy(vector, context))
            return vector

        return work, mechanism

    def _step(
        self,
        engine: AuditedGradientSum,
        parameters: np.ndarray,
        codes: torch.Tensor,
        targets: torch.Tensor,
        context: RoundContext,
    ) -> np.ndarray:
        count = batches(self._fault, self._plan.training.sample_rate) if self._audited else None
        if count is None:
            return train_step(CodedExamples(lambda: engine, codes, targets), parameters, self._plan, context)
        # A canary's place is its number, also where others before it are out; other records come as they stand.
        numbers = codes[:, -1].long()
        turn = in_turn(torch.where(numbers == RECORD, torch.arange(len(codes)), numbers), count, context.address.round)
        in_order = CodedExamples(lambda: engine, codes[turn], targets[turn])
        return train_step(in_order, parameters, self._whole, context)

    def _noisy(self, vector: np.ndarray, context: RoundContext) -> np.ndarray:
        """The vector that the node sends: with the noise from the very stream that it will read."""
        if context.mechanism.own_noise_only:
            return vector
        return context.mechanism.noised(vector, context.stream(Purpose.NOISE), context.cohort)
