"""The node's status as it is read: a file that the running node writes each second, seen from another process."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

STALE = 15.0  # seconds after which a status is of a node that died


def read_status(path: Path) -> dict[str, Any] | None:
    """What the node wrote of itself; None where it wrote nothing that can be read.

    `state` is `died` where it says that it runs and has written nothing for `STALE` seconds. `connected` is false
    unless it runs.
    """
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="ascii"))
        died = found["state"] == "running" and time.time() - float(found["at"]) > STALE
    except (OSError, ValueError, TypeError, KeyError):
        return None
    if died:
        found["state"] = "died"
    # The last contact of a node that ran until a moment ago is no connection.
    found["connected"] = is_connected(found)
    return found


def is_connected(found: dict[str, Any]) -> bool:
    """Whether a status is of a node that runs and is connected."""
    return found.get("state") == "running" and bool(found.get("connected"))


def moment(seconds: float) -> str:
    """A moment in seconds since 1970 as operators read it, in UTC."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
