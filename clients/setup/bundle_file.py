"""The app bundle as a file that an operator was given: its hash, and what is in it, looked at and never unpacked.

Flower carries the bundle from the server to every node and runs what is in it. A plan names its hash, which says
nothing to a reader; the file does, and its hash is computed here from the bytes that were given.
"""

from __future__ import annotations

import hashlib
import re
import zipfile
import zlib
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

# Flower takes no larger bundle, and the project's own has a tenth of it in some hundred files.
MOST_BYTES, MOST_FILES, MOST_UNPACKED = 10 * 2**20, 1000, 32 * 2**20

_CHUNK = 2**16
_PART = re.compile(r"[^/\\:\x00]+")
_ENCRYPTED = 0x1
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class BundleFileError(ValueError):
    """A file that is no app bundle to be trusted with a look; the message names the file, the fault and the fix."""


@dataclass(frozen=True)
class BundledFile:
    """One file of a bundle: its name in it, its size in bytes, the SHA-256 of its content in hexadecimal digits."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class BundleFile:
    """A bundle: the SHA-256 of its bytes, which is what a plan names, and its files in the order of their names."""

    sha256: str
    files: tuple[BundledFile, ...]

    @classmethod
    def read(cls, path: Path) -> BundleFile:
        """Read a bundle's file; nothing of it is written or run.

        Raises:
            BundleFileError: it cannot be read, is no archive that Flower would take, is larger than `MOST_BYTES`,
                or has entries of which nobody can say where they would lie, or which of two it would be.
        """
        try:
            with path.open("rb") as file:
                content = file.read(MOST_BYTES + 1)
        except OSError as error:
            raise _error(path, f"cannot be read ({error.strerror})") from None
        return cls.of(content, path)

    @classmethod
    def of(cls, content: bytes, path: Path = Path("this release's bundle")) -> BundleFile:
        """The bundle of these bytes, which `path` has; BundleFileError as for `read`."""
        if len(content) > MOST_BYTES:
            raise _error(path, f"has more than {MOST_BYTES:,} bytes, and no bundle has")
        try:
            with zipfile.ZipFile(BytesIO(content)) as archive:
                files = _files(path, archive)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError, OverflowError) as error:
            if isinstance(error, BundleFileError):
                raise
            raise _error(path, "is no app bundle, or a damaged one") from None
        return cls(hashlib.sha256(content).hexdigest(), tuple(sorted(files, key=lambda file: file.name)))


def _files(path: Path, archive: zipfile.ZipFile) -> list[BundledFile]:
    entries = archive.infolist()
    if not 0 < len(entries) <= MOST_FILES:
        raise _error(path, f"has {len(entries):,} files; a bundle has 1 to {MOST_FILES:,}")
    seen: set[str] = set()
    found, left = [], MOST_UNPACKED
    for entry in entries:
        # What `zipfile` makes of a name (it ends it at a zero byte, say) must be what the archive has.
        if entry.filename != entry.orig_filename or not _inside(entry.filename):
            raise _error(path, f"has an entry {entry.orig_filename[:200]!r}, which is no plain path inside of it")
        if entry.filename.lower() in seen:
            raise _error(path, f"has two entries {entry.filename[:200]!r}")
        if entry.flag_bits & _ENCRYPTED or entry.compress_type not in _METHODS:
            raise _error(path, f"has an entry {entry.filename[:200]!r} that cannot be looked into")
        seen.add(entry.filename.lower())
        digest, size = hashlib.sha256(), 0
        with archive.open(entry) as content:
            while chunk := content.read(_CHUNK):
                size += len(chunk)
                if size > left:
                    raise _error(path, f"unpacks to more than {MOST_UNPACKED:,} bytes, and no bundle does")
                digest.update(chunk)
        left -= size
        found.append(BundledFile(entry.filename, size, digest.hexdigest()))
    return found


def _inside(name: str) -> bool:
    """Whether it is a relative path of plain steps to a file."""
    return all(_PART.fullmatch(part) and part not in (".", "..") for part in name.split("/"))


def _error(path: Path, what: str) -> BundleFileError:
    return BundleFileError(f"{path}: {what}; ask the server's operator for the file (sealscore-server bundle)")
