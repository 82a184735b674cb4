"""Decisions as they stand, and what waits for a person: read beside the scorer's thread."""

from __future__ import annotations

from typing import Any

from sealscore.clients.decision.policy.approved import NoPolicy
from sealscore.clients.decision.policy.model import DecisionPolicy
from sealscore.clients.decision.register import Register
from sealscore.clients.decision.reviews import aged
from sealscore.clients.decision.service import shown
from sealscore.clients.scoring.score_log import ScoreLog
from sealscore.clients.serve.live import LiveDecisions
from sealscore.clients.serve.reader import LogReader
from sealscore.clients.setup.serving_dir import today
from sealscore.shared.plan.errors import PlanError

MOST_ROWS = 200


class DecisionReader:
    """Reads decisions by the log of a scorer's folder. All of it raises HttpProblem where the log cannot be read."""

    def __init__(self, reader: LogReader) -> None:
        self._reader = reader
        self._live: LiveDecisions | None = None

    async def decision(self, id: str, reads_locked: bool) -> dict[str, Any]:
        """A decision and what became of it, see `shown`; HttpProblem where there is none."""

        def found(log: ScoreLog) -> dict[str, Any]:
            live = self._of(log)
            with log.reading():
                return shown(log, live.policies, id, today(), reads_locked)

        return await self._reader.read(found)

    async def waiting(self, queue: str | None) -> dict[str, Any]:
        """What waits, the most urgent first, at most `MOST_ROWS`; how many wait in all, and what persons decided."""

        def found(log: ScoreLog) -> dict[str, Any]:
            live = self._of(log)
            with log.reading():
                rows, counts = live.desk.waiting(queue, MOST_ROWS)
                queues = {name: {"waiting": all, "overdue": late} for name, (all, late) in _queued(log).items()}
            return {"waiting": [aged(row, today()) for row in rows], "queues": queues, **counts}

        return await self._reader.read(found)

    async def queued(self) -> dict[str, tuple[int, int]]:
        """How many wait in each queue, and how many of them are over their day."""

        def found(log: ScoreLog) -> dict[str, tuple[int, int]]:
            self._of(log)
            return _queued(log)

        return await self._reader.read(found)

    async def policy(self) -> DecisionPolicy | None:
        """The live policy; None where none is that can be read."""

        def found(log: ScoreLog) -> DecisionPolicy | None:
            try:
                return self._of(log).policies.live
            except (NoPolicy, PlanError):
                return None

        return await self._reader.read(found)

    def _of(self, log: ScoreLog) -> LiveDecisions:
        self._live = self._live or LiveDecisions(log)
        return self._live


def _queued(log: ScoreLog) -> dict[str, tuple[int, int]]:
    with log.reading() as view:
        return Register(view, log.keys).queued(str(today()))
