"""What reaches a socket: frames, headers and bodies at the partner port; and texts that others put into tables."""

from __future__ import annotations

import asyncio
import json
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from deployment import Echo
from hypothesis import example, given
from hypothesis import strategies as st
from mutations import MEBIBYTE, ODD, altered, fuzz, limits, noise

from sealscore.clients.courier import NodeError, call
from sealscore.clients.deploy.executor import BundleRefused, require_allowed
from sealscore.clients.deploy.pinning import REFUSALS, refusals
from sealscore.clients.frames import ERROR, MAX_BODY, REPLY, FrameError, read_frame
from sealscore.clients.node.socket_server import serve
from sealscore.server.deploy.enrolled import enrolled_in
from sealscore.server.deploy.gate import FLEET, STRANGERS, Gate, token_digest
from sealscore.shared.persons.consent import ConsentError, parse_consents

HEADS = [b"A\0\0\0\3abc", b"N\0\0\0\0", b"R\0\0\0\2ok", b"E\0\0\0\x0bunavailable"]


@pytest.fixture(scope="module")
def node() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="seal-") as folder, serve([Echo("north")], folder, patience=0.3) as sockets:
        yield sockets["north"]


def test_frames_to_a_node(node: Path):
    def send(data: bytes) -> None:
        with limits(memory=MAX_BODY + 8 * MEBIBYTE), closing(socket.socket(socket.AF_UNIX)) as caller:
            caller.settimeout(5)
            caller.connect(str(node))
            try:
                caller.sendall(data)
                caller.shutdown(socket.SHUT_WR)
                answer = caller.recv(100_000)
            except (BrokenPipeError, ConnectionResetError):
                answer = b""
        assert answer[:1] in (b"", b"R", b"E")

    huge = example(b"A\xff\xff\xff\xff")(example(b"A\x00\xf0\x00\x00")(given(noise(HEADS, 50))(send)))
    fuzz(150)(huge)()
    assert call(node, b"still there", 5) == b"north still there"


def test_frames_to_a_courier():
    with tempfile.TemporaryDirectory(prefix="seal-") as folder:
        path = Path(folder) / "s"
        with closing(socket.socket(socket.AF_UNIX)) as listener:
            listener.bind(str(path))
            listener.listen()
            listener.settimeout(5)

            def answer(data: bytes) -> None:
                with closing(socket.socket(socket.AF_UNIX)) as caller:
                    caller.settimeout(5)
                    caller.connect(str(path))
                    accepted, _ = listener.accept()
                    with closing(accepted):
                        accepted.sendall(data)
                    with limits(memory=MAX_BODY + 8 * MEBIBYTE):
                        try:
                            read_frame(caller, (REPLY, ERROR), time.monotonic() + 0.3)
                        except (FrameError, TimeoutError, ConnectionError):
                            return

            fuzz(150)(example(b"R\xff\xff\xff\xff")(given(noise(HEADS, 50))(answer)))()


@given(st.binary(max_size=60))
@fuzz(50)
def test_codes_of_a_node_error(code: bytes):
    assert NodeError(code.decode("ascii", "replace")).code in {"unavailable", "timeout", "too-large"}


HEADER_NAMES = [b"content-length", b"authorization", b"Authorization", b"content-type", b"flwr-timestamp", b"x"]
HEADER_NAMES += [b"flwr-public-key", b"flwr-signature"]
VALUES = [
    b"",
    b"0",
    b"12",
    b"-1",
    b"1e9",
    b"9" * 30,
    b"9" * 5_000,
    "\u0661".encode(),
    b"Bearer token",
    b"bearer  token",
]
VALUES += [b"Bearer", b"2031-01-06T10:00:00+00:00", b"0001-01-01T00:00:00+23:59", b"9999-12-31T23:59:59-23:59", b"\xff"]


class Called:
    """An application behind a door: notes whether it was asked."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.bodies.append((await receive())["body"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})


def _asked(gate: Gate, path: str, method: str, headers: list[tuple[bytes, bytes]], pieces: list[bytes]) -> int:
    """The status that a call gets."""
    events = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    events += [{"type": "http.request"}]
    sent: list[Any] = []

    async def receive() -> Any:
        return events.pop(0) if events else {"type": "http.disconnect"}

    async def send(event: Any) -> None:
        sent.append(event)

    scope = {"type": "http", "path": path, "method": method, "headers": headers}
    asyncio.run(gate(scope, receive, send))
    return int(sent[0]["status"])


header = st.tuples(st.sampled_from(HEADER_NAMES), st.one_of(st.sampled_from(VALUES), st.binary(max_size=40)))


@fuzz(300)
@given(
    st.sampled_from([*sorted(FLEET)[:2], "/", "/v1/control/list-runs", "/v1/fleet/../control", "\udc80"]),
    st.sampled_from(["POST", "GET", "post", ""]),
    st.lists(header, max_size=5),
    st.lists(st.binary(max_size=200).map(lambda piece: piece * 200), max_size=3),
)
@example(sorted(FLEET)[0], "POST", [(b"content-length", b"9" * 5_000)], [])
def test_calls_at_a_door(path: str, method: str, headers: list[tuple[bytes, bytes]], pieces: list[bytes]):
    class Nobody:
        def state(self) -> Any:
            return self

        def get_node_id_by_public_key(self, key: bytes) -> None:
            return None

    app = Called()
    partner = Gate(app, FLEET, 100_000, enrolled=enrolled_in(Nobody()))  # type: ignore[arg-type]
    guarded = frozenset({"/v1/control/list-runs"})
    control = Gate(app, guarded, 100_000, guarded=guarded, token=token_digest(b"another token"))
    for gate in (partner, control):
        with limits():
            assert _asked(gate, path, method, headers, pieces) in {200, 401, 404, 405, 408, 413}
    assert all(len(body) <= STRANGERS for body in app.bodies)


CELLS = ["lender-1 for credit-scoring from 2020-01-01 until 2027-03-31; federation", "federation withdrawn 2027-W01-1"]


@fuzz(400)
@given(st.one_of(st.text(max_size=60), noise([cell.encode() for cell in CELLS]).map(lambda b: b.decode("latin-1"))))
@example(";" * 100_000)
@example("a" * 100_000)
@example("federation until " * 20_000)
@example("federation until 0000-00-00")
@example("federation\u2028until\u20282027-03-31")
def test_cells_of_consents(cell: str):
    with limits():
        try:
            found = parse_consents(cell)
        except ConsentError:
            return
    assert "; ".join(one.text for one in found) == "; ".join(
        one.text for one in parse_consents("; ".join(one.text for one in found))
    )


def test_lists_of_bundles_and_refusals():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def read(data: bytes) -> None:
            (folder / REFUSALS).write_bytes(data)
            (folder / "bundles.allowed").write_bytes(data)
            (folder / "bundles.allowed").chmod(0o600)
            with limits():
                refusals(folder)
                try:
                    require_allowed("ab" * 32, folder / "bundles.allowed")
                except BundleRefused:
                    return

        line = {"at": 1.8e9, "reason": "why", "run": 7}
        fuzz(150)(given(noise([json.dumps(line).encode() + b"\n", b"ab" * 32 + b"  # name\n"]))(read))()
        test = fuzz(150)(given(altered([line], [*ODD, 10**400]).map(lambda data: json.dumps(data).encode()))(read))
        for odd in ({"at": 10**400, "reason": ""}, {"at": 0, "reason": "", "run": float("inf")}):
            test = example(json.dumps(odd).encode())(test)
        example(b"[" * 100_000)(test)()
