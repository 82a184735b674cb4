"""Code pinning: which app bundles a node's SuperNode may run.

Flower ships the client app from the server. The operator's approval of a plan puts the hash of the bundle that the
plan names on a list; everything else is refused, twice: by the SuperNode's launcher when a bundle arrives, before
anything of it is parsed, and by the executor's process that would run it, of the very bytes that it would unpack.
The list is read anew each time, so approving a plan or taking it back needs no restart.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ALLOWED, REFUSALS = "bundles.allowed", "bundles.refused"


@dataclass(frozen=True)
class Refusal:
    """A bundle that was not run: when (seconds since 1970), why in words, in which run."""

    at: float
    reason: str
    run: int


def allow(folder: Path, bundles: Mapping[str, str]) -> Path:
    """Replace the list of allowed bundles: SHA-256 in hex to a word on it, such as the plan's name.

    Raises ValueError for a hash that is none. Returns the path of the list.
    """
    for digest in bundles:
        if len(digest) != 64 or set(digest) - set("0123456789abcdef"):
            raise ValueError(f"bundle {digest!r}: a bundle's hash is 64 digits of 0-9 and a-f")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / ALLOWED
    draft = path.with_name(ALLOWED + ".new")
    draft.unlink(missing_ok=True)
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        for digest, word in sorted(bundles.items()):
            file.write(f"{digest}  # {' '.join(word.split())}\n")
    draft.replace(path)
    return path


def refusals(folder: Path) -> list[Refusal]:
    """What this node has refused to run, the last one last."""
    try:
        lines = (folder / REFUSALS).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    entries = [json.loads(line) for line in lines]
    return [Refusal(float(entry["at"]), str(entry["reason"]), int(entry.get("run", 0))) for entry in entries]
