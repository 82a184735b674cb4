"""Where the node's Unix socket may lie: Flower passes its path on as one word, and the system takes 107 bytes of it."""

from __future__ import annotations

import re
from pathlib import Path

WORD = re.compile(r"[^\s'\"\\]+")
"""What can be passed to Flower as a value."""
_LONGEST = 107


def socket_fault(folder: Path, name: str) -> str | None:
    """Why the socket of the node `name` cannot be in that folder; None where it can."""
    path = str(folder / f"{name}.sock")
    if not WORD.fullmatch(path):
        return "has blanks, quotes or backslashes, which cannot be passed to Flower"
    if len(path.encode(errors="surrogateescape")) > _LONGEST:
        return f"is too long for a socket, whose path may have {_LONGEST} bytes with /{name}.sock"
    return None
