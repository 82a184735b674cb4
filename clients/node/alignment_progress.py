"""What the party's own operator hears while an alignment is computed, which takes seconds to minutes."""

from __future__ import annotations

import time
from collections.abc import Callable

EVERY = 10.0  # seconds between two lines


class AlignmentProgress:
    """Takes (done, total) curve operations of one message, and says now and then how far it is.

    A message that takes less than `EVERY` seconds is never spoken of. `clock` gives seconds.
    """

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._say, self._clock = say, clock
        self._before = 0
        self._began = self._said = clock()

    def __call__(self, done: int, total: int) -> None:
        """So much of a message is done; a number that is not above the one before begins another message."""
        now = self._clock()
        if done <= self._before or self._before == 0:
            self._began = self._said = now
        self._before = 0 if done >= total else done
        if now - self._said < EVERY or done >= total:
            return
        self._said = now
        left = (now - self._began) * (total - done) / done
        self._say(f"aligning: {100 * done // total} % of {total:,} operations, about {left:.0f} s left")
