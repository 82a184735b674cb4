"""Runs in processes of this machine, each with one thread."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path

from sealscore.simulations.sweep.config import Task
from sealscore.simulations.sweep.row import Done, carry_out

# Read by the libraries of a process when they are imported.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}
# Seconds. Polars has a wait go on after Ctrl-C, which Python would then see only when a run ends.
_TICK = 0.5
# Seconds that a run gets to clean up after itself.
CLEANING = 10


def in_processes(
    tasks: Sequence[Task], jobs: int, keep: Path | None = None, track: bool = False
) -> Generator[Done, None, None]:
    """Carry out tasks in `jobs` processes and give each run as it is done.

    A process that dies takes the runs under way with it: BrokenProcessPool. When the caller stops early, runs under
    way are ended and clean up after themselves.
    """
    context = multiprocessing.get_context("spawn")
    before = set(multiprocessing.active_children())
    with _one_thread(), ProcessPoolExecutor(jobs, mp_context=context, initializer=_prepare) as pool:
        waiting = iter(tasks)
        # No more runs are handed over than there are processes: one that was taken up cannot be taken back.
        under_way = {_start(pool, task, keep, track) for _, task in zip(range(jobs), waiting, strict=False)}
        try:
            while under_way:
                done, under_way = wait(under_way, _TICK, return_when=FIRST_COMPLETED)
                under_way |= {_start(pool, task, keep, track) for _, task in zip(done, waiting, strict=False)}
                for one in done:
                    yield one.result()
        except BaseException:
            for process in set(multiprocessing.active_children()) - before:
                process.terminate()
            raise


def _start(pool: ProcessPoolExecutor, task: Task, keep: Path | None, track: bool) -> Future[Done]:
    return pool.submit(_carry_out, task, None if keep is None else keep / task.id, track)


def _carry_out(task: Task, keep: Path | None, track: bool) -> Done:
    """Carry out a task; a process that was told to end does so once the run has cleaned up, and takes no other."""
    try:
        return carry_out(task, keep, track)
    except SystemExit as told:
        os._exit(int(told.code or 0))


@contextmanager
def _one_thread() -> Iterator[None]:
    """What processes that are started inherit."""
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ.update(ONE_THREAD)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _prepare() -> None:
    """Ctrl-C reaches every process of a terminal: only the first one decides; its word to end unwinds the stack."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end)
    threading.Thread(target=_follow, daemon=True).start()


def _follow() -> None:
    """End with the process that started this one, however that ended."""
    if (parent := multiprocessing.parent_process()) is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


def _end(number: int, frame: object) -> None:
    """A second word to end must not disturb the cleaning up; a first one that some library swallowed is said again."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, _end)
    signal.alarm(CLEANING)
    sys.exit(128 + signal.SIGTERM)
