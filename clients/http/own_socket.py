"""The file of a Unix socket: whoever ends takes away its own, and never that of the process that came after it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fcntl import LOCK_EX, flock
from pathlib import Path


@contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Be the only one who puts sockets into a folder or takes them away, until the block ends.

    Raises:
        OSError: the folder cannot be read.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        flock(handle, LOCK_EX)
        yield
    finally:
        os.close(handle)


class OwnSocket:
    """The file of a socket that this process has just bound.

    Raises:
        OSError: it is gone already.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        # While the file is held, no other one gets its inode number, also when it was taken away and ours is closed.
        self._held = os.open(path, os.O_PATH | os.O_NOFOLLOW) if sys.platform == "linux" else None
        self._mark = _mark(path)

    def remove(self) -> None:
        """Take it away, if it is still there and no other one is in its place."""
        with suppress(FileNotFoundError), one_at_a_time(self._path.parent):
            if _mark(self._path) == self._mark:
                self._path.unlink()
        if self._held is not None:
            os.close(self._held)
            self._held = None


def _mark(path: Path) -> tuple[int, int]:
    status = path.lstat()
    return (status.st_dev, status.st_ino)
