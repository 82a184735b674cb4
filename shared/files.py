"""Files that are whole: each is written under another name beside its place and gets its name in one step.

Whoever looks finds the old content or the new and never a part of one, also after a crash. What a crash leaves is a
draft, `.NAME.RANDOM.partial`, which nothing reads.
"""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

OWNER_ONLY = 0o600
"""The mode of keys, and of what is written of persons."""


@contextmanager
def replacing(path: Path, mode: int | None = None, durable: bool = True) -> Iterator[BinaryIO]:
    """A file to write into, which takes the place of `path` when the block ends without an error.

    Args:
        path: where it goes; what is there stays until then, and for good where the block or the disk fails.
        mode: its permissions, whatever the umask is; by default those that the umask leaves of 0666.
        durable: wait until content and name are on the disk, so that a power cut undoes neither.

    Raises:
        OSError: it cannot be written.
    """
    draft = _draft(path)
    try:
        with _opened(draft, mode, path) as file:
            yield file
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(draft, path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    if durable:
        _sync_folder(path.parent)


def write_whole(path: Path, content: bytes | str, mode: int | None = None, durable: bool = True) -> None:
    """Write bytes, or text as UTF-8, as `replacing` does."""
    with replacing(path, mode, durable) as file:
        file.write(content.encode("utf-8") if isinstance(content, str) else content)


def create(path: Path, content: bytes, mode: int = OWNER_ONLY) -> None:
    """Write a file that was not there, whole and durably; by default its owner's alone.

    Raises:
        FileExistsError: there is one, which stays as it is.
        OSError: it cannot be written.
    """
    draft = _draft(path)
    try:
        with _opened(draft, mode, path) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        name_once(draft, path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def appending(path: Path, durable: bool = True) -> BinaryIO:
    """A file to add to, which is made where there is none. A crash may leave only the first bytes of what is added.

    Args:
        path: the file.
        durable: wait until the name of a new one is on the disk; for what is added, whoever adds it waits.

    Raises:
        OSError: it cannot be written.
    """
    fresh = not path.exists()
    file = path.open("ab")
    if durable and fresh:
        _sync_folder(path.parent)
    return file


def name_once(draft: Path, path: Path) -> None:
    """Give a finished file of the same folder its name, durably, where nothing has that name.

    Raises:
        FileExistsError: something has; both stay as they are.
        OSError: the folder cannot be written.
    """
    os.link(draft, path)  # os.replace would put it in the place of a file that another process has just made
    os.unlink(draft)
    _sync_folder(path.parent)


def _draft(path: Path) -> Path:
    """Another name for each writer: two that share one would put a half of the other's in place."""
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}.partial")


def _opened(draft: Path, mode: int | None, path: Path) -> BinaryIO:
    """The draft of `path`, never open to others before it has its mode. An error names the file that was asked for."""
    try:
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666 if mode is None else OWNER_ONLY)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None
    file = os.fdopen(handle, "wb")
    if mode is not None:
        try:
            os.fchmod(handle, mode)
        except BaseException:
            file.close()
            raise
    return file


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems know no such order
            raise
    finally:
        os.close(handle)
