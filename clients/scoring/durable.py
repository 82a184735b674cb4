"""Files of serving: made of mode 0600, durable, and written whole or not at all."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from sealscore.shared.files import OWNER_ONLY, create

ROOM = "see that the disk has room and the file is writable"
_WAIT = 60.0  # seconds for another process's transaction
_SLOT = 512
_SEQ, _HEAD, _CHECK = 8, 32, 16


class KeptHead(NamedTuple):
    """The number and the head of the last line of a chain."""

    seq: int
    head: bytes


class HeadFile:
    """The last head of a chain, in a file beside that of the chain: who puts back the chain alone is found out.

    A head is kept after its line, so a crash leaves one that the chain has. There are two places, each of less than a
    sector, and the older one is written: a torn write leaves the other.
    """

    def __init__(self, path: Path, mode: int = OWNER_ONLY) -> None:
        self.path, self._mode = path, mode

    def keep(self, seq: int, head: bytes) -> None:
        """Keep the head of a line, on the disk when this returns; one that is not later than what is kept is not.

        Raises:
            OSError: it cannot be written.
        """
        kept = self._slots()
        if any(one is not None and one.seq >= seq for one in kept):
            return
        older = min(range(2), key=lambda place: found.seq if (found := kept[place]) else 0)
        body = seq.to_bytes(_SEQ, "big") + head
        if not self.path.exists():
            with suppress(FileExistsError):
                create(self.path, bytes(2 * _SLOT), self._mode)
        file = os.open(self.path, os.O_WRONLY)
        try:
            os.pwrite(file, body + _check(body), older * _SLOT)
            os.fsync(file)
        finally:
            os.close(file)

    def read(self) -> KeptHead | None:
        """What was kept last; None where nothing was.

        Raises:
            OSError: it cannot be read.
        """
        return max(filter(None, self._slots()), default=None)

    def _slots(self) -> list[KeptHead | None]:
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return [None, None]
        return [_slot(content[place * _SLOT :]) for place in range(2)]


def _slot(content: bytes) -> KeptHead | None:
    body, check = content[: _SEQ + _HEAD], content[_SEQ + _HEAD :][:_CHECK]
    return KeptHead(int.from_bytes(body[:_SEQ], "big"), body[_SEQ:]) if check and check == _check(body) else None


def _check(body: bytes) -> bytes:
    return hashlib.sha256(body).digest()[:_CHECK]


def open_durable(path: Path | None, schema: str, *pragmas: str, mode: int = OWNER_ONLY) -> sqlite3.Connection:
    """The file, made where there is none with that mode, or memory; `pragmas` come before the schema.

    Raises:
        OSError, sqlite3.Error: it cannot be used.
    """
    if path is not None:
        with suppress(FileExistsError):
            create(path, b"", mode)
    database = sqlite3.connect(path or ":memory:", timeout=_WAIT, isolation_level=None)
    for pragma in (*pragmas, "journal_mode=WAL", "synchronous=FULL"):
        database.execute(f"PRAGMA {pragma}")
    database.executescript(schema)
    return database


def emptied(database: sqlite3.Connection, patience: float) -> bool:
    """Bring all pages that wait beside the file into it, and cut what they lay in; False where a reader is in the way
    for `patience` seconds, during which nobody writes.

    Raises:
        sqlite3.Error: the file cannot be written.
    """
    database.execute(f"PRAGMA busy_timeout = {int(1000 * patience)}")
    try:
        # That it is busy is a row, and no error.
        ((busy, *_),) = database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    finally:
        database.execute(f"PRAGMA busy_timeout = {int(1000 * _WAIT)}")
    return not busy


@contextmanager
def whole(database: sqlite3.Connection, write: bool = True) -> Iterator[None]:
    """A transaction that is on the disk when the block ends well, and undone when it does not.

    One that does not write sees the file as it is at its first query, and holds off nobody.

    Raises:
        sqlite3.Error: it cannot be written; nothing of it was.
    """
    database.execute("BEGIN IMMEDIATE" if write else "BEGIN")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise
