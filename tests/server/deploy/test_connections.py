"""The partner port's connections, on a real port with TLS: nobody without credentials keeps the others out."""

from __future__ import annotations

import asyncio
import socket
import ssl
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from sealscore.server.deploy.certificates import AUTHORITY, CERTIFICATE, KEY, make_authority, make_server_certificate
from sealscore.server.deploy.connections import HastyLoop, HastyProtocol, Listener, _place, listen

HERE = "127.0.0.1"
MOST, MOST_OF_ONE, HASTE = 5, 3, 0.6
LONG = b"x" * 8_000_000


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Says ok; /slow takes longer than a caller may, /long is more than the kernel's buffers hold."""
    await receive()
    if scope["path"] == "/slow":
        await asyncio.sleep(2 * HASTE)
    body = LONG if scope["path"] == "/long" else b"ok"
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class Port:
    """A partner port that is open."""

    def __init__(self, number: int, authority: Path, stack: ExitStack) -> None:
        self.number = number
        self.trust = ssl.create_default_context(cafile=str(authority))
        self._stack = stack

    def connect(self, source: str = HERE) -> socket.socket:
        """A connection without TLS."""
        made = socket.create_connection((HERE, self.number), timeout=10, source_address=(source, 0))
        return self._stack.enter_context(made)

    def tls(self, source: str = HERE) -> ssl.SSLSocket:
        """A connection that has sent nothing yet."""
        return self._stack.enter_context(self.trust.wrap_socket(self.connect(source), server_hostname=HERE))

    def asked(self, source: str = HERE, path: str = "/") -> int:
        """The status of a call of its own."""
        transport = httpx.HTTPTransport(verify=self.trust, local_address=source)
        with httpx.Client(transport=transport, timeout=10) as client:
            return client.get(f"https://{HERE}:{self.number}{path}").status_code

    def turned_away(self, source: str = HERE) -> bool:
        try:
            self.asked(source)
        except httpx.TransportError:
            return True
        return False


class _Patient(HastyProtocol):
    haste = HASTE


class _Loop(HastyLoop):
    haste = HASTE


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    make_authority(folder)
    make_server_certificate(folder, [])
    return folder


@pytest.fixture
def listener() -> Iterator[Listener]:
    with listen(HERE, 0, MOST, MOST_OF_ONE) as found:
        yield found


@pytest.fixture
def port(certificates: Path, listener: Listener) -> Iterator[Port]:
    config = uvicorn.Config(
        app,
        http=_Patient,
        lifespan="off",
        log_config=None,
        ssl_certfile=str(certificates / CERTIFICATE),
        ssl_keyfile=str(certificates / KEY),
        timeout_graceful_shutdown=1,
        timeout_keep_alive=HASTE / 2,  # type: ignore[arg-type]
    )
    server = uvicorn.Server(config)

    def serve() -> None:
        with asyncio.Runner(loop_factory=_Loop) as runner:
            runner.run(server.serve([listener]))

    number = listener.getsockname()[1]
    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with ExitStack() as stack:
            yield Port(number, certificates / AUTHORITY, stack)
    finally:
        server.should_exit = True
        thread.join(30)
    assert not thread.is_alive()


def ended(connection: socket.socket) -> bool:
    """Whether the server ends the connection; waits for it."""
    try:
        return connection.recv(1) == b""
    except ssl.SSLError:
        return True
    except ConnectionError:
        return True


def cut_off(connection: socket.socket, content: bytes) -> bool:
    """Whether the server ends the connection while the bytes come one by one."""
    try:
        for byte in content:
            connection.sendall(bytes([byte]))
            time.sleep(HASTE / 20)
    except OSError:
        return True
    return False


def test_idle_connections_of_one_address_lock_it_out_for_a_moment_only(port: Port):
    idle = [port.tls() for _ in range(MOST_OF_ONE)]
    assert port.turned_away()
    assert all(ended(connection) for connection in idle)
    assert port.asked() == 200


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="all of 127.0.0.0/8 is this machine's on Linux only")
def test_another_address_is_served_meanwhile(port: Port):
    held = [port.tls() for _ in range(MOST_OF_ONE)]
    assert port.turned_away()
    assert port.asked("127.0.0.2") == 200
    assert len(held) == MOST_OF_ONE


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="all of 127.0.0.0/8 is this machine's on Linux only")
def test_there_is_a_limit_for_all_addresses_together(port: Port):
    held = [port.connect(f"127.0.0.{2 + number}") for number in range(MOST)]
    assert port.turned_away("127.0.0.99")
    assert all(ended(connection) for connection in held)
    assert port.asked("127.0.0.99") == 200


def test_a_connection_that_never_speaks_tls_counts_and_is_cut_off(port: Port):
    idle = [port.connect() for _ in range(MOST_OF_ONE)]
    assert port.turned_away()
    assert all(ended(connection) for connection in idle)
    assert port.asked() == 200


@pytest.mark.parametrize("before", [0, 1])
def test_a_head_that_comes_byte_by_byte_is_not_waited_for(port: Port, before: int):
    """Neither as the first of a connection nor as a later one."""
    connection = port.tls()
    for _ in range(before):
        connection.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 200")
    assert cut_off(connection, b"GET / HTTP/1.1\r\nname: " + b"x" * 400)


def test_an_answer_may_take_longer_than_a_head(port: Port):
    assert port.asked(path="/slow") == 200


def test_a_caller_on_a_slow_line_gets_the_whole_of_a_long_answer(port: Port):
    connection = port.tls()
    connection.sendall(b"GET /long HTTP/1.1\r\nhost: x\r\n\r\n")
    time.sleep(3 * HASTE)
    length = 0
    while length < len(LONG):
        piece = connection.recv(65_536)
        assert piece, f"cut off after {length} bytes"
        length += len(piece)


def test_many_calls_on_one_connection(port: Port):
    with httpx.Client(verify=port.trust, timeout=10) as client:
        for _ in range(5):
            assert client.get(f"https://{HERE}:{port.number}/").status_code == 200
            time.sleep(HASTE / 6)


def test_what_was_closed_does_not_count(port: Port, listener: Listener):
    for _ in range(3 * MOST):
        assert port.asked() == 200
    deadline = time.monotonic() + 10
    while listener._open and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not listener._open


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
    ],
)
def test_which_callers_are_one(one: str, other: str, same: bool):
    assert (_place(one) == _place(other)) is same


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="no IPv6 on this machine")
def test_the_interface_of_both_kinds_is_reached_by_both():
    with listen("::", 0, MOST, MOST_OF_ONE) as found:
        for host in ("127.0.0.1", "::1"):
            with socket.create_connection((host, found.getsockname()[1]), timeout=5):
                found.accept()[0].close()


def test_a_port_that_is_taken_is_told(listener: Listener):
    with pytest.raises(OSError, match="in use"):
        listen(HERE, listener.getsockname()[1])
