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
from pathlib import Path
from typing import NamedTuple


class _Process(NamedTuple):
    pid: int
    parent: int
    group: int
    state: str


def groups_below(root: int) -> set[int]:
    """Process groups of the process `root` and of all that descends from it, without the group of this process."""
    processes = _processes()
    family = {root}
    while more := {process.pid for process in processes if process.parent in family} - family:
        family |= more
    return {process.group for process in processes if process.pid in family} - {os.getpgrp()}


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
        if root.poll() is not None and not any(process.group in groups for process in _processes()):
            return True
        time.sleep(0.05)
    return False


def _processes() -> list[_Process]:
    """All living processes of this machine that can be seen; a zombie only waits to be reaped and is left out."""
    everything = _from_proc() if Path("/proc/self/stat").exists() else _from_ps()
    return [process for process in everything if not process.state.startswith("Z")]


def _from_proc() -> list[_Process]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                state, parent, group = (entry / "stat").read_text("latin-1").rpartition(")")[2].split()[:3]
                found.append(_Process(int(entry.name), int(parent), int(group), state))
    return found


def _from_ps() -> list[_Process]:
    listing = subprocess.run(["ps", "-Ao", "pid=,ppid=,pgid=,stat="], capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in listing.splitlines()]
    return [_Process(int(pid), int(parent), int(group), state) for pid, parent, group, state in rows]
