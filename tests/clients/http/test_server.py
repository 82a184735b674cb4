"""The server over real sockets: limits, strict reading, slow and silent callers, and an end that answers all."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from certificates import Authority
from paths import ROOT
from raw_http import raw, rest

from sealscore.clients.http.binding import Binding, TlsFiles
from sealscore.clients.http.callers import SUBJECT
from sealscore.clients.http.exchange import HungUp, Receive, Scope, Send, read_json, send_json, send_problem
from sealscore.clients.http.problems import PROBLEM_TYPE, HttpProblem
from sealscore.clients.http.server import HttpLimits, HttpServer

MOST = 1000
LIMITS = HttpLimits(
    connections=8, head=2000, head_seconds=0.5, body_seconds=0.5, idle_seconds=1.0, grace=5.0, refused=2**22
)
SECONDS = 20.0


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers what it was sent, after the seconds that the body names."""
    try:
        body = await read_json(scope, receive, MOST)
    except HttpProblem as problem:
        await send_problem(send, problem)
        return
    except HungUp:
        return
    if isinstance(body, dict) and "wait" in body:
        await asyncio.sleep(body["wait"])
    await send_json(send, json.dumps({"body": body, "subject": scope.get(SUBJECT)}).encode())


class Running:
    """A server in a thread of its own."""

    def __init__(self, binding: Binding, limits: HttpLimits = LIMITS) -> None:
        listening = threading.Event()
        self.place = ""

        def ready(place: str) -> None:
            self.place = place
            listening.set()

        self._server = HttpServer(echo, binding, limits, ready)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        assert listening.wait(SECONDS)

    def stop(self) -> None:
        self._server.stop()

    def end(self) -> None:
        self.stop()
        self._thread.join(SECONDS)
        assert not self._thread.is_alive()

    @property
    def port(self) -> int:
        return int(self.place.rpartition(":")[2])

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.place, trust_env=False, timeout=SECONDS)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=SECONDS)

    def raw(self, data: bytes) -> bytes:
        """All that comes back until the server hangs up."""
        return raw(self.port, data)


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    made = Running(Binding(port=0))
    yield made
    made.end()


def code(answer: bytes) -> str:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert PROBLEM_TYPE.encode() in head
    document = json.loads(body)
    assert head.split()[1] == str(document["status"]).encode()
    assert document["type"].endswith(document["code"])
    return str(document["code"])


