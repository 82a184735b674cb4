"""Callers of a service over plain sockets: cheap ones, that take little of the machine from whom they measure."""

from __future__ import annotations

import itertools
import json
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from sealscore.clients.decision.facts import LOAN_KEYS
from sealscore.simulations.bench.decide.made_up import invented_application

_TIMEOUT = 60.0


class Load:
    """Requests of applicants one after the other, each of an application of its own."""

    def __init__(self, features: Sequence[Mapping[str, Any]], purpose: str, token: str) -> None:
        self._features, self._purpose, self._token = features, purpose, token
        self._number, self._loans = itertools.count(), itertools.count()
        self._random = np.random.default_rng(3)

    def ours(self, path: str) -> bytes:
        """A request to the scorer."""
        return self._request(path, {"authorization": f"Bearer {self._token}"})

    def decided(self, path: str) -> bytes:
        """A request to the scorer for a decision under the policy of `bench decide`."""
        asked = invented_application(next(self._loans), self._random)
        own = {name: asked[name] for name in ("product", *LOAN_KEYS)}
        return self._request(path, {"authorization": f"Bearer {self._token}"}, own)

    def plain(self, path: str) -> bytes:
        """The same to the plain service."""
        return self._request(path, {})

    def _request(self, path: str, headers: Mapping[str, str], more: Mapping[str, Any] | None = None) -> bytes:
        number = next(self._number)
        body = {
            "application_id": f"a{number}",
            "as_of": str(datetime.now(UTC).date()),
            "person": f"p{number}",
            "product": "starter",
            "purpose": self._purpose,
            "features": self._features[number % len(self._features)],
            "tokens": [],
            **(more or {}),
        }
        content = json.dumps(body).encode()
        given = {"host": "127.0.0.1", "content-type": "application/json", "content-length": len(content), **headers}
        lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items())]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


def burst(
    port: int,
    requests: Sequence[bytes],
    callers: int,
    rate: float | None = None,
    keep: Callable[[bytes], object] | None = None,
) -> np.ndarray:
    """Send requests by so many callers at once, over one connection each: how long each took, seconds [n].

    A caller sends its next request when it has its answer or, with a `rate` (requests a second of all together), not
    before its turn. `keep` gets the body of each answer.

    Raises:
        OSError: nobody answers there, or with another status than 200.
    """
    taken: list[list[float]] = [[] for _ in range(callers)]
    failed: list[OSError] = []

    def caller(place: int) -> None:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT) as connection:
                for number, request in enumerate(requests[place::callers]):
                    if rate is not None:
                        time.sleep(max(0.0, began + (number * callers + place) / rate - time.perf_counter()))
                    before = time.perf_counter()
                    connection.sendall(request)
                    body = _answer(connection)
                    taken[place].append(time.perf_counter() - before)
                    if keep is not None:
                        keep(body)
        except OSError as error:
            failed.append(error)

    began = time.perf_counter()
    threads = [threading.Thread(target=caller, args=(place,)) for place in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
    return np.array(list(itertools.chain(*taken)))


def _answer(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        data += _some(connection)
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
    while len(body) < length:
        body += _some(connection)
    if not head.startswith(b"HTTP/1.1 200"):
        raise OSError(f"the service answered {head.partition(chr(13).encode())[0].decode()}")
    return body


def _some(connection: socket.socket) -> bytes:
    found = connection.recv(65536)
    if not found:
        raise OSError("the service hung up")
    return found
