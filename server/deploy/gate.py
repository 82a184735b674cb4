"""The doors of the SuperLink: which paths a port serves, to whom, and how much may come in at once.

Flower serves everything on one port, its Control API without any authentication, and reads bodies of any length.
Each port gets a door of its own in front of the same application. What the door refuses never reaches Flower.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MEBIBYTE = 1024 * 1024
_DIGITS = 18  # of a length that is read as a number
STRANGERS = 64 * 1024  # bytes of a body that are taken of somebody who is not known: what has no payload has a few 100

# What a partner's node asks of the server. A node's key is checked by Flower in each of these.
FLEET = frozenset(
    f"/v1/fleet/{name}"
    for name in (
        "activate-node",
        "deactivate-node",
        "send-node-heartbeat",
        "register-node",
        "unregister-node",
        "pull-messages",
        "push-messages",
        "get-run",
        "get-fab",
        "push-object",
        "pull-object",
        "confirm-message-received",
    )
)
# What the operator's commands ask: behind the token.
CONTROL = frozenset(
    f"/v1/control/{name}"
    for name in (
        "start-run",
        "stop-run",
        "list-runs",
        "stream-logs",
        "list-nodes",
        "register-node",
        "unregister-node",
    )
)
# What the server's own executor and server app ask: Flower checks the executor's secret and the token of the task.
RUNTIME = frozenset(
    f"/v1/runtime/{name}"
    for name in (
        "acquire-task",
        "send-task-heartbeat",
        "pull-task-input",
        "push-task-output",
        "push-messages",
        "pull-messages",
        "push-object",
        "pull-object",
        "confirm-message-received",
        "push-logs",
        "get-nodes",
    )
)


class Gate:
    """One door: POST to one of `paths` with a body of at most `limit` bytes; 404, 405, 408, 413 otherwise.

    Paths in `guarded` need the bearer token whose SHA-256 is `token`; 401 otherwise, before the body is read. A
    caller has `patience` seconds to send its body whole. Where there is `enrolled`, which says whether headers (names
    in lower case) are those of somebody who is known, others have `haste` seconds and `STRANGERS` bytes; 401 beyond.
    It is asked in another thread, and only when so many bytes have come.
    """

    def __init__(
        self,
        app: App,
        paths: frozenset[str],
        limit: int,
        *,
        guarded: frozenset[str] = frozenset(),
        token: bytes | None = None,
        patience: float = 60.0,
        enrolled: Callable[[Headers], bool] | None = None,
        haste: float = 10.0,
    ) -> None:
        if guarded & paths and token is None:
            raise ValueError("guarded paths need a token")
        self._app = app
        self._paths = paths
        self._limit = limit
        self._guarded = guarded
        self._token = token
        self._patience = patience
        self._enrolled = enrolled
        self._haste = haste

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._request(scope, receive, send)
        else:  # a websocket: not accepted
            await send({"type": "websocket.close", "code": 1008})

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if path not in self._paths:
            return await _refuse(send, 404, "not served on this port")
        if scope["method"] != "POST":
            return await _refuse(send, 405, "POST only")
        headers = [(name.lower(), value) for name, value in scope["headers"]]
        if path in self._guarded and not self._knows(headers):
            return await _refuse(send, 401, "a token is needed")
        if _announced(headers) > self._limit:
            return await _refuse(send, 413, f"at most {self._limit} bytes are taken")
        try:
            body = await self._body(receive, headers)
        except TimeoutError:
            return await _refuse(send, 408, "the body did not come in time")
        except _TooLongError as error:
            return await _refuse(send, error.status, str(error))
        await self._app(scope, _replay(body, receive), send)

    def _knows(self, headers: Headers) -> bool:
        given = [value for name, value in headers if name == b"authorization"]
        if len(given) != 1 or self._token is None:
            return False
        scheme, _, token = given[0].partition(b" ")
        return scheme.lower() == b"bearer" and hmac.compare_digest(token_digest(token), self._token)

    async def _body(self, receive: Receive, headers: Headers) -> bytes:
        """The whole body; _TooLongError as soon as it is: a length that was announced is not to be trusted."""
        body, known = bytearray(), self._enrolled is None
        began = asyncio.get_running_loop().time()
        async with asyncio.timeout_at(began + (self._patience if known else self._haste)) as clock:
            while True:
                event = await receive()
                if event["type"] == "http.disconnect":
                    return bytes(body)
                body += event.get("body", b"")
                if len(body) > self._limit:
                    raise _TooLongError(413, f"at most {self._limit} bytes are taken")
                if not known and len(body) > STRANGERS:
                    known = self._enrolled is not None and await asyncio.to_thread(self._enrolled, headers)
                    if not known:
                        raise _TooLongError(401, "so many bytes are taken of enrolled nodes only")
                    clock.reschedule(began + self._patience)
                if not event.get("more_body", False):
                    return bytes(body)


class _TooLongError(ValueError):
    """A body that is not taken; `status` is the answer."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def token_digest(token: bytes) -> bytes:
    """SHA-256 of a token as it is kept and compared; blanks and line ends around it do not count."""
    return hashlib.sha256(token.strip()).digest()


def _announced(headers: Headers) -> int:
    for name, value in headers:
        if name == b"content-length" and value.isdigit():
            return int(value[:_DIGITS]) if len(value) <= _DIGITS else 10**_DIGITS
    return 0


def _replay(body: bytes, receive: Receive) -> Receive:
    """The body in one piece, then what else comes: a caller that hangs up during a long answer."""
    taken = False

    async def next_event() -> Event:
        nonlocal taken
        if not taken:
            taken = True
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return next_event


async def _refuse(send: Send, status: int, reason: str) -> None:
    body = json.dumps({"detail": reason}).encode("ascii")
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode("ascii")),
        (b"connection", b"close"),  # what is left of an unread body ends with the connection
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
