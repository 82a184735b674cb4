"""The server's steps: momentum, preconditioned by what is known of each unit. Post-processing: it reads no record.

The curvature of a unit follows from the released shares, so a few dozen rounds are enough and nothing is tuned. The
ridge has the known variance of the noise in it, which takes the place of stopping early.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sealscore.shared.model.recipe.design import Design
from sealscore.shared.model.recipe.facts import Facts

STEP, MOMENTUM = 0.2, 0.7
# Codes of correlated features add up: the diagonal allows a top eigenvalue of 2 (1 + momentum) 1.5 / step = 25.5.
_CURVATURE = 1.5
# The cosine ends at this part of the first step.
_LAST_STEP = 0.1
# Of a unit that the released shares give no size.
_LEAST_CURVATURE = 1e-9


@dataclass(frozen=True, eq=False)
class Released:
    """A noisy sum, float64 [length], and the standard deviation of the noise in every number of it."""

    values: np.ndarray
    noise: float


@dataclass(frozen=True, eq=False)
class Fit:
    """What a phase gives: the mean of its last iterates, and the mean of D w - g over its second half.

    `likely` is about normal around 0 with variance `noise`^2 + D + D^2 v under the prior, whichever the weights were.
    """

    weights: np.ndarray
    likely: np.ndarray
    noise: float


def curvatures(design: Design, facts: Facts) -> np.ndarray:
    """D = n m h, float64 [length]."""
    return facts.records * design.moments * facts.curvature


def descend(
    ask: Callable[[int, np.ndarray], Released | None],
    design: Design,
    facts: Facts,
    weights: np.ndarray,
    rounds: int,
    averaged: int,
) -> Fit:
    """Rounds of sums at weights float64 [length], from 1 on; ends early where `ask` gives none.

    The result is the mean of the last `averaged` iterates of the planned rounds, or of the last one.

    Raises:
        ValueError: not one round could be asked.
    """
    curvature = curvatures(design, facts)
    velocity = np.zeros(len(weights))
    total, count = np.zeros(len(weights)), 0
    likely, variance, seen = np.zeros(len(weights)), 0.0, 0
    for round in range(1, rounds + 1):
        released = ask(round, weights)
        if released is None:
            break
        # As if the phase were one release: that is what its iterates have together.
        whole = released.noise**2 / rounds
        penalty = (1 + whole / np.maximum(curvature, _LEAST_CURVATURE)) / design.variances
        if round > rounds // 2 or seen == 0:
            if round == rounds // 2 + 1:
                likely, variance, seen = np.zeros(len(weights)), 0.0, 0
            likely, variance, seen = (
                likely + curvature * weights - released.values,
                variance + released.noise**2,
                seen + 1,
            )
        velocity = MOMENTUM * velocity - _step(round, rounds) * (released.values + penalty * weights) / (
            _CURVATURE * curvature + penalty
        )
        weights = weights + velocity
        if round > rounds - averaged:
            total, count = total + weights, count + 1
    if not seen:
        raise ValueError("a fit needs one round")
    return Fit(total / count if count else weights, likely / seen, math.sqrt(variance) / seen)


def _step(round: int, rounds: int) -> float:
    falling = 0.5 * (1 + math.cos(math.pi * (round - 1) / rounds))
    return STEP * ((1 - _LAST_STEP) * falling + _LAST_STEP)
