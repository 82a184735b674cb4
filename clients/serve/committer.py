"""The scorer's thread: takes what waits, scores it, commits all of it to the log at once, and only then answers.

One thread owns the log. While it waits for the disk, requests gather behind it, and the next commit is for all of them:
under load the disk is waited for once a group, not once an answer.
"""

from __future__ import annotations

import asyncio
import logging
import os
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec

from sealscore.clients.http.problems import HttpProblem, internal
from sealscore.clients.scoring.application import ApplicationError
from sealscore.clients.scoring.score_log import ScoreLog, ScoreLogError
from sealscore.clients.scoring.scorer import NoModel
from sealscore.clients.scoring.service import ScoreService
from sealscore.clients.serve.faults import no_model, not_logged, refused, stopping
from sealscore.clients.serve.live import LiveRelease, ServiceClock
from sealscore.clients.setup.serving_dir import ScorerDir

MOST_IN_GROUP = 64
# A line has some kilobytes: with less room than this the log is as good as full.
_LEAST_ROOM = 16 * 2**20

log = logging.getLogger("sealscore.scorer")


@dataclass(slots=True)
class ScoreQuestion:
    """What one request asks: applications, which are answered together or not at all, or with none whether the scorer
    is ready. Its `repr` shows nothing.
    """

    applications: list[Any] = field(repr=False)
    caller: str
    alone: bool
    answered: asyncio.Future[bytes | HttpProblem]
    result: bytes | HttpProblem = b""


class Committer:
    """Answers requests of one event loop. `groups` and `committed` count commits and the answers in them.

    `failed` says that the thread ended by a fault: nothing is answered any more, and `on_failure` was called.
    """

    def __init__(self, folder: ScorerDir, clock: Callable[[], float] = time.time) -> None:
        self._folder, self._time = folder, clock
        self._queue: queue.SimpleQueue[ScoreQuestion | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="scorer", daemon=True)
        self._opened: Future[None] = Future()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped = False
        self.groups = self.committed = self.waiting = 0
        self.live: LiveRelease | None = None
        self.failed = False
        self.on_failure: Callable[[], None] = lambda: None

    def start(self) -> None:
        """Open the log, and be ready to be asked.

        Raises:
            ScoreLogError, KeyFileError, NodeDirError: the log cannot be used.
        """
        self._thread.start()
        self._opened.result()

    def stop(self) -> None:
        """Answer what was asked, and close the log."""
        if not self._stopped:
            self._stopped = True
            self._queue.put(None)
        self._thread.join()

    async def ask(self, applications: list[Any], caller: str, alone: bool = False) -> bytes:
        """The answers, encoded, committed before: one object, or with `alone` an object of all in their own commit.

        Raises:
            HttpProblem: they cannot be answered; none of them was.
        """
        if self._stopped:
            raise stopping()
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        asked = ScoreQuestion(applications, caller, alone, self._loop.create_future())
        self.waiting += 1
        self._queue.put(asked)
        found = await asked.answered
        if isinstance(found, HttpProblem):
            raise found
        return found

    async def ready(self) -> None:
        """Return where an application could be answered now.

        Raises:
            HttpProblem: why it could not.
        """
        await self.ask([], "")

    def _run(self) -> None:
        try:
            scores = self._folder.log()
            last = scores.last_at
            logged = 0.0 if last is None else datetime.fromisoformat(last).replace(tzinfo=UTC).timestamp()
            self.live = LiveRelease(self._folder, scores, log.warning)
            worker = _Worker(self._folder, scores, self.live, ServiceClock(logged, self._time, warn=log.warning))
            try:
                self.live.service()
            except HttpProblem:
                log.info("no release is live yet; requests are refused until one is")
        except BaseException as error:
            self._opened.set_exception(error)
            return
        self._opened.set_result(None)
        group: list[ScoreQuestion] = []
        try:
            while group := self._gathered():
                count = worker.answer(group)
                self.groups, self.committed = self.groups + 1, self.committed + count
                self._on_loop(self._resolve, group)
        except BaseException as error:
            # Also what is no Exception, as a panic in a library of Rust: callers would wait for this thread for ever.
            log.critical("the scorer's thread failed: %s", type(error).__name__)
            self.failed = True
            self._on_loop(self._fail, group)
        finally:
            scores.close()

    def _gathered(self) -> list[ScoreQuestion]:
        """What waits, up to so many; nothing at the end."""
        first = self._queue.get()
        group: list[ScoreQuestion] = []
        while first is not None:
            group.append(first)
            if len(group) == MOST_IN_GROUP:
                break
            try:
                first = self._queue.get_nowait()
            except queue.Empty:
                break
        if first is None and group:
            self._queue.put(None)
        return group

    def _on_loop(self, call: Callable[[list[ScoreQuestion]], None], group: list[ScoreQuestion]) -> None:
        # On a loop that is closed nobody waits.
        with suppress(RuntimeError):
            if self._loop is not None:
                self._loop.call_soon_threadsafe(call, group)

    def _fail(self, group: list[ScoreQuestion]) -> None:
        """Refuse what waits and what comes. On the loop, where questions are put: none slips in behind it."""
        self._stopped = True
        for asked in group:
            asked.result = internal()
        while not self._queue.empty():
            if (late := self._queue.get_nowait()) is not None:
                late.result = stopping()
                group.append(late)
        self._resolve(group)
        self.on_failure()

    def _resolve(self, group: list[ScoreQuestion]) -> None:
        self.waiting -= len(group)
        for asked in group:
            if not asked.answered.done():
                asked.answered.set_result(asked.result)


