"""A platform's desk in memory, or on files, whose data, days and releases a test changes."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import Any, TypeVar

from small_release import TODAY, Pair, agreed, everybody

from sealscore.clients.platform_api.desk import ConsentDesk, DeskSources
from sealscore.shared.persons.records import Records
from sealscore.shared.plan.plan import Plan
from sealscore.shared.serving.release import Release, ReleaseError

T = TypeVar("T")


class Desk:
    """A desk and its worker. `records` and `today` may be changed; `version` says that the data may have."""

    def __init__(self, pair: Pair, **more: Any) -> None:
        self.pair, self.today, self.version, self.keys, self.reads, self.now = pair, TODAY, 0, 0, 0, 0.0
        everyone = agreed if pair.release.manifest.monitoring_code else everybody
        self.records: Callable[[], Records] = lambda: everyone(pair.platform)
        self.releases = {pair.release.hash: pair.release}
        self.worker = ThreadPoolExecutor(1)
        self.of = self.do(lambda: self._made(**more))
        self.of.look(self.worker)

    def _made(self, **more: Any) -> ConsentDesk:
        sources = DeskSources(
            release=self._release,
            records=self._read,
            state=lambda: self.version,
            keys_state=lambda: self.keys,
            peers=lambda cards, month: {
                name: self.pair.peer(date.fromisoformat(f"{month}-01"), name) for name in cards
            },
            today=lambda: self.today,
            clock=lambda: self.now,
        )
        return ConsentDesk(self.pair.identity(), self.pair.ledger, self.pair.store, sources, form="exact", **more)

    def _release(self, hash: str) -> Release:
        if hash not in self.releases:
            raise ReleaseError(f"{hash}: is not here")
        return self.releases[hash]

    def _read(self, plan: Plan) -> Records:
        self.reads += 1
        return self.records()

    def do(self, work: Callable[[], T]) -> T:
        """The worker's answer."""
        return self.worker.submit(work).result()

    def close(self) -> None:
        """End the worker, and close files."""
        self.do(self.pair.close)
        self.worker.shutdown()
