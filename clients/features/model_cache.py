"""Small fitted models on disk as plain arrays, so that a process start does not fit again.

No pickle: what is read back can hold numbers only. A file that is absent, of another version or spoilt is refit.
"""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sealscore.shared.caches import cache_folder
from sealscore.shared.files import OWNER_ONLY, replacing


def path(name: str) -> Path:
    """NAME.npz in the folder of the caches."""
    return cache_folder() / f"{name}.npz"


def read(name: str, key: str) -> dict[str, np.ndarray] | None:
    """The arrays stored under a name for this key (text); None if there are none, or they do not read."""
    try:
        with np.load(path(name), allow_pickle=False) as stored:
            if str(stored["key"]) != key:
                return None
            return {field: stored[field] for field in stored.files if field != "key"}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def write(name: str, key: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Store arrays; the file is replaced as a whole. A cache that cannot be written is no fault."""
    fields: dict[str, Any] = {"key": np.array(key), **arrays}
    with contextlib.suppress(OSError):
        path(name).parent.mkdir(parents=True, exist_ok=True)
        with replacing(path(name), OWNER_ONLY, durable=False) as file:
            np.savez(file, **fields)