class _Worker:
    """Answers groups, in the scorer's thread."""

    def __init__(self, folder: ScorerDir, scores: ScoreLog, live: LiveRelease, clock: ServiceClock) -> None:
        self._folder, self._scores, self._live, self._clock = folder, scores, live, clock

    def answer(self, group: list[ScoreQuestion]) -> int:
        """Give each its `result`, also where a fault of ours meets all of them; gives how many were committed."""
        try:
            return self._answer(group)
        except Exception as error:
            # Never the text of an error: it may quote a value.
            log.error("a group failed: %s", type(error).__name__)
            for asked in group:
                asked.result = asked.result or internal()
            return 0

    def _answer(self, group: list[ScoreQuestion]) -> int:
        try:
            today = self._clock.today()
            service = self._live.service()
        except HttpProblem as problem:
            for asked in group:
                asked.result = problem
            return 0
        together = [asked for asked in group if asked.applications and not asked.alone]
        count = 0
        try:
            count += self._commit(service, together, today)
        except Exception as error:
            # One of them meets a fault of ours: each by itself, so that it spoils no other's answer.
            log.error("a group failed (%s); its requests are tried one by one", type(error).__name__)
            for asked in together:
                count += self._by_itself(service, asked, today)
        for asked in group:
            if not asked.applications:
                asked.result = self._room()
            elif asked.alone:
                count += self._by_itself(service, asked, today)
        return count

    def _by_itself(self, service: ScoreService, asked: ScoreQuestion, today: Any) -> int:
        try:
            return self._commit(service, [asked], today)
        except Exception as error:
            log.error("a request failed: %s", type(error).__name__)
            asked.result = internal()
            return 0

    def _commit(self, service: ScoreService, group: list[ScoreQuestion], today: Any) -> int:
        """Answer these in one commit; what one of them asks is answered as a whole or refused as a whole."""
        opened = []
        for asked in group:
            try:
                opened.append((asked, service.open(asked.applications, today)))
            except ApplicationError as error:
                asked.result = refused(error)
        if not opened:
            return 0
        answers: list[tuple[ScoreQuestion, bytes]] = []
        try:
            with self._scores.commit() as batch:
                for asked, applications in opened:
                    try:
                        found = [service.answer(batch, one, asked.caller, today) for one in applications]
                    except (ApplicationError, NoModel) as error:
                        asked.result = refused(error) if isinstance(error, ApplicationError) else no_model(error)
                        if asked.alone:
                            raise _Undone from None
                        continue
                    answers.append((asked, msgspec.json.encode({"answers": found} if asked.alone else found[0])))
        except _Undone:
            return 0
        except ScoreLogError as error:
            log.error("%s", error)
            for asked, _ in opened:
                asked.result = not_logged(error)
            return 0
        for asked, answer in answers:
            asked.result = answer
        return sum(len(asked.applications) for asked, _ in answers)

    def _room(self) -> bytes | HttpProblem:
        try:
            found = os.statvfs(self._folder.log_file.parent)
            room = found.f_bavail * found.f_frsize
            with self._scores.commit():
                pass
        except (OSError, ScoreLogError) as error:
            log.error("%s", error)
            return not_logged(ScoreLogError(str(error)))
        return b"{}" if room >= _LEAST_ROOM else not_logged(ScoreLogError("no room"))


class _Undone(Exception):
    """Some of a batch was written, and none of it is to stay."""
