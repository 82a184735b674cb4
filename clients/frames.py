"""Frames on a local stream socket: one byte of kind, four bytes of length (big-endian), the body.

The courier and the node's daemon speak these frames and nothing else. Standard library only, because the courier
is imported anew for each message of a deployment.
"""

from __future__ import annotations

import socket
import struct
import time

ASK, NAME = b"A", b"N"  # courier to node: answer these bytes; tell your party's name
REPLY, ERROR = b"R", b"E"  # node to courier: the bytes asked for; a public code, never a text
# With what Flower puts around it, it fits into the least limit of the server's partner port (16 MiB): an answer above
# the limit is a coded error of this node's, and not a message that the port turns away again and again.
MAX_BODY = 15 * 1024 * 1024

_HEAD = struct.Struct(">cI")


class FrameError(ConnectionError):
    """The other end sent no whole frame: it hung up, or sent a kind that is not spoken here."""


class OversizeError(FrameError):
    """The other end announced a body above the limit; nothing of it was read."""


def send_frame(connection: socket.socket, kind: bytes, body: bytes, deadline: float) -> None:
    """Send one frame; `deadline` is on the clock of `time.monotonic`.

    Raises TimeoutError when the other end does not take it in time, OSError when it is gone.
    """
    connection.settimeout(_left(deadline))
    connection.sendall(_HEAD.pack(kind, len(body)) + body)


def read_frame(
    connection: socket.socket, kinds: tuple[bytes, ...], deadline: float, limit: int = MAX_BODY
) -> tuple[bytes, bytes]:
    """Read one frame and return (kind, body). A body above `limit` bytes is refused before it is read.

    Raises FrameError, OversizeError, TimeoutError (also when the bytes only trickle) or OSError.
    """
    kind, size = _HEAD.unpack(_read(connection, _HEAD.size, deadline))
    if kind not in kinds:
        raise FrameError(f"a frame of kind {kind!r}, where {kinds} are spoken")
    if size > limit:
        raise OversizeError(f"a frame of {size} bytes, above the limit of {limit}")
    return kind, bytes(_read(connection, size, deadline))


def _read(connection: socket.socket, size: int, deadline: float) -> bytearray:
    body = bytearray(size)
    view, filled = memoryview(body), 0
    while filled < size:
        connection.settimeout(_left(deadline))
        count = connection.recv_into(view[filled:])
        if count == 0:
            raise FrameError(f"the other end hung up after {filled} of {size} bytes")
        filled += count
    return body


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("the deadline of a frame has passed")
    return left
