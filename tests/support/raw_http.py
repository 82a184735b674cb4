"""Bytes to a service as they are: a client would tidy up what is sent."""

from __future__ import annotations

import socket

_SECONDS = 60.0


def request(method: str, target: str, *headers: str, body: bytes = b"") -> bytes:
    """A request of HTTP/1.1 with a body of JSON, after which the service hangs up."""
    lines = [f"{method} {target} HTTP/1.1", "host: a", "content-type: application/json", "connection: close"]
    return "\r\n".join([*lines, f"content-length: {len(body)}", *headers]).encode("latin-1") + b"\r\n\r\n" + body


def rest(connection: socket.socket) -> bytes:
    """All that comes until the service hangs up."""
    found = b""
    try:
        while part := connection.recv(65536):
            found += part
    except ConnectionResetError:
        pass
    return found


def raw(port: int, data: bytes) -> bytes:
    """All that comes back for some bytes until the service hangs up."""
    with socket.create_connection(("127.0.0.1", port), timeout=_SECONDS) as connection:
        connection.sendall(data)
        return rest(connection)


def status_of(answer: bytes) -> int:
    """The status of the first answer."""
    return int(answer.split(maxsplit=2)[1])
