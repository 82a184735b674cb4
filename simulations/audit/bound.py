"""From right guesses to a lower bound on epsilon, by two tests of one run.

The game of both: each of m canaries is in by a fair coin of its own; the guesser sees what the mechanism released,
says "in" or "out" of r of them, and v of these guesses are right. If the mechanism were as private as a claim says, so
many right guesses would be unlikely; where the probability is at most `significance`, the claim is rejected.

- `one_run_epsilon`: Steinke, Nasr, Jagielski 2023, "Privacy Auditing with One (1) Training Run", theorem 5.2. It takes
  for granted that the mechanism is (epsilon, delta)-DP under adding or removing a record, and nothing else.
- `curve_epsilon`: Mahloujifar, Melis, Chaudhuri 2024, "Auditing f-Differential Privacy in One Run", theorem 3.2 and
  its numerical form with abstentions. It tests a whole trade-off curve, so it rejects more. Its epsilon is that of a
  curve out of a family: the claimed event with another noise multiplier. That the claim itself is rejected, where its
  epsilon exceeds the claim, does not rest on the family.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.stats import binom

from sealscore.shared.dp.accountant import PldAccountant
from sealscore.shared.dp.events import SampledGaussian

# Deltas at which a claimed curve is read: any of them bounds the curve from one side, more of them bound it closer.
DELTAS = np.concatenate([np.logspace(-9, -2, 22), np.linspace(0.02, 0.9, 45)])
# The family's noise multipliers: the claimed one times this factor to a whole power.
FACTOR, POWERS = 1.02, 140
MOST_EPSILON = 20.0


def one_run_p_value(canaries: int, guesses: int, right: int, epsilon: float, delta: float) -> float:
    """An upper bound on the probability of at least `right` right guesses under (epsilon, delta)-DP.

    With W ~ Binomial(r, e^epsilon / (1 + e^epsilon)): P[W >= v] + 2 m delta max over i in 1..v of P[v > W >= v - i] / i
    (Steinke et al. 2023, theorem 5.2).

    Raises:
        ValueError: not 0 <= right <= guesses <= canaries.
    """
    _check(canaries, guesses, right)
    accuracy = 1 / (1 + math.exp(-epsilon))
    below = binom.pmf(np.arange(right - 1, -1, -1), guesses, accuracy)
    worst = float(np.max(np.cumsum(below) / np.arange(1, right + 1), initial=0.0))
    return min(1.0, float(binom.sf(right - 1, guesses, accuracy)) + 2 * canaries * delta * worst)


def one_run_epsilon(canaries: int, guesses: int, right: int, delta: float, significance: float) -> float:
    """The largest epsilon, at most 20, that is rejected together with `delta`; 0 where none is."""
    low, high = 0.0, MOST_EPSILON
    if one_run_p_value(canaries, guesses, right, low, delta) > significance:
        return 0.0
    while high - low > 1e-4:
        middle = (low + high) / 2
        if one_run_p_value(canaries, guesses, right, middle, delta) <= significance:
            low = middle
        else:
            high = middle
    return low


@dataclass(frozen=True, eq=False)
class TradeoffCurve:
    """A trade-off curve as the (epsilon, delta) pairs that hold at once, under adding and under removing a person."""

    epsilons: np.ndarray
    deltas: np.ndarray

    @classmethod
    def of(cls, event: SampledGaussian) -> TradeoffCurve:
        """What the claim's accountant says of an event, at `DELTAS`."""
        accountant = PldAccountant()
        epsilons = [accountant.epsilon([event], float(delta)) for delta in DELTAS]
        return cls(np.minimum(epsilons, 700.0), DELTAS)

    def least(self, probability: float) -> float:
        """The least probability that an event can have in one world if it has this one in a neighbouring world.

        (epsilon, delta)-DP of the event and of its complement: x <= e^epsilon y + delta and
        1 - y <= e^epsilon (1 - x) + delta.
        """
        factors = np.exp(self.epsilons)
        of_event = (probability - self.deltas) / factors
        of_complement = 1 - self.deltas - factors * (1 - probability)
        return max(0.0, float(of_event.max()), float(of_complement.max()))


def curve_rejected(curve: TradeoffCurve, canaries: int, guesses: int, right: int, significance: float) -> bool:
    """Whether at least `right` right guesses have a probability below `significance` under the curve.

    Let r_i and h_i be the probabilities that a canary drawn at random is guessed rightly, or wrongly, and at least i
    guesses are right. Turning over one coin turns a right guess into a wrong one, so h_i is at least `least(r_{i+1})`;
    and r_i - r_{i+1} = i / (guesses - i) (h_i - h_{i+1}). If r_0 + h_0 comes to more than guesses / canaries, which it
    is, then the probability that was put in at i = `right` was too large (Mahloujifar et al. 2024).

    Raises:
        ValueError: not 0 <= right <= guesses <= canaries.
    """
    _check(canaries, guesses, right)
    hit = significance * right / canaries
    missed = significance * (guesses - right) / canaries
    for count in range(right - 1, -1, -1):
        needed = curve.least(hit)
        if needed <= missed:  # then neither changes any more
            break
        hit += count / (guesses - count) * (needed - missed)
        missed = needed
        if hit + missed >= guesses / canaries:
            return True
    return hit + missed >= guesses / canaries


def curve_epsilon(
    event: SampledGaussian, canaries: int, guesses: int, right: int, delta: float, significance: float
) -> float:
    """Epsilon at `delta` of the event with the least noise at which it is still rejected; 0 where none is.

    The noise multiplier is sought within a factor of 16 of the event's own, in steps of 2 %.
    """

    def rejected(power: int) -> bool:
        return curve_rejected(_curve(event, power), canaries, guesses, right, significance)

    if not rejected(-POWERS):
        return 0.0
    low, high = -POWERS, POWERS + 1
    while high - low > 1:
        middle = (low + high) // 2
        if rejected(middle):
            low = middle
        else:
            high = middle
    return PldAccountant().epsilon([_less_noisy(event, low)], delta)


def _less_noisy(event: SampledGaussian, power: int) -> SampledGaussian:
    return event.model_copy(update={"noise_multiplier": event.noise_multiplier / FACTOR**power})


@lru_cache(maxsize=512)
def _curve(event: SampledGaussian, power: int) -> TradeoffCurve:
    return TradeoffCurve.of(_less_noisy(event, power))


def _check(canaries: int, guesses: int, right: int) -> None:
    if not 0 <= right <= guesses <= canaries:
        raise ValueError(f"{right} right guesses of {guesses} of {canaries} canaries: there can be none such")
