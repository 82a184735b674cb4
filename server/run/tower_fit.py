"""The server's side of training a tower by hand-set rounds: from noisy sums to gradients, and from these to weights.

Everything here is post-processing: it reads no data and costs nothing.
"""

from __future__ import annotations

import math

import numpy as np

from sealscore.server.run.rounds import Rounds
from sealscore.server.transport.journal import Sum
from sealscore.shared.dp.mechanisms import Mechanism
from sealscore.shared.phases.order import Phase
from sealscore.shared.plan.plan import Plan
from sealscore.shared.plan.settings import Optimizer


class GradientSums:
    """What the sums of a training phase are as gradients, by the public numbers of its parties."""

    def __init__(self, plan: Plan, phase: Phase, mechanism: Mechanism) -> None:
        self._training, self._mechanism = plan.training, mechanism
        self._records = {party.name: plan.nominal_training(party) for party in plan.members(phase.group)}

    def gradient(self, found: Sum) -> np.ndarray:
        """The sum as a gradient per record, or as the averaged step of FedAvg: float64 [p]."""
        training = self._training
        gradient = found.values / (training.sample_rate * self._nominal(found))
        return gradient * training.local.learning_rate * training.local.steps if training.local else gradient

    def noise_norm(self, found: Sum) -> float:
        """Norm of the noise in the gradient, from public numbers."""
        training = self._training
        per_entry = self._mechanism.total_std(len(found.cohort)) / (training.sample_rate * self._nominal(found))
        if training.local:
            per_entry *= training.local.learning_rate * np.sqrt(training.local.steps)
        return float(per_entry * np.sqrt(self._mechanism.length))

    def _nominal(self, found: Sum) -> int:
        return sum([self._records[party] for party in found.cohort])


def fitted_tower(
    plan: Plan, rounds: Rounds, phase: Phase, mechanism: Mechanism, weights: np.ndarray, parts: dict[str, str]
) -> np.ndarray:
    """Weights of a tower, float64 [p], from those that it begins with: rounds of noisy gradients, or of local steps.

    It ends early, which `Rounds.early` says, where the attempts in the budget are spent after the first round.

    Raises:
        AttemptsSpent: they are spent in the first round.
        PhaseFailed: too few parties are left.
    """
    settings = plan.training.optimizer
    sums, optimizer = GradientSums(plan, phase, mechanism), ServerOptimizer(settings, phase.rounds, len(weights))
    iterates: list[np.ndarray] = []
    for round in range(1, phase.rounds + 1):
        rate = optimizer.learning_rate(round)
        found = rounds.summed(
            phase,
            round,
            mechanism,
            weights,
            parts,
            learning_rate=lambda found, rate=rate: rate,  # type: ignore[misc]
            gradient_norm=lambda found: float(np.linalg.norm(sums.gradient(found))),
            noise_norm=sums.noise_norm,
        )
        if found is None:
            break
        weights = optimizer.step(weights, sums.gradient(found), round)
        iterates.append(weights)
    return averaged(iterates, settings.average_last)


class ServerOptimizer:
    """Momentum (Polyak 1964) or Adam (Kingma and Ba 2015) with a constant or cosine schedule over planned rounds.

    Used on a gradient of a one-step round and on the averaged step of FedAvg alike (Reddi et al. 2021, FedOpt).
    """

    def __init__(self, settings: Optimizer, rounds: int, size: int) -> None:
        self._settings = settings
        self._rounds = rounds
        self._first = np.zeros(size)
        self._second = np.zeros(size)
        self._steps = 0

    def learning_rate(self, round: int) -> float:
        """The learning rate of a round, counted from 1."""
        base = self._settings.learning_rate
        if self._settings.schedule == "constant":
            return base
        return base * 0.5 * (1 + math.cos(math.pi * (round - 1) / self._rounds))

    def step(self, weights: np.ndarray, gradient: np.ndarray, round: int) -> np.ndarray:
        """New weights, float64 [p], after one step against `gradient` [p]."""
        settings = self._settings
        self._steps += 1
        if settings.kind == "momentum":
            self._first = settings.momentum * self._first + gradient
            return weights - self.learning_rate(round) * self._first
        self._first = settings.momentum * self._first + (1 - settings.momentum) * gradient
        self._second = settings.second_moment * self._second + (1 - settings.second_moment) * gradient**2
        first = self._first / (1 - settings.momentum**self._steps)
        second = self._second / (1 - settings.second_moment**self._steps)
        return weights - self.learning_rate(round) * first / (np.sqrt(second) + 1e-8)


def averaged(iterates: list[np.ndarray], last: float) -> np.ndarray:
    """Mean of the last fraction of the iterates, at least the last one (Polyak and Juditsky 1992; suffix averaging)."""
    count = max(1, round(last * len(iterates)))
    return np.asarray(np.mean(iterates[-count:], axis=0))
