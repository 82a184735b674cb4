"""Solved noise scales on disk, so that a process start does not solve again.

A value from here is a hint: whoever reads it composes it once more before use, so an edited or stale
file can cost time and never privacy.
"""

from __future__ import annotations

import contextlib
import json
import math
from pathlib import Path

from sealscore.shared.caches import cache_folder
from sealscore.shared.files import OWNER_ONLY, write_whole

_MOST = 1000


def path() -> Path:
    """noise.json in the folder of the caches."""
    return cache_folder() / "noise.json"


def _load() -> dict[str, float]:
    try:
        stored = json.loads(path().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(stored, dict):
        return {}
    return {
        name: float(value)
        for name, value in stored.items()
        if isinstance(value, int | float) and math.isfinite(value) and 1e-12 < value < 1e12
    }


def read(name: str) -> float | None:
    """The scale stored under `name`; None if there is none, or nothing readable."""
    return _load().get(name)


def write(name: str, scale: float) -> None:
    """Store a scale; the file is replaced as a whole. A cache that cannot be written is no fault."""
    entries = {other: value for other, value in _load().items() if other != name}
    kept = dict([*entries.items(), (name, scale)][-_MOST:])
    with contextlib.suppress(OSError):
        path().parent.mkdir(parents=True, exist_ok=True)
        write_whole(path(), json.dumps(kept, indent=0), OWNER_ONLY, durable=False)
