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
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

import msgspec

from sealscore.clients.http.problems import HttpProblem, internal
from sealscore.clients.scoring.score_log import HeadNotKept, ScoreLog, ScoreLogError
from sealscore.clients.serve.faults import REFUSALS, not_logged, refusal, stopping, unconfirmed
from sealscore.clients.serve.live import LiveDecisions, LiveRelease, ServiceClock
from sealscore.clients.serve.work import Labels, Step, Work
from sealscore.clients.setup.serving_dir import ScorerDir

MOST_IN_GROUP = 64
# A line has some kilobytes: with less room than this the log is as good as full.
_LEAST_ROOM = 16 * 2**20

log = logging.getLogger("sealscore.scorer")


@dataclass(slots=True)
class ScoreQuestion:
    """What one request asks: work, or with none whether the scorer is ready. Its `repr` shows nothing."""

    work: Work | None = field(repr=False)
    answered: asyncio.Future[bytes | HttpProblem]
    result: bytes | HttpProblem = b""


class Committer:
    """Answers requests of one event loop. `groups` and `committed` count commits and the answers in them, `counts` new
    answers by what is told of them in metrics.

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
        self.counts: Counter[tuple[str, Labels]] = Counter()
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

    async def ask(self, work: Work | None) -> bytes:
        """The answer, encoded, committed before.

        Raises:
            HttpProblem: it cannot be answered; nothing of it was done, unless the code is `unconfirmed`.
        """
        if self._stopped:
            raise stopping()
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        asked = ScoreQuestion(work, self._loop.create_future())
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
        await self.ask(None)

    def _run(self) -> None:
        try:
            scores = self._folder.log()
            last = scores.last_at
            logged = 0.0 if last is None else datetime.fromisoformat(last).replace(tzinfo=UTC).timestamp()
            self.live = LiveRelease(self._folder, scores, log.warning)
            clock = ServiceClock(logged, self._time, warn=log.warning)
            worker = _Worker(self._folder, scores, self.live, clock, self.counts)
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

    def __init__(
        self,
        folder: ScorerDir,
        scores: ScoreLog,
        live: LiveRelease,
        clock: ServiceClock,
        counts: Counter[tuple[str, Labels]],
    ) -> None:
        self._folder, self._scores, self._live, self._clock, self._counts = folder, scores, live, clock, counts
        self._decisions = LiveDecisions(scores)

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
        except HttpProblem as problem:
            for asked in group:
                asked.result = problem
            return 0
        together = [asked for asked in group if asked.work is not None and not asked.work.alone]
        count = 0
        try:
            count += self._commit(together, today)
        except Exception as error:
            # One of them meets a fault of ours: each by itself, so that it spoils no other's answer.
            log.error("a group failed (%s); its requests are tried one by one", type(error).__name__)
            for asked in together:
                count += self._by_itself(asked, today)
        for asked in group:
            if asked.work is None:
                asked.result = self._ready()
            elif asked.work.alone:
                count += self._by_itself(asked, today)
        return count

    def _by_itself(self, asked: ScoreQuestion, today: date) -> int:
        try:
            return self._commit([asked], today)
        except Exception as error:
            log.error("a request failed: %s", type(error).__name__)
            asked.result = internal()
            return 0

    def _commit(self, group: list[ScoreQuestion], today: date) -> int:
        """Answer these in one commit; what one of them asks is done as a whole or refused as a whole."""
        begun: list[tuple[ScoreQuestion, Work, Step]] = []
        for asked in group:
            if asked.work is not None:
                try:
                    begun.append((asked, asked.work, asked.work.begin(self._live, self._decisions, today)))
                except REFUSALS as error:
                    asked.result = refusal(error)
        if not begun:
            return 0
        answers: list[tuple[ScoreQuestion, Work, bytes]] = []
        counted = Counter[tuple[str, Labels]]()
        try:
            with self._scores.commit() as batch:
                for asked, work, step in begun:
                    before = batch.last
                    try:
                        with batch.apart() if work.apart else nullcontext():
                            found = step(batch)
                    except REFUSALS as error:
                        asked.result = refusal(error)
                        continue
                    answers.append((asked, work, msgspec.json.encode(found)))
                    # What was answered before is no news.
                    if work.counted is not None and batch.last != before:
                        counted[work.counted(found)] += 1
        except HeadNotKept as error:
            log.error("%s", error)
            for asked, _, _ in answers:
                asked.result = unconfirmed()
        except ScoreLogError as error:
            log.error("%s", error)
            for asked, _, _ in begun:
                asked.result = not_logged(error)
            return 0
        else:
            for asked, _, answer in answers:
                asked.result = answer
        self._counts.update(counted)
        return sum(work.answers for _, work, _ in answers)

    def _ready(self) -> bytes | HttpProblem:
        try:
            self._live.service()
        except HttpProblem as problem:
            return problem
        return self._room()

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
