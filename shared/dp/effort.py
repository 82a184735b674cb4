"""How much work a privacy figure may cost: what a stranger's plan or ledger states must not hang who looks at it.

A figure is composed on a grid of privacy losses. What that costs follows from the events alone, before anything is
computed: so many points for the losses that a single release can have, and for those of all together. An event that
needs more is not refused but has no bound (an infinite epsilon): each limit lies far above what any claim can use.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from sealscore.shared.dp.events import Event, RandomizedResponse, SampledGaussian
from sealscore.shared.plan.bounds import MOST_COUNT, MOST_RECORDS

MOST_COMPOSED = 4_000_000
"""Grid points of everything composed: losses up to 4,000 at the usual grid, some seconds and 0.3 GiB."""

MOST_SINGLE = 600_000
"""Points of one release, as one with one record a person has them: losses up to 600, or 120 with several; some 10 s."""

MOST_TO_SOLVE = 700_000
"""Points of all compositions on the way to the noise of a plan: some ten seconds."""

# The losses that are kept: a Gaussian has less than e^-50 of its mass farther out.
_TAIL = 10.0
# With several records a person, dp-accounting inverts the loss point by point.
_MIXTURE = 5

_left: ContextVar[float] = ContextVar("points that may still be computed", default=math.inf)


class TooMuchWork(ValueError):
    """A figure that would take longer than `limited` allows."""


def single_points(event: SampledGaussian, discretisation: float) -> float:
    """What one invocation costs, in points of a release with one record a person; infinite where it is no float."""
    ratio = event.multiplicity / event.noise_multiplier
    return _losses(ratio) / discretisation * (1 if event.multiplicity == 1 else _MIXTURE)


def composable(events: Iterable[Event], squares: float, discretisation: float) -> bool:
    """Whether events that differ in more than their count can be composed, with plain Gaussians of these squares."""
    total = _losses(math.sqrt(squares))
    if total > MOST_SINGLE * discretisation:
        return False
    for event in events:
        if isinstance(event, SampledGaussian | RandomizedResponse) and event.count > MOST_COUNT:
            return False
        if isinstance(event, RandomizedResponse):
            total += event.epsilon * event.count
        elif isinstance(event, SampledGaussian):
            if event.multiplicity > MOST_RECORDS or single_points(event, discretisation) > MOST_SINGLE:
                return False
            total += _composed_losses(event)
    return total <= MOST_COMPOSED * discretisation


@contextmanager
def limited(points: float) -> Iterator[None]:
    """Within the block, raise TooMuchWork once sampled releases have cost so many points; what is known is free."""
    token = _left.set(min(points, _left.get()))
    try:
        yield
    finally:
        _left.reset(token)


def spend(points: float) -> None:
    """Note work that is about to be done; TooMuchWork where it exceeds what `limited` allows."""
    left = _left.get() - points
    if left < 0:
        raise TooMuchWork("the figure would take too long to compute")
    _left.set(left)


def _losses(ratio: float) -> float:
    """The largest loss that is kept of N(0, 1) against N(ratio, 1)."""
    return ratio * ratio / 2 + _TAIL * ratio


def _composed_losses(event: SampledGaussian) -> float:
    """About the same of all invocations: their mean, by convexity at most that of the mixture's parts, and a tail."""
    records, rate = event.multiplicity, event.sample_rate
    square = records * rate * (1 - rate) + (records * rate) ** 2
    per = square / event.noise_multiplier**2
    return event.count * per / 2 + _TAIL * math.sqrt(event.count * per) + _losses(records / event.noise_multiplier)
