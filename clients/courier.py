"""How the courier reaches its node: in the same process, or over a Unix socket.

The courier is the server's code on the partner's machine. It has no data and no key; all it can do is hand bytes
to the node and carry bytes back. This module is shipped with it, so it uses the standard library only.
"""

from __future__ import annotations

import os
import re
import socket
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol
from uuid import uuid4

from .frames import ASK, ERROR, MAX_BODY, NAME, REPLY, OversizeError, read_frame, send_frame

CODES = frozenset({"unavailable", "timeout", "too-large"})
_PARTY = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_LONGEST_PATH = 103  # sun_path holds 104 bytes with its end mark on macOS, 108 on Linux

_local: dict[str, Responder] = {}


class Responder(Protocol):
    """A party's node as the courier sees it: a name, and an answer of bytes to a request of bytes."""

    @property
    def name(self) -> str: ...

    def answer(self, request: bytes) -> bytes: ...


class NodeError(Exception):
    """The node gave no answer. `code` is one of CODES and is all that may leave the partner's machine."""

    def __init__(self, code: str) -> None:
        self.code = code if code in CODES else "unavailable"
        super().__init__(self.code)


class SocketNode:
    """A node behind a Unix socket; `timeout` in seconds bounds each call."""

    def __init__(self, path: str | Path, timeout: float) -> None:
        self.path = Path(path)
        self.timeout = timeout

    @property
    def name(self) -> str:
        return call(self.path, b"", self.timeout, NAME).decode("utf-8")

    def answer(self, request: bytes) -> bytes:
        return call(self.path, request, self.timeout)


def call(path: str | Path, request: bytes, timeout: float, kind: bytes = ASK) -> bytes:
    """Send one request to the node that listens at `path` and return its answer.

    Raises NodeError: "unavailable" (nobody listens, or the node gave none), "timeout", "too-large".
    """
    if len(request) > MAX_BODY:
        raise NodeError("too-large")
    deadline = time.monotonic() + timeout
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout)
            connection.connect(os.fspath(path))
            send_frame(connection, kind, request, deadline)
            got, body = read_frame(connection, (REPLY, ERROR), deadline)
    except OversizeError as error:
        raise NodeError("too-large") from error
    except TimeoutError as error:
        raise NodeError("timeout") from error
    except OSError as error:
        raise NodeError("unavailable") from error
    if got == ERROR:
        raise NodeError(body.decode("ascii", "replace"))
    return body


def socket_path(directory: str | Path, party: str) -> Path:
    """The socket of a party in a directory of sockets.

    Raises ValueError for a name that is no party name, or a path longer than a socket address holds.
    """
    if not _PARTY.fullmatch(party):
        raise ValueError(f"party {party!r}: a name is 1 to 63 of a-z, 0-9, '.', '_', '-', a letter or digit first")
    path = Path(directory) / f"{party}.sock"
    if len(os.fsencode(path)) > _LONGEST_PATH:
        raise ValueError(
            f"socket path {path}: {len(os.fsencode(path))} bytes, where {_LONGEST_PATH} are allowed; "
            "give a shorter directory"
        )
    return path


@contextmanager
def in_process(responders: Mapping[str, Responder]) -> Iterator[dict[str, str]]:
    """Make nodes of this process findable; yields party to token, to be put into the node's configuration."""
    tokens = {party: uuid4().hex for party in responders}
    _local.update({tokens[party]: responder for party, responder in responders.items()})
    try:
        yield tokens
    finally:
        for token in tokens.values():
            _local.pop(token, None)


def find(node_config: Mapping[str, object], run_config: Mapping[str, object], timeout: float) -> Responder:
    """The node of this courier.

    The node's own configuration comes first: `node-local` (a token of `in_process`) or `node-socket` (a path).
    Flower's simulation engine configures nothing but a `partition-id`; there the run's configuration names a
    directory of sockets (`node-sockets`) and the parties (`parties`, joined by commas), which count in sorted order.
    Raises NodeError when none of these leads to a node.
    """
    if "node-local" in node_config:
        if (responder := _local.get(str(node_config["node-local"]))) is None:
            raise NodeError("unavailable")
        return responder
    if "node-socket" in node_config:
        return SocketNode(str(node_config["node-socket"]), timeout)
    try:
        parties = sorted(str(run_config["parties"]).split(","))
        party = parties[int(str(node_config["partition-id"]))]
        return SocketNode(socket_path(str(run_config["node-sockets"]), party), timeout)
    except (KeyError, IndexError, ValueError) as error:
        raise NodeError("unavailable") from error


def describe(error: BaseException) -> str:
    """An exception for a local log: its type and place, without its text, which may quote a record."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}"
