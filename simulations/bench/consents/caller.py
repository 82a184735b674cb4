"""A back end in a process of its own, so that its CPU is not the service's: `python caller.py SOCKET`.

It reads its token, and then one JSON pair a line, [path, body], posts them one after the other over one connection, and
prints the seconds that each took, as one JSON list.
"""

from __future__ import annotations

import json
import socket
import sys
import time
from http.client import HTTPConnection


class _UnixConnection(HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("node")
        self._path = path

    def connect(self) -> None:
        """Open the socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)


def main(path: str) -> None:
    """See the module.

    Raises:
        RuntimeError: something was refused.
    """
    token = sys.stdin.readline().strip()
    asked = [json.loads(line) for line in sys.stdin]
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    connection, took = _UnixConnection(path), []
    for where, body in asked:
        data = json.dumps(body)
        before = time.perf_counter()
        connection.request("POST", where, data, headers)
        answer = connection.getresponse()
        answer.read()
        took.append(time.perf_counter() - before)
        if answer.status != 200:
            raise RuntimeError(f"{where} was refused: {answer.status}")
    print(json.dumps(took))


if __name__ == "__main__":
    main(sys.argv[1])
