"""What a file is by its bytes, whatever its name says, and whether it stays the same while it is read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sealscore.clients.data.errors import DataError, Problem

AS_CSV = 'save it as "CSV UTF-8 (comma delimited)"'
UNPACK = "unpack it, and name the file that comes out"
AS_TABLE = "export the table from it as CSV or Parquet"
PARQUET_MARK = b"PAR1"
# The first bytes, the code, what the file is, the fix.
_KINDS = (
    (b"\x1f\x8b", "packed", "packed by gzip", UNPACK),
    (b"BZh", "packed", "packed by bzip2", UNPACK),
    (b"\xfd7zXZ", "packed", "packed by xz", UNPACK),
    (b"\x28\xb5\x2f\xfd", "packed", "packed by zstd", UNPACK),
    (b"PK\x03\x04", "workbook", "a workbook (.xlsx) or a zip archive", f"open it in the spreadsheet and {AS_CSV}"),
    (b"\xd0\xcf\x11\xe0", "workbook", "a workbook (.xls)", f"open it in the spreadsheet and {AS_CSV}"),
    (b"SQLite format 3\0", "other-kind", "an SQLite database", "name it by url = 'sqlite:///PATH', with its table"),
    (b"ARROW1", "other-kind", "an Arrow file", AS_TABLE),
    (b"ORC", "other-kind", "an ORC file", AS_TABLE),
    (b"Obj\x01", "other-kind", "an Avro file", AS_TABLE),
)


def refusal(path: Path, code: str, value: str, fix: str, lines: tuple[int, ...] = ()) -> DataError:
    """One problem of a file, with the lines where it is."""
    return DataError([Problem(path.name, value, fix, rows=lines, unit="line", code=code)])


def empty(path: Path) -> DataError:
    """A file without a header."""
    return refusal(path, "empty", "the file is empty", "export the table again, with its header and its rows")


def refuse_other_kinds(path: Path) -> None:
    """Refuse what is no file, is empty, or is by its first bytes something that no name makes a table of.

    Raises:
        DataError: it is; the message says what it is and how to export it.
    """
    if path.is_dir():
        fix = "write one file (in Spark coalesce(1), then name the part file), or put the parts together into one"
        raise refusal(path, "folder", "it is a folder, as Spark writes tables", fix)
    if not path.is_file():
        fix = "give the path of the table in the node's configuration"
        raise refusal(path, "absent", "there is no such file", fix)
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError as error:
        fix = "let the node's user read it"
        raise refusal(path, "absent", f"cannot be read: {error.strerror}", fix) from None
    if not head:
        raise empty(path)
    for mark, code, what, fix in _KINDS:
        if head.startswith(mark):
            raise refusal(path, code, f"the file is {what}, whatever its name says", fix)


@contextmanager
def unchanged(*paths: Path) -> Iterator[None]:
    """Refuse what was read of files that another program wrote, or put others in place of, in the meantime.

    Raises:
        DataError: size, time or place of one is another at the end than at the beginning.
    """
    before = [_state(path) for path in paths]
    try:
        yield
    finally:
        # Before whatever went wrong in between: it was read from a file that is half another.
        changed = [path for path, state in zip(paths, before, strict=True) if _state(path) != state]
        if changed:
            fix = "export it under another name, move it into place when it is whole, and read it again"
            value = "the file was changed while it was read"
            raise DataError([Problem(path.name, value, fix, code="changed") for path in changed]) from None


def _state(path: Path) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
