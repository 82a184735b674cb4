"""The machine's clock, held against the time that passes: one bad reading must destroy no key and stop no service."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal

# A clock that is corrected by NTP goes back or ahead by less.
_STEP = 300.0


class ClockFault(RuntimeError):
    """A reading that is not taken: `behind` what was read before, or `ahead` of the time that has passed since.

    `early` is the first reading, behind what was written before this process began. In `wait` seconds a clock that is
    behind has come to what was said.
    """

    def __init__(self, way: Literal["behind", "ahead", "early"], text: str, wait: float = 0.0) -> None:
        super().__init__(text)
        self.way, self.wait = way, wait


def uptime() -> float:
    """Seconds that have passed since some moment, whatever the clock was set to; those of a sleep too, on Linux."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if sys.platform == "linux" else time.monotonic()


class SteadyClock:
    """A clock that goes neither back nor ahead by more than five minutes against the time that passes.

    A reading that does is refused, and later ones are held against those before it. The first is taken, unless it is
    behind `latest`. `warn` hears of a fault once while it lasts. All in seconds.
    """

    def __init__(
        self, latest: float, clock: Callable[[], float], passed: Callable[[], float], warn: Callable[[str], None]
    ) -> None:
        self._latest, self._clock, self._passed, self._warn = latest, clock, passed, warn
        self._taken: tuple[float, float] | None = None
        self.fault: ClockFault | None = None
        """What is wrong with the last reading."""

    def now(self) -> float:
        """Seconds since 1970.

        Raises:
            ClockFault: the clock cannot be gone by.
        """
        now, passed = self._clock(), self._passed()
        fault = self._wrong(now, passed)
        if fault is not None:
            if self.fault is None or self.fault.way != fault.way:
                self._warn(str(fault))
            self.fault = fault
            raise fault
        self._latest, self._taken, self.fault = max(self._latest, now), (now, passed), None
        return now

    def _wrong(self, now: float, passed: float) -> ClockFault | None:
        if now < self._latest - _STEP:
            said, wait = f"the clock says {_shown(now)}, and", self._latest - _STEP - now
            if self._taken is None:
                fix = "set the clock if it is wrong; if it is right, that was written by one that was ahead"
                return ClockFault("early", f"{said} the log's last line is of {_shown(self._latest)}; {fix}", wait)
            return ClockFault("behind", f"{said} it or the log said {_shown(self._latest)} before; set the clock", wait)
        if self._taken is None:
            return None
        due = self._taken[0] + passed - self._taken[1]
        if now <= due + _STEP:
            return None
        text = f"the clock says {_shown(now)}, and by the time that has passed it is {_shown(due)}"
        fix = "set the clock, or if it is right and was wrong before, restart this process"
        return ClockFault("ahead", f"{text}; {fix}")


def _shown(seconds: float) -> str:
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"
    except (OverflowError, ValueError, OSError):
        return f"{seconds:.0f} s after 1970"
