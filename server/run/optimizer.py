"""The server's step from a noisy gradient. Everything here is post-processing: it reads no data and costs nothing."""

from __future__ import annotations

import math

import numpy as np

from sealscore.shared.plan.settings import Optimizer


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
