"""Code pinning: which app bundles a node's SuperNode may run.

Flower ships the client app from the server. The operator's approval of a plan puts the hash of the bundle that the
plan names on a list; everything else is refused, twice: by the SuperNode's launcher when a bundle arrives, before
anything of it is parsed, and by the executor's process that would run it, of the very bytes that it would unpack.
The list is read again each time, so approving a plan or taking it back needs no restart.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sealscore.shared.files import OWNER_ONLY, write_whole

ALLOWED, REFUSALS = "bundles.allowed", "bundles.refused"


@dataclass(frozen=True)
class BundleRefusal:
    """A bundle that was not run: when (seconds since 1970), why in words, in which run."""

    at: float
    reason: str
    run: int


def allow(folder: Path, bundles: Mapping[str, str]) -> Path:
    """Replace the list of allowed bundles: SHA-256 in hex to a word on it, such as the plan's name.

    Returns the path of the list.

    Raises:
        ValueError: a hash is none.
        OSError: it cannot be written. The old list stays then if it allows nothing more than the new one would;
            otherwise it is removed, and nothing may run: what was taken back must not run on for want of room.
    """
    for digest in bundles:
        if len(digest) != 64 or set(digest) - set("0123456789abcdef"):
            raise ValueError(f"bundle {digest!r}: a bundle's hash is 64 digits of 0-9 and a-f")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / ALLOWED
    try:
        lines = [f"{digest}  # {' '.join(word.split())}\n" for digest, word in sorted(bundles.items())]
        write_whole(path, "".join(lines), OWNER_ONLY)
    except OSError:
        if _listed(path) - bundles.keys():
            path.unlink(missing_ok=True)
        raise
    return path


def _listed(path: Path) -> set[str]:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return set()
    return {line.partition("#")[0].strip() for line in lines} - {""}


def refusals(folder: Path) -> list[BundleRefusal]:
    """What this node has refused to run, the last one last. A line that a full disk has cut off is passed by."""
    try:
        lines = (folder / REFUSALS).read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []
    return [refusal for line in lines if (refusal := _refusal(line)) is not None]


def _refusal(line: str) -> BundleRefusal | None:
    try:
        entry = json.loads(line)
        return BundleRefusal(float(entry["at"]), str(entry["reason"]), int(entry.get("run", 0)))
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return None
