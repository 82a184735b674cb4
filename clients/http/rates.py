"""How many requests a second each caller may send, so that one that runs wild leaves room for the others."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from sealscore.clients.http.callers import Caller, Callers
from sealscore.clients.http.exchange import Scope
from sealscore.clients.http.problems import too_many


class CallerRates:
    """A second's worth is there at once, and comes again with the time. `most` is requests a second, None for any."""

    def __init__(self, most: float | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._clock = most, clock
        self._left: dict[str, tuple[float, float]] = {}

    def take(self, caller: str, count: int = 1) -> None:
        """Count a request, as so many; while anything is left it is let in whole, and what is too much is owed.

        Raises:
            HttpProblem: `too-many` (429), with `Retry-After` in seconds; nothing is counted.
        """
        self._count(caller, count, 1)

    def take_rest(self, caller: str, count: int) -> None:
        """Count the rest of a request of which one was taken before it was read; it is let in as `take` would.

        Raises:
            HttpProblem: `too-many`: what was let in meanwhile left this caller in debt; the rest is not counted.
        """
        if count > 0:
            self._count(caller, count, 0)

    def _count(self, caller: str, count: int, least: int) -> None:
        if self._most is None:
            return
        room = max(self._most, 1.0)
        now = self._clock()
        left, since = self._left.get(caller, (room, now))
        left = min(room, left + (now - since) * self._most)
        if left < least:
            self._left[caller] = (left, now)
            raise too_many(math.ceil((1 - left) / self._most))
        self._left[caller] = (left - count, now)


class LimitedCallers:
    """Callers of whom each request is counted as it is checked."""

    def __init__(self, callers: Callers, rates: CallerRates | None = None) -> None:
        self._callers, self._rates = callers, rates or CallerRates()

    def check(self, scope: Scope, right: str | None, *others: str) -> Caller:
        """As `Callers.check`; HttpProblem `too-many` where the caller asks too often."""
        caller = self._callers.check(scope, right, *others)
        self._rates.take(caller.name)
        return caller
