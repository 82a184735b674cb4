"""An ASGI application served by uvicorn within limits: of connections, heads, and the time that a caller takes.

A caller that is slow, silent or gone costs one place among the connections, for so many seconds at most, and holds up
nobody. SIGTERM and SIGINT end the service when all that it accepted is answered.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from sealscore.clients.http.binding import Binding, ReloadedTls, subject_of
from sealscore.clients.http.callers import SUBJECT
from sealscore.clients.http.problems import (
    HttpProblem,
    bad_request,
    busy,
    head_too_large,
    http_response,
    no_upgrade,
    not_found,
    slow,
)

# For requests that are half here when the service ends.
_LAST_SECONDS = 2.0

log = logging.getLogger("sealscore.http")


@dataclass(frozen=True)
class HttpLimits:
    """What a caller may take. Seconds: to send a request's head, to send its body, to read an answer or send the next
    request; `grace` is how long the end of the service waits for answers. `head` are bytes of a request's line and
    headers, `refused` bytes that are read and thrown away after a request was refused.
    """

    connections: int = 256
    head: int = 16_384
    head_seconds: float = 10.0
    body_seconds: float = 30.0
    idle_seconds: float = 30.0
    grace: float = 30.0
    refused: int = 16 * 2**20


class HttpServer(uvicorn.Server):
    """Serves an application at one place until SIGTERM or SIGINT, or `stop`.

    There is no lifespan: what the application needs is opened before, where an error can be raised, and closed after.

    `ready` is called once it listens, with the place as a caller names it.

    Raises:
        BindingError: nothing can listen there.
    """

    def __init__(
        self, app: Any, binding: Binding, limits: HttpLimits | None = None, ready: Callable[[str], None] = log.info
    ) -> None:
        self.limits = limits or HttpLimits()
        super().__init__(
            uvicorn.Config(
                app,
                http=_LimitedProtocol,
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="critical",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=int(self.limits.idle_seconds) + 1,
                timeout_graceful_shutdown=int(self.limits.grace),
            )
        )
        self._binding, self._ready = binding, ready
        self._tls = None if binding.tls is None else ReloadedTls(binding.tls, log.warning)
        self._watch: asyncio.Task[None] | None = None

    def serve_forever(self) -> None:
        """Serve until the end."""
        with self._binding.opened() as self._opened:
            self.run(sockets=[self._opened])

    def stop(self) -> None:
        """Take no more callers, and end when all that was accepted is answered."""
        self.should_exit = True

    async def startup(self, sockets: list[Any] | None = None) -> None:
        """Listen. Called by `run`."""
        loop = asyncio.get_running_loop()

        def protocol() -> asyncio.Protocol:
            return _LimitedProtocol(self.config, self.server_state, self.lifespan.state, loop, self.limits)

        tls: dict[str, Any] = {}
        if self._tls is not None:
            tls = {"ssl": self._tls.context, "ssl_handshake_timeout": self.limits.head_seconds}
            tls["ssl_shutdown_timeout"] = 2.0
        self.servers = [await loop.create_server(protocol, sock=one, **tls) for one in sockets or []]
        self._watch = loop.create_task(self._hang_up())
        self.started = True
        self._ready(self._binding.shown(self._opened))

    async def shutdown(self, sockets: list[Any] | None = None) -> None:
        """End. Called by `run`."""
        soon = asyncio.get_running_loop().time() + _LAST_SECONDS
        for connection in self.server_state.connections:
            if isinstance(connection, _LimitedProtocol):
                connection.end_by(soon)
        await super().shutdown(sockets)
        if self._watch is not None:
            self._watch.cancel()
        # What is left after the grace: callers that do not read their answers.
        for connection in list(self.server_state.connections):
            connection.transport.abort()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """End on a signal, with the exit code of whoever called; uvicorn would raise the signal again."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {one: signal.signal(one, lambda number, frame: self.stop()) for one in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for one, handler in before.items():
                signal.signal(one, handler)

    async def _hang_up(self) -> None:
        """End connections whose time is over. One task for all: a timer for each would cost more than a request."""
        loop = asyncio.get_running_loop()
        pause = min(1.0, self.limits.head_seconds / 4, self.limits.body_seconds / 4, self.limits.idle_seconds / 4)
        while True:
            await asyncio.sleep(pause)
            now = loop.time()
            for connection in list(self.server_state.connections):
                if isinstance(connection, _LimitedProtocol) and connection.deadline < now:
                    connection.time_is_over()