def post(body: bytes, *headers: str) -> bytes:
    lines = ["POST / HTTP/1.1", "host: a", *headers, f"content-length: {len(body)}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


JSON = "content-type: application/json"


def promising(length: str) -> bytes:
    """A request's head that promises a body."""
    return f"POST / HTTP/1.1\r\nhost: a\r\n{JSON}\r\ncontent-length: {length}\r\n\r\n".encode()


def sent_until_it_hangs_up(connection: socket.socket, piece: bytes, pause: float = 0.0) -> int:
    """How many bytes could be sent, piece by piece."""
    sent, end = 0, time.monotonic() + SECONDS
    while time.monotonic() < end:
        try:
            sent += connection.send(piece)
        except OSError:
            return sent
        time.sleep(pause)
    raise AssertionError("the server took all of it")


def test_one_connection_serves_many_requests_and_answers_are_not_kept(running: Running):
    with running.client() as client:
        for number in range(5):
            answer = client.post("/", json={"a": number})
            assert answer.json()["body"] == {"a": number}
            assert answer.headers["cache-control"] == "no-store"
            assert "server" not in answer.headers


@pytest.mark.parametrize(
    ("body", "headers", "expected"),
    [
        (b'{"a": 1, "a": 2}', [JSON], "malformed"),
        (b'{"a": {"b": 1, "b": 2}}', [JSON], "malformed"),
        (b'{"a": NaN}', [JSON], "malformed"),
        (b'{"a": -Infinity}', [JSON], "malformed"),
        (b"[" * 900, [JSON], "malformed"),
        (b"9" * 900, [JSON], ""),
        (b'"\xff"', [JSON], "malformed"),
        (b"\xef\xbb\xbf{}", [JSON], "malformed"),
        (b"", [JSON], "malformed"),
        (b'{"a"', [JSON], "malformed"),
        (b"{}", [], "wrong-type"),
        (b"{}", ["content-type: text/json"], "wrong-type"),
        (b"{}", ["content-type: application/json; charset=utf-16"], "wrong-type"),
        (b"{}", ['content-type: application/json; charset="UTF-8"'], ""),
        (gzip.compress(b"{}", mtime=0), [JSON, "content-encoding: gzip"], "wrong-type"),
        (b'"' + b"a" * MOST + b'"', [JSON], "too-large"),
    ],
)
def test_bodies_are_read_strictly(running: Running, body: bytes, headers: list[str], expected: str):
    answer = running.raw(post(body, *headers, "connection: close"))
    assert (code(answer) if expected else answer.split()[1].decode()) == (expected or "200")
    assert b"\xff" not in answer


def test_half_of_a_surrogate_pair_is_text_that_nobody_echoes_as_bytes(running: Running):
    answer = running.raw(post(b'{"a": "\\ud800"}', JSON, "connection: close"))
    assert answer.split()[1] == b"200"


def chunked(parts: int, size: int) -> bytes:
    chunk = f"{size:x}\r\n".encode() + b"9" * size + b"\r\n"
    head = "\r\n".join(["POST / HTTP/1.1", "host: a", JSON, "transfer-encoding: chunked"])
    return head.encode() + b"\r\n\r\n" + chunk * parts


def test_what_is_too_large_is_refused_while_it_comes(running: Running):
    with running.connect() as connection:
        # No end of it is sent, and the answer is there.
        connection.sendall(chunked(40, 100))
        assert connection.recv(65536).split()[1] == b"413"
    with running.connect() as connection:
        connection.sendall(promising("9" * 10))
        assert connection.recv(65536).split()[1] == b"413"
    with running.connect() as connection:
        connection.sendall(promising("9" * 1500))
        assert connection.recv(65536).split()[1] in (b"400", b"413")


def test_a_body_that_was_refused_is_thrown_away_up_to_a_limit(running: Running):
    with running.client() as client:
        assert client.post("/", content=b"9" * 100_000, headers={"content-type": "application/json"}).status_code == 413
        assert client.post("/", json={}).status_code == 200
    with running.connect() as connection:
        connection.sendall(promising("9" * 9))
        assert sent_until_it_hangs_up(connection, b"9" * 65536) < 64 * 2**20


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", "bad-request"),
        (b"GET\r\n\r\n", "bad-request"),
        (b"GET / HTTP/9.9\r\n\r\n", "bad-request"),
        (b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n", "bad-request"),
        (b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", "bad-request"),
        (
            b"POST / HTTP/1.1\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            "bad-request",
        ),
        (b"POST / HTTP/1.1\r\nhost: a\r\na b: c\r\n\r\n", "bad-request"),
        (b"POST / HTTP/1.1\r\nx: " + b"a" * 3000 + b"\r\n\r\n", "head-too-large"),
        (b"POST /" + b"a" * 3000 + b" HTTP/1.1\r\n\r\n", "head-too-large"),
        (b"POST / HTTP/1.1\r\n" + b"a: b\r\n" * 600 + b"\r\n", "head-too-large"),
        (b"POST / HTTP/1.1\r\nx: " + b"a" * 2_000_000, "head-too-large"),
        (b"GET / HT", "slow"),
        (b"POST / HTTP/1.1\r\nhost: a\r\n" + JSON.encode() + b"\r\ncontent-length: 10\r\n\r\n{", "slow"),
    ],
)
def test_what_is_no_request_or_does_not_come_is_refused(running: Running, data: bytes, expected: str):
    assert code(running.raw(data)) == expected


def test_a_refusal_reaches_a_caller_that_is_still_sending(running: Running):
    with running.connect() as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nx: " + b"a" * 1_000_000)
        assert connection.recv(16) == b"HTTP/1.1 431 Req"
        connection.sendall(b"a" * 2**21)
        assert code(b"HTTP/1.1 431 Req" + rest(connection)) == "head-too-large"
    with running.connect() as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nx: ")
        assert sent_until_it_hangs_up(connection, b"a" * 65536) < 64 * 2**20


def test_a_silent_connection_ends_without_a_word(running: Running):
    assert running.raw(b"") == b""


def test_drops_do_not_keep_a_request_alive(running: Running):
    with running.connect() as connection:
        connection.sendall(promising("500"))
        assert sent_until_it_hangs_up(connection, b" ", pause=0.05) < 500


def test_half_open_connections_hold_up_nobody_and_are_counted(running: Running):
    silent = [running.connect() for _ in range(6)]
    with running.client() as client:
        assert client.post("/", json={}).status_code == 200
        more = [running.connect() for _ in range(4)]
        said = [rest(one) for one in more]
        assert "busy" in {code(one) for one in said if one}
        for one in (*silent, *more):
            one.close()
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            try:
                assert httpx.post(running.place, json={}, trust_env=False).status_code in (200, 503)
                break
            except httpx.TransportError:
                time.sleep(0.05)


def test_requests_one_after_the_other_without_waiting_are_answered_in_order(running: Running):
    first, second = post(b'{"wait": 0.2}', JSON), post(b'{"a": 2}', JSON, "connection: close")
    answer = running.raw(first + second)
    assert answer.count(b"HTTP/1.1 200") == 2
    assert answer.index(b'"wait"') < answer.index(b'"a"')


def test_the_end_answers_what_was_accepted_and_waits_for_no_half_request():
    running = Running(Binding(port=0), HttpLimits(grace=10.0, body_seconds=30.0))
    answers: list[Any] = []

    def ask() -> None:
        with running.client() as client:
            answers.append(client.post("/", json={"wait": 1.0}).status_code)

    half = running.connect()
    half.sendall(post(b"{}", JSON)[:-1])
    asking = threading.Thread(target=ask)
    asking.start()
    time.sleep(0.4)
    began = time.monotonic()
    running.end()
    asking.join()
    half.close()
    assert answers == [200]
    assert time.monotonic() - began < 8.0
    with pytest.raises(OSError):  # noqa: PT011 - nobody listens
        running.connect()


@pytest.mark.parametrize("number", ["SIGTERM", "SIGINT"])
def test_a_signal_ends_the_process_with_zero(number: str, tmp_path: Path):
    lines = f"""
import os, signal, sys
sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / "tests" / "support")!r}, {str(Path(__file__).parent)!r}]
from test_server import Binding, HttpServer, echo
from pathlib import Path
end = lambda place: os.kill(os.getpid(), signal.{number})
HttpServer(echo, Binding(path=Path(sys.argv[1])), ready=end).serve_forever()
print("ended")
"""
    command = [sys.executable, "-c", lines, str(tmp_path / "s.sock")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=os.environ, check=False)
    assert (done.returncode, done.stdout) == (0, "ended\n"), done.stderr
    assert not (tmp_path / "s.sock").exists()


class TestTls:
    @pytest.fixture(scope="class")
    def authority(self, tmp_path_factory: pytest.TempPathFactory) -> Authority:
        return Authority(tmp_path_factory.mktemp("tls"))

    @pytest.fixture(scope="class")
    def secured(self, authority: Authority) -> Iterator[Running]:
        made = Running(Binding(port=0, tls=authority.files()))
        yield made
        made.end()

    def ask(self, secured: Running, context: ssl.SSLContext) -> Any:
        with httpx.Client(verify=context, trust_env=False, timeout=SECONDS) as client:
            return client.post(secured.place, json={}).json()

    def test_a_caller_is_known_by_the_subject_of_its_certificate(self, secured: Running, authority: Authority):
        assert self.ask(secured, authority.client("loans"))["subject"] == "CN=loans"

    def test_callers_without_a_certificate_of_the_authority_are_nobody(
        self, secured: Running, authority: Authority, tmp_path: Path
    ):
        none = ssl.create_default_context(cadata=authority.certificate.decode())
        strange = Authority(tmp_path).client("loans", trusted=authority)
        ended = authority.client("late", ends=timedelta(days=-1))
        for context in (none, strange, ended):
            with pytest.raises(httpx.TransportError):
                self.ask(secured, context)
        with pytest.raises(httpx.TransportError):
            httpx.post(secured.place.replace("https", "http"), json={}, trust_env=False)

    def test_a_certificate_that_is_replaced_is_shown_to_the_next_caller(self, secured: Running, authority: Authority):
        def shown() -> bytes:
            with (
                socket.create_connection(("127.0.0.1", secured.port)) as plain,
                authority.client("loans").wrap_socket(plain, server_hostname="127.0.0.1") as wrapped,
            ):
                found = wrapped.getpeercert(binary_form=True)
                assert found is not None
                return found

        before = shown()
        assert shown() == before
        files = authority.files()
        assert isinstance(files, TlsFiles)
        assert shown() != before
        assert self.ask(secured, authority.client("loans"))["subject"] == "CN=loans"

    def test_a_handshake_that_does_not_come_holds_up_nobody(self, secured: Running, authority: Authority):
        silent = [secured.connect() for _ in range(20)]
        assert self.ask(secured, authority.client("loans"))["body"] == {}
        for one in silent:
            assert rest(one) == b""
            one.close()
