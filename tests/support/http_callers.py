"""Callers of a service over HTTP, many at once."""

from __future__ import annotations

import threading
from collections.abc import Callable

import httpx


class HttpCallers:
    """So many callers, each with a client of its own, who ask until they are stopped or the service is gone.

    `ask` sends one request of a caller: its client, its number, and how many it sent before. What it raises ends that
    caller, and stands in `wrong`.
    """

    def __init__(
        self, count: int, client: Callable[[], httpx.Client], ask: Callable[[httpx.Client, int, int], None]
    ) -> None:
        self.wrong: list[str] = []
        self._client, self._ask, self._stopped = client, ask, threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(count)]

    def begin(self) -> None:
        """Ask, in threads."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ask no more."""
        self._stopped.set()
        self.join()

    def join(self) -> None:
        """Wait until all have found that the service is gone."""
        for thread in self._threads:
            thread.join()

    def _run(self, number: int) -> None:
        turn = 0
        with self._client() as client:
            while not self._stopped.is_set():
                try:
                    self._ask(client, number, turn)
                except httpx.TransportError:
                    return
                except Exception as error:
                    self.wrong.append(repr(error))
                    return
                turn += 1
