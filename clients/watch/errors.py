"""What cannot be watched."""

from __future__ import annotations


class WatchError(ValueError):
    """Why nothing was measured or kept; `code` names the kind of fault, the message has the fix."""

    def __init__(self, code: str, what: str) -> None:
        super().__init__(f"{what} ({code})")
        self.code = code
