"""A disk that has no room."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch


@contextmanager
def no_room_for(name: str) -> Iterator[None]:
    """While it lasts no file of that name is put in place, by whatever thread."""
    replace = os.replace

    def full(source: Path, target: Path) -> None:
        if target.name == name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(source, target)

    with patch.object(os, "replace", full):
        yield