_NEVER = float("inf")


def _hidden_slash(url: bytes) -> bool:
    """Whether a path has a slash that is written as %2F: one reader of it, as a proxy that keeps callers from some
    paths, takes that for a letter of a name, and another for the path that it hides.
    """
    return b"%2f" in url.partition(b"?")[0].lower()


class _LimitedProtocol(HttpToolsProtocol):
    """A connection with a deadline, by which the caller must have gone on."""

    def __init__(
        self, config: Any, server_state: Any, app_state: Any, _loop: Any = None, limits: HttpLimits | None = None
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._limits = limits or HttpLimits()
        self.deadline = self.loop.time() + self._limits.head_seconds
        self._in_request = self._refused = False
        self._head = self._unread = self._thrown = 0
        self._subject: str | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if len(self.connections) > self._limits.connections:
            self._refuse(busy())
            return
        encrypted = transport.get_extra_info("ssl_object")
        if encrypted is not None:
            certificate = encrypted.getpeercert(binary_form=True)
            self._subject = None if certificate is None else subject_of(certificate)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            self._throw_away(len(data))
            return
        # The parser keeps a header that does not end, however long it is.
        if self._unread > self._limits.head:
            self._refuse(head_too_large(self._limits.head))
            return
        if not self._in_request or self._unread:
            self._unread += len(data)
        super().data_received(data)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_request, self._head, self._thrown = True, 0, 0
        self.deadline = self.loop.time() + self._limits.head_seconds
        if self._subject is not None:
            cast(dict[str, Any], self.scope)[SUBJECT] = self._subject

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        self._count(len(name) + len(value) + 4)

    def on_headers_complete(self) -> None:
        if self._refused:
            return
        if self.parser.should_upgrade():
            # The parser has no body of such a request, nor anything that comes after it.
            self._refuse(no_upgrade())
            return
        if _hidden_slash(self.url):
            self._refuse(not_found())
            return
        self._unread = 0
        super().on_headers_complete()
        self.deadline = self.loop.time() + self._limits.body_seconds

    def on_body(self, body: bytes) -> None:
        if self._refused:
            return
        super().on_body(body)
        if self.cycle.response_complete:
            self._throw_away(len(body))

    def on_message_complete(self) -> None:
        if self._refused:
            return
        self._in_request = False
        super().on_message_complete()
        answered = self.cycle.response_complete
        self.deadline = self.loop.time() + self._limits.idle_seconds if answered else _NEVER

    def on_response_complete(self) -> None:
        super().on_response_complete()
        # Also after a refusal: the rest of its body is thrown away for so long.
        waiting = self.cycle is not None and not self.cycle.response_complete
        self.deadline = _NEVER if waiting else self.loop.time() + self._limits.idle_seconds

    def send_400_response(self, msg: str) -> None:
        self._refuse(bad_request())

    def end_by(self, deadline: float) -> None:
        """Wait no longer than this for the rest of a request, if one has begun."""
        if self._in_request:
            self.deadline = min(self.deadline, deadline)

    def time_is_over(self) -> None:
        """Hang up: with a word where the caller waits for an answer."""
        if self._refused or self.transport.is_closing():
            self.transport.abort()
            return
        started = self.cycle is not None and self.cycle.response_started
        if self._in_request and not started:
            self._refuse(slow())
        else:
            self.transport.abort()

    def _count(self, size: int) -> None:
        self._head += size
        if self._head > self._limits.head:
            self._refuse(head_too_large(self._limits.head))

    def _throw_away(self, size: int) -> None:
        self._thrown += size
        if self._thrown > self._limits.refused:
            self.transport.abort()

    def _refuse(self, problem: HttpProblem) -> None:
        if self._refused:
            return
        self._refused = True
        self.deadline = self.loop.time() + 2.0
        if self.cycle is not None and not self.cycle.response_complete:
            # Whoever works on it is told that the caller is gone.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.write(http_response(problem))
        if (self._in_request or self._unread) and self.transport.can_write_eof():
            # Hanging up on bytes that nobody read would take the answer back from whoever is still sending them.
            self.transport.write_eof()
        else:
            self.transport.close()
