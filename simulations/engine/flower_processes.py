"""Processes that Flower starts for a run, and how all of them are ended.

`flower-superlink` starts others in sessions of their own, and those start Ray's; they end by themselves when what
started them is gone, but slowly, and not when they hang. So their process groups are noted while they are children,
and whatever is left of these groups after a while is killed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

import psutil


def groups_below(root: int) -> set[int]:
    """Process groups of the process `root` and of all that descends from it, without the group of this process."""
    try:
        leader = psutil.Process(root)
        family = [leader, *leader.children(recursive=True)]
    except psutil.NoSuchProcess:
        return set()
    return {group for process in family if (group := _group(process.pid))} - {os.getpgrp()}


def end_tree(root: subprocess.Popen[bytes], known: Iterable[int] = (), patience: float = 2.0) -> None:
    """End the process `root`, which leads its own session, and all that descends from it.

    `known` are groups that were below `root` earlier: when it has crashed, its children cannot be found any more.
    First `root` is told to terminate and the others have `patience` seconds to follow; then the rest is told to
    terminate, and after `patience` more seconds killed.
    """
    groups = groups_below(root.pid) | set(known)
    with suppress(ProcessLookupError):
        root.terminate()
    for stronger in (signal.SIGTERM, signal.SIGKILL):
        if _wait_empty(root, groups, patience):
            return
        groups |= groups_below(root.pid)
        for group in groups:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(group, stronger)
    _wait_empty(root, groups, patience)


@contextmanager
def terminable() -> Iterator[None]:
    """Let a SIGTERM unwind the stack as Ctrl-C does, so that what was started is ended. Main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def unwind(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, unwind)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Hold off Ctrl-C and SIGTERM for the seconds that ending everything takes. Main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _wait_empty(root: subprocess.Popen[bytes], groups: set[int], patience: float) -> bool:
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if root.poll() is not None and not members(groups):
            return True
        time.sleep(0.05)
    return False


def members(groups: set[int]) -> set[int]:
    """The processes of these groups that run; a zombie only waits to be reaped and is left out."""
    return {pid for pid in psutil.pids() if _group(pid) in groups and _runs(pid)}


def _group(pid: int) -> int | None:
    with suppress(ProcessLookupError, PermissionError):
        return os.getpgid(pid)
    return None


def _runs(pid: int) -> bool:
    with suppress(psutil.NoSuchProcess):
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    return False
