"""Processes of this machine by their ids: what one has started, whether it runs, its end."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

import psutil


def family(pid: int) -> list[int]:
    """A process and all that it has started, and theirs; without those that were orphaned."""
    found = [pid]
    with suppress(psutil.NoSuchProcess):
        found += [one.pid for one in psutil.Process(pid).children(recursive=True)]
    return found


def alive(pid: int) -> bool:
    """Whether a process of that id runs (one that has ended and waits to be collected does not)."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def kill(pids: Iterable[int]) -> None:
    """kill -9 of each, in this order."""
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            psutil.Process(pid).kill()
