"""Why the server does not answer a SuperNode that runs. Flower's SuperNode tries again without a word, for ever.

A thread looks when the server answered last. While that is long ago it asks the server itself, as before a start; and
now and then in any case, for a clock that is off does no harm until a message is refused for it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

from sealscore.clients.deploy.connection import Trouble

LOOK = 1.0  # seconds between two looks at when the server answered
ASK, CLOCK = 15.0, 600.0  # seconds between two questions: while it does not answer, and while it does


class ServerWatch:
    """Watches one SuperNode's connection; `trouble` is what is in the way now.

    `silent` gives since when (seconds since 1970) the server has not answered a SuperNode that runs, and None while it
    answers, or none runs. `ask` asks the server. `notice` hears once of each trouble, and of its end.
    """

    def __init__(
        self,
        silent: Callable[[], float | None],
        ask: Callable[[], Trouble | None],
        notice: Callable[[str], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.trouble: Trouble | None = None
        self._silent, self._ask, self._notice, self._clock = silent, ask, notice, clock
        self._asked = clock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to watch; returns at once."""
        self._stopping.clear()
        self._thread = threading.Thread(target=self._watch, name="watch-server", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Watch no more. A question that is under way is not waited for."""
        self._stopping.set()

    def look(self) -> None:
        """Look once, and ask the server where it is time for it."""
        since, now = self._silent(), self._clock()
        away = self.trouble is not None and self.trouble.code != "clock"
        if since is None and away:
            self._set(None)
        if now - self._asked < (CLOCK if since is None and self.trouble is None else ASK):
            return
        self._asked = now
        found = self._ask()
        if since is None:
            self._set(found if found is not None and found.code == "clock" else None)
        elif self._silent() is not None:
            self._set(_silence(since, found))

    def _watch(self) -> None:
        while not self._stopping.wait(LOOK):
            with suppress(Exception):  # whatever it is, it is looked at again
                self.look()

    def _set(self, trouble: Trouble | None) -> None:
        before, self.trouble = self.trouble, trouble
        if self._notice is None or (before and before.code) == (trouble and trouble.code):
            return
        self._notice(str(trouble) if trouble is not None else "the server answers again")


def _silence(since: float, found: Trouble | None) -> Trouble:
    day = f"{datetime.fromtimestamp(since, UTC):%Y-%m-%d %H:%M:%S} UTC"
    if found is None:
        words = "it answers others that ask with this node's key; see supernode/logs/supernode.log"
        return Trouble("silent", f"the server has not answered the SuperNode since {day}: {words}")
    return replace(found, text=f"the server has not answered since {day}: {found.text}")
