"""Lines of a log, on the error stream of a program: in words, or as one JSON object a line."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Literal

from sealscore.shared.text.terminal import lines, visible


def log_to_stderr(name: str, form: Literal["text", "json"] = "text") -> logging.Logger:
    """Have the logger of that name, and those below it, write to the error stream; returns it."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines() if form == "json" else _TextLines())
    log = logging.getLogger(name)
    log.handlers, log.propagate = [handler], False
    log.setLevel(logging.INFO)
    return log


class _TextLines(logging.Formatter):
    """A record in words; what it quotes of others can neither hide nor begin a line of its own."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802 - logging's name
        return _at(record)

    def format(self, record: logging.LogRecord) -> str:
        return lines(super().format(record))


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return json.dumps(
            {
                "at": _at(record),
                "level": record.levelname.lower(),
                "log": record.name,
                "text": visible(record.getMessage()),
            }
        )


def _at(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
