"""SQLite files of serving: made of mode 0600, durable, and written in whole transactions or not at all."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sealscore.shared.files import OWNER_ONLY, create

ROOM = "see that the disk has room and the file is writable"


def open_durable(path: Path | None, schema: str, *pragmas: str, mode: int = OWNER_ONLY) -> sqlite3.Connection:
    """The file, made where there is none with that mode, or memory; `pragmas` come before the schema.

    Raises:
        OSError, sqlite3.Error: it cannot be used.
    """
    if path is not None:
        with suppress(FileExistsError):
            create(path, b"", mode)
    database = sqlite3.connect(path or ":memory:", timeout=60, isolation_level=None)
    for pragma in (*pragmas, "journal_mode=WAL", "synchronous=FULL"):
        database.execute(f"PRAGMA {pragma}")
    database.executescript(schema)
    return database


@contextmanager
def whole(database: sqlite3.Connection) -> Iterator[None]:
    """A transaction that is on the disk when the block ends well, and undone when it does not.

    Raises:
        sqlite3.Error: it cannot be written; nothing of it was.
    """
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise
