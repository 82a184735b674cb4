"""What is only read of the log: by a thread and a connection of its own that delay no score."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sealscore.clients.scoring.score_log import ScoreLog, ScoreLogError
from sealscore.clients.serve.faults import REFUSALS, not_logged, refusal
from sealscore.clients.setup.serving_dir import ScorerDir

T = TypeVar("T")


class LogReader:
    """The log of a scorer's folder, opened when it is first asked for."""

    def __init__(self, folder: ScorerDir) -> None:
        self._folder = folder
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="reader")
        self._log: ScoreLog | None = None

    async def read(self, what: Callable[[ScoreLog], T]) -> T:
        """What a function finds in the log, in the thread.

        Raises:
            HttpProblem: the log cannot be read, or why there is no answer.
        """
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._read, what)

    def stop(self) -> None:
        """Finish, and close the log."""
        self._thread.submit(self._close).result()
        self._thread.shutdown()

    def _read(self, what: Callable[[ScoreLog], T]) -> T:
        try:
            self._log = self._log or self._folder.log()
            return what(self._log)
        except ScoreLogError as error:
            raise not_logged(error) from None
        except REFUSALS as error:
            raise refusal(error) from None

    def _close(self) -> None:
        if self._log is not None:
            self._log.close()
            self._log = None
