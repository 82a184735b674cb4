"""The server as the adversary: it carries out the plan up to the audited phase, and guesses from what it saw there.

White box: it chooses the weights of every round, knows each canary and its direction, sees every noisy sum, and knows
what the parties that collude with it sent. It does not know coins, samples and noise of the others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sealscore.server.run.coordinator import Coordinator
from sealscore.server.run.rounds import Observer
from sealscore.server.run.tower_fit import GradientSums, ServerOptimizer
from sealscore.server.transport.exchange import Messenger, wait_for
from sealscore.shared.crypto.aggregation import PlainSum
from sealscore.shared.model.bins import Binning
from sealscore.shared.model.build import initial_tower
from sealscore.shared.model.tower import Loss, flatten
from sealscore.shared.phases.kind import Kind
from sealscore.shared.phases.order import Phase
from sealscore.shared.plan.errors import PlanError
from sealscore.shared.plan.plan import Plan
from sealscore.shared.plan.towers import towers
from sealscore.simulations.audit.breaks import batches, broken_mechanism, in_turn
from sealscore.simulations.audit.canaries import AuditBlock, AuditedGradientSum
from sealscore.simulations.audit.faults import Break
from sealscore.simulations.audit.parties import ToldSums
from sealscore.simulations.experiments.runs import BadSetting

Attack = Callable[[np.ndarray], np.ndarray]
"""A guess at which canaries were there: `along` float64 [rounds, canaries] -> scores float64 [canaries], the higher the
likelier it is in.

`along` is what each round's noisy sum has along a canary's own direction. An attack does not see the coins, so whatever
it does, the bound that follows from its guesses holds.
"""


def summed(along: np.ndarray) -> np.ndarray:
    """The attack of the audit itself: the sum over rounds, float64 [canaries]."""
    return np.asarray(along.sum(axis=0), dtype=np.float64)


def scored(attack: Attack, along: np.ndarray) -> np.ndarray:
    """An attack's scores; BadSetting where it gives anything but a finite number for each canary."""
    found = np.asarray(attack(along.copy()), dtype=np.float64)
    if found.shape != (along.shape[1],) or not np.isfinite(found).all():
        told = f"it gave an array of shape {found.shape}; it must give {along.shape[1]} finite numbers"
        raise BadSetting("attack", told)
    return found


@dataclass(frozen=True)
class Seen:
    """What the server has in the end: a score for each canary, float64 [canaries], the higher the likelier it is in.

    `answers` counts the attempts that a party may have answered. `reach` is the smallest norm, over all
    rounds, that a canary in the sample added along its own direction, as a part of the clip norm.
    """

    scores: np.ndarray
    answers: int
    reach: float


class AuditingServer(Coordinator):
    """A coordinator that audits the training phase of one tower."""

    def __init__(
        self,
        plan: Plan,
        run: str,
        messenger: Messenger,
        observer: Observer,
        canaries: int,
        loss: Loss,
        told: ToldSums,
        fault: Break | None,
        attack: Attack | None = None,
    ) -> None:
        super().__init__(plan, run, messenger, PlainSum(), observer, timeout=10.0)
        self._canaries, self._loss, self._told, self._fault = canaries, loss, told, fault
        self._attack = attack or summed

    def audit(self, tower: str) -> Seen:
        """All phases before the tower's training as ever, then that training, audited."""
        wait_for(self._messenger, [party.name for party in self._plan.parties], self._patience, poll=0.2)
        order = [planned.name for planned in towers(self._plan)]
        for before in order[: order.index(tower)]:
            (self._platforms if before in self._plan.platforms else self._scored)(before)
        if tower in self._plan.platforms:
            self.align(self._phase(Kind.ALIGN, tower))
        binning, parts = self._binned(tower)
        if tower in self._plan.platforms:
            self.release_labels(self._phase(Kind.LABELS, tower))
        return self._observe(self._phase(Kind.TRAIN, tower), binning, parts)

    def _observe(self, phase: Phase, binning: Binning, parts: dict[str, str]) -> Seen:
        self._rounds.begin(phase)
        tower = initial_tower(self._plan, phase.tower, binning)
        try:
            block = AuditBlock(tower.linear.in_features, tower.hidden, self._canaries)
        except ValueError as error:
            raise PlanError(self._plan.name, [str(error)]) from None
        clip, training = self._plan.clip_norm(phase.group), self._plan.training
        engine = AuditedGradientSum(block, tower, self._loss, clip, training)
        mechanism = broken_mechanism(self._fault, self._mechanisms.mechanism(phase, block.length))
        weights = flatten(tower)
        sums = GradientSums(self._plan, phase, mechanism)
        optimizer = ServerOptimizer(training.optimizer, phase.rounds, len(weights))
        along, answers, reach = np.zeros((phase.rounds, block.canaries)), 0, np.inf
        for round in range(1, phase.rounds + 1):
            # The block's weights stay at zero, so that every canary's gradient stays large.
            wide = block.widened(weights)
            found = self._rounds.ask(phase, round, mechanism, wide, parts)
            answers += found.attempts
            answer = found.values - self._told.take(round, found.attempts, block.length) * mechanism.grid
            direction = engine.of_canary(wide)
            reach = min(reach, float(np.linalg.norm(direction)) / clip)
            along[round - 1] = self._correlation(direction @ answer[block.block], round)
            weights = optimizer.step(weights, sums.gradient(found)[block.own], round)
            self._rounds.report(phase, round, found)
        return Seen(scored(self._attack, along), answers, reach)

    def _correlation(self, along: np.ndarray, round: int) -> np.ndarray:
        """What a round says of each canary: nothing of those whose batch, where there are fixed ones, it was not."""
        count = batches(self._fault, self._plan.training.sample_rate)
        if count is None:
            return along
        return np.where(in_turn(np.arange(len(along)), count, round), along, 0.0)
