"""How many connections the partner port has, and how long one may say nothing: a stranger must not keep partners out.

A connection counts from the moment that it is taken, before TLS. One that sends no whole head of a request in time is
closed, whether it is silent, stays in TLS, or sends a byte now and then; for the body that follows, the door
(`sealscore.server.deploy.gate`) has its own clock.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections import Counter
from collections.abc import Callable
from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import Any

from uvicorn.protocols.http.auto import AutoHTTPProtocol

HASTE = 10.0  # seconds for TLS, and for the head of a request
MOST, MOST_OF_ONE = 256, 64  # connections at once: a node has two or three, and many may come from one address
_SAY_AGAIN = 60.0  # seconds between two notes on connections that were turned away

_log = logging.getLogger("uvicorn.error")


class Listener(socket.socket):
    """A listening socket with at most `most` connections at a time, `most_of_one` of them of one address.

    An IPv6 address counts as its network of 64 bits, of which a caller has all addresses. Further connections are
    closed as they come.
    """

    def __init__(self, listening: socket.socket, most: int = MOST, most_of_one: int = MOST_OF_ONE) -> None:
        super().__init__(listening.family, listening.type, listening.proto, fileno=listening.detach())
        self._most, self._most_of_one = most, most_of_one
        self._open: Counter[str] = Counter()
        self._said = -_SAY_AGAIN

    def accept(self) -> tuple[socket.socket, Any]:
        """The next connection; BlockingIOError where there is none, or where it was one too many."""
        accepted, address = super().accept()
        place = _place(address[0])
        if self._open.total() >= self._most or self._open[place] >= self._most_of_one:
            accepted.close()
            self._say(place)
            raise BlockingIOError("one connection too many")
        self._open[place] += 1

        def release() -> None:
            self._open[place] -= 1
            if not self._open[place]:
                del self._open[place]

        return _Accepted(accepted, release), address

    def _say(self, place: str) -> None:
        if time.monotonic() - self._said >= _SAY_AGAIN:
            self._said = time.monotonic()
            _log.warning("a connection of %s is turned away: %d of it, %d in all", place, self._open[place], self._most)


class _Accepted(socket.socket):
    """A connection that says when it is closed."""

    def __init__(self, accepted: socket.socket, release: Callable[[], None]) -> None:
        super().__init__(accepted.family, accepted.type, accepted.proto, fileno=accepted.detach())
        self._release: Callable[[], None] | None = release

    def close(self) -> None:
        super().close()
        release, self._release = self._release, None
        if release is not None:
            release()


def listen(host: str, port: int, most: int = MOST, most_of_one: int = MOST_OF_ONE) -> Listener:
    """Listen on an interface; OSError where the port is taken or the address is not this machine's."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    both = host == "::" and socket.has_dualstack_ipv6()
    return Listener(socket.create_server((host, port), family=family, dualstack_ipv6=both), most, most_of_one)


class HastyProtocol(AutoHTTPProtocol):  # type: ignore[misc, valid-type]
    """uvicorn's protocol that cuts off who has sent no whole head of a request within `haste` seconds.

    uvicorn itself waits for a first request for ever, and for a later one as long as any byte of it comes. It closes a
    connection that is silent after an answer (after 5 s by default, so before `haste` is over).
    """

    haste = HASTE

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        self._look: asyncio.TimerHandle | None = None
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._look is not None:
            self._look.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._wait()

    def _wait(self) -> None:
        if self._look is not None:
            self._look.cancel()
        self._look = self.loop.call_later(self.haste, self._cut_off, self.cycle)

    def _cut_off(self, last: Any) -> None:
        """End the connection, unless a head came after that of `last`, or the answer to that is still under way."""
        if self.cycle is not last or (last is not None and not last.response_complete):
            return
        if last is not None and self.transport.is_closing():  # what is left of the answer goes out on a slow line
            return
        self.transport.abort()


class HastyLoop(asyncio.SelectorEventLoop):
    """An event loop whose servers give a caller `haste` seconds for the handshake of TLS, not a minute."""

    haste = HASTE

    async def create_server(self, *arguments: Any, **named: Any) -> asyncio.Server:
        if named.get("ssl"):
            named.setdefault("ssl_handshake_timeout", self.haste)
        return await super().create_server(*arguments, **named)


def _place(host: str) -> str:
    address = ip_address(host.partition("%")[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:  # on a socket of both kinds
        return str(address.ipv4_mapped)
    return host if address.version == 4 else str(IPv6Network((address, 64), strict=False))
