"""A run's journal with what the run's record says of all its tries: since when, how long, and what moved."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sealscore.server.transport.journal import Journal
from sealscore.shared.phases.order import Phase

_SCHEMA = """
CREATE TABLE IF NOT EXISTS tries (number INTEGER PRIMARY KEY, content TEXT NOT NULL) STRICT;
"""


@dataclass(frozen=True)
class Whole:
    """A run over all its tries: its start (seconds since 1970), seconds at work, and the traffic of all of them."""

    started: float
    seconds: float
    traffic: dict[str, Any]
    tries: list[dict[str, Any]]


class RunJournal(Journal):
    """A `Journal` that also counts tries: the first, and each that continued the run.

    `traffic` gives what has moved in this try, as `Traffic.summary` does. What a killed try had done since its last
    round or payload is not counted. `told` hears of each payload that is kept.
    """

    def __init__(
        self, plan: str, run: str, path: Path | None = None, traffic: Callable[[], dict[str, Any]] | None = None
    ) -> None:
        super().__init__(plan, run, path)
        self.told: Callable[[], None] | None = None
        self._traffic, self._began = traffic, (time.time(), time.monotonic())
        self._database.executescript(_SCHEMA)
        self._write("INSERT INTO tries SELECT coalesce(max(number), 0) + 1, '{}' FROM tries")
        self._number = int(self._one("SELECT max(number) FROM tries")[0])
        self.mark()

    def mark(self) -> None:
        """Keep how far this try is."""
        content: dict[str, Any] = {"started": self._began[0], "seconds": time.monotonic() - self._began[1]}
        if self._traffic is not None:
            content["traffic"] = self._traffic()
        self._write("UPDATE tries SET content = ? WHERE number = ?", json.dumps(content), self._number)

    def carried(self, phase: str, lender: str, platform: str, attempt: int, step: int, body: bytes) -> None:
        """As `Journal.carried`."""
        super().carried(phase, lender, platform, attempt, step, body)
        self.mark()
        if self.told is not None:
            self.told()

    def payloads(self, phase: Phase) -> int:
        """How many payloads of a phase were carried, each counted once."""
        query = "SELECT count(*) FROM (SELECT DISTINCT lender, platform, step FROM steps WHERE phase = ?)"
        return int(self._one(query, phase.name)[0])

    def whole(self) -> Whole:
        """The run so far, over all tries."""
        self.mark()
        rows = self._database.execute("SELECT content FROM tries ORDER BY number").fetchall()
        tries = [json.loads(content) for (content,) in rows]
        return Whole(
            tries[0]["started"],
            sum(one["seconds"] for one in tries),
            _added([one["traffic"] for one in tries if "traffic" in one]),
            [{"started": one["started"], "seconds": one["seconds"]} for one in tries],
        )


def _added(traffics: list[dict[str, Any]]) -> dict[str, Any]:
    parties: dict[str, Counter[str]] = {}
    couriers: Counter[str] = Counter()
    for traffic in traffics:
        couriers.update(traffic["couriers"])
        for party, flow in traffic["parties"].items():
            parties.setdefault(party, Counter()).update(flow)
    return {"parties": {party: dict(flow) for party, flow in sorted(parties.items())}, "couriers": dict(couriers)}
