"""The daemon: frames that are cut, late, too large or foreign; who may ask; stale sockets; one answer at a time."""

from __future__ import annotations

import itertools
import logging
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sealscore.clients.courier import NodeError, SocketNode, call, socket_path
from sealscore.clients.frames import (
    ASK,
    ERROR,
    MAX_BODY,
    NAME,
    REPLY,
    FrameError,
    OversizeError,
    read_frame,
    send_frame,
)
from sealscore.clients.node import socket_server as daemon
from sealscore.clients.node.socket_server import SocketServerError, serve

SECRET = "income of applicant 17 is 1250"


class Node:
    """A responder that reverses bytes, or does what it is given."""

    def __init__(self, name: str, act: Callable[[bytes], bytes] = lambda body: body[::-1]) -> None:
        self.name = name
        self.act = act

    def answer(self, request: bytes) -> bytes:
        return self.act(request)


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("d")  # pytest's paths by test name are too long for a socket
    path.chmod(0o700)
    return path


@pytest.fixture
def connect() -> Iterator[Callable[[Path], socket.socket]]:
    opened: list[socket.socket] = []

    def open_(path: Path) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        opened.append(connection)
        connection.settimeout(5.0)
        connection.connect(str(path))
        return connection

    yield open_
    for connection in opened:
        connection.close()


def soon() -> float:
    return time.monotonic() + 5.0


def test_each_party_answers_on_its_own_socket(home: Path) -> None:
    with serve([Node("a"), Node("b", lambda body: b"b:" + body)], home) as paths:
        assert paths == {"a": home / "a.sock", "b": home / "b.sock"}
        assert call(paths["a"], b"abc", 5.0) == b"cba"
        assert call(paths["b"], b"abc", 5.0) == b"b:abc"
        assert SocketNode(paths["b"], 5.0).name == "b"
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("size", [0, 1, 65_536, 3_000_000])
def test_bodies_of_any_size_pass_whole(home: Path, size: int) -> None:
    body = os.urandom(size)
    with serve([Node("a")], home) as paths:
        assert call(paths["a"], body, 5.0) == body[::-1]


def test_a_request_that_comes_byte_by_byte_is_answered(home: Path, connect) -> None:
    with serve([Node("a")], home) as paths:
        connection = connect(paths["a"])
        for byte in ASK + struct.pack(">I", 3) + b"abc":
            connection.sendall(bytes([byte]))
            time.sleep(0.001)
        assert read_frame(connection, (REPLY,), soon()) == (REPLY, b"cba")


def test_a_caller_that_hangs_up_half_way_disturbs_nobody(home: Path, connect) -> None:
    asked: list[bytes] = []
    with serve([Node("a", lambda body: asked.append(body) or body)], home) as paths:
        for sent in (b"", ASK, ASK + struct.pack(">I", 10), ASK + struct.pack(">I", 10) + b"half"):
            connection = connect(paths["a"])
            connection.sendall(sent)
            connection.close()
        assert call(paths["a"], b"whole", 5.0) == b"whole"
    assert asked == [b"whole"]


def test_a_caller_that_says_nothing_is_hung_up_on_and_blocks_nobody(home: Path, connect) -> None:
    with serve([Node("a")], home, patience=0.2) as paths:
        silent, trickling = connect(paths["a"]), connect(paths["a"])
        trickling.sendall(ASK)
        assert call(paths["a"], b"abc", 5.0) == b"cba"
        assert silent.recv(1) == b""
        assert trickling.recv(1) == b""


@pytest.mark.parametrize("kind", [b"X", REPLY, b"\x00"])
def test_a_foreign_frame_is_hung_up_on(home: Path, connect, kind: bytes) -> None:
    with serve([Node("a")], home) as paths:
        connection = connect(paths["a"])
        connection.sendall(kind + struct.pack(">I", 1))
        assert connection.recv(1) == b""
        assert call(paths["a"], b"abc", 5.0) == b"cba"


def test_an_announced_oversize_is_refused_before_it_is_sent(home: Path, connect) -> None:
    with serve([Node("a")], home) as paths:
        connection = connect(paths["a"])
        connection.sendall(ASK + struct.pack(">I", 2**32 - 1))
        assert read_frame(connection, (ERROR,), soon()) == (ERROR, b"too-large")


def test_requests_and_answers_have_a_limit(home: Path) -> None:
    with serve([Node("a"), Node("b", lambda body: bytes(11))], home, limit=10) as paths:
        assert call(paths["a"], bytes(10), 5.0) == bytes(10)
        for path, size in ((paths["a"], 11), (paths["b"], 1)):
            with pytest.raises(NodeError, match=r"^too-large$"):
                call(path, bytes(size), 5.0)


def test_the_courier_sends_nothing_above_the_limit(home: Path) -> None:
    with pytest.raises(NodeError, match=r"^too-large$"):
        call(home / "nobody.sock", bytes(MAX_BODY + 1), 5.0)


def test_an_error_crosses_as_a_code_and_is_logged_without_its_text(
    home: Path, connect, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(body: bytes) -> bytes:
        raise ValueError(SECRET)

    caplog.set_level(logging.DEBUG)
    with serve([Node("a", fail)], home) as paths:
        connection = connect(paths["a"])
        send_frame(connection, ASK, b"x", soon())
        assert read_frame(connection, (REPLY, ERROR), soon()) == (ERROR, b"unavailable")
        assert connection.recv(1) == b""
        with pytest.raises(NodeError, match=r"^unavailable$"):
            call(paths["a"], b"x", 5.0)
    assert "a: the node gave no answer: ValueError at test_socket_server.py" in caplog.text
    assert "applicant" not in caplog.text


def test_a_panic_of_a_library_ends_the_answer_and_not_the_server(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    class PanicError(BaseException):
        """As polars raises it, from Rust."""

    def act(body: bytes) -> bytes:
        if body == b"bad":
            raise PanicError(SECRET)
        return body

    with serve([Node("a", act)], home) as paths:
        with pytest.raises(NodeError, match=r"^unavailable$"):
            call(paths["a"], b"bad", 5.0)
        assert call(paths["a"], b"good", 5.0) == b"good"
    assert "a: the node gave no answer: PanicError" in caplog.text
    assert "applicant" not in caplog.text


def test_a_caller_that_does_not_take_its_answer_is_hung_up_on_and_blocks_nobody(home: Path, connect) -> None:
    with serve([Node("a", lambda body: bytes(3_000_000) if body == b"much" else body)], home, patience=0.3) as paths:
        connection = connect(paths["a"])
        send_frame(connection, ASK, b"much", soon())
        assert call(paths["a"], b"abc", 5.0) == b"abc"
        time.sleep(0.5)
        with pytest.raises((FrameError, ConnectionResetError)):
            read_frame(connection, (REPLY,), soon())


def test_callers_that_wait_cost_no_thread(home: Path, connect) -> None:
    with serve([Node("a")], home) as paths:
        assert call(paths["a"], b"ab", 5.0) == b"ba"
        before = threading.active_count()
        waiting = [connect(paths["a"]) for _ in range(50)]
        assert call(paths["a"], b"ab", 5.0) == b"ba"
        assert threading.active_count() == before
    assert [connection.recv(1) for connection in waiting] == [b""] * 50


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts descriptors in Linux's way")
def test_a_caller_for_whom_no_descriptor_is_free_is_served_when_one_is(
    home: Path, connect, caplog: pytest.LogCaptureFixture
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken: list[int] = []
    with serve([Node("a")], home) as paths, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        assert call(paths["a"], b"ab", 5.0) == b"ba"
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 8, hard))
        try:
            with suppress(OSError):
                while True:
                    taken.append(os.dup(connection.fileno()))
            connection.connect(str(paths["a"]))
            send_frame(connection, ASK, b"abc", soon())
            deadline = soon()
            while "a caller could not be accepted: OSError" not in caplog.text:
                assert time.monotonic() < deadline
                time.sleep(0.01)
        finally:
            for handle in taken:
                os.close(handle)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert read_frame(connection, (REPLY,), soon()) == (REPLY, b"cba")


@pytest.mark.parametrize("answer", [None, "text", 7])
def test_an_answer_that_is_no_bytes_is_an_error(home: Path, answer: object) -> None:
    with serve([Node("a", lambda body: answer)], home) as paths, pytest.raises(NodeError, match=r"^unavailable$"):  # type: ignore[arg-type,return-value]
        call(paths["a"], b"x", 5.0)


def test_a_code_that_is_not_public_is_not_believed() -> None:
    assert NodeError(SECRET).code == "unavailable"
    assert SECRET not in str(NodeError(SECRET))


def test_answers_are_computed_in_one_thread_one_at_a_time(home: Path) -> None:
    threads, running, most = set(), 0, 0
    guard = threading.Lock()

    def act(body: bytes) -> bytes:
        nonlocal running, most
        with guard:
            running += 1
            most = max(most, running)
            threads.add(threading.get_ident())
        time.sleep(0.005)
        with guard:
            running -= 1
        return body

    answers: list[bytes] = []
    with serve([Node("a", act), Node("b", act)], home) as paths:
        callers = [
            threading.Thread(target=lambda i=i: answers.append(call(paths["ab"[i % 2]], bytes([i]), 5.0)))
            for i in range(12)
        ]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
    assert sorted(answers) == [bytes([i]) for i in range(12)]
    assert most == 1
    assert len(threads) == 1


def test_a_caller_that_gave_up_before_its_turn_is_not_answered(home: Path) -> None:
    """An answer that nobody reads would still be charged."""
    entered, release, asked = threading.Event(), threading.Event(), []

    def act(body: bytes) -> bytes:
        asked.append(body)
        if body == b"first":
            entered.set()
            release.wait(5.0)
        return body

    with serve([Node("a", act)], home) as paths:
        first = threading.Thread(target=call, args=(paths["a"], b"first", 5.0))
        first.start()
        assert entered.wait(5.0)
        with pytest.raises(NodeError, match=r"^timeout$"):
            call(paths["a"], b"second", 0.05)
        release.set()
        first.join()
        assert call(paths["a"], b"third", 5.0) == b"third"
    assert asked == [b"first", b"third"]


def test_stopping_while_idle_with_callers_that_hang_on(home: Path, connect) -> None:
    with serve([Node("a")], home) as paths:
        connection = connect(paths["a"])
        assert call(paths["a"], b"ab", 5.0) == b"ba"
    assert connection.recv(1) == b""
    with pytest.raises(NodeError, match=r"^unavailable$"):
        call(paths["a"], b"ab", 5.0)
    with serve([Node("a")], home) as paths:
        assert call(paths["a"], b"ab", 5.0) == b"ba"


def test_stopping_lets_the_answer_in_work_end_and_drops_those_that_wait(home: Path) -> None:
    entered, asked, outcomes = threading.Event(), [], []

    def act(body: bytes) -> bytes:
        asked.append(body)
        entered.set()
        time.sleep(0.2)
        return body

    def caller(path: Path, body: bytes) -> None:
        try:
            outcomes.append(call(path, body, 5.0))
        except NodeError as error:
            outcomes.append(error.code)

    threads = []
    with serve([Node("a", act)], home) as paths:
        threads.append(threading.Thread(target=caller, args=(paths["a"], b"1")))
        threads[0].start()
        assert entered.wait(5.0)
        threads += [threading.Thread(target=caller, args=(paths["a"], b"2")) for _ in range(3)]
        for thread in threads[1:]:
            thread.start()
        time.sleep(0.05)
    for thread in threads:
        thread.join()
    assert asked == [b"1"]
    assert sorted(outcomes, key=str) == [b"1", "unavailable", "unavailable", "unavailable"]


def test_an_error_inside_the_context_stops_the_daemon_too(home: Path) -> None:
    with pytest.raises(RuntimeError, match="boom"), serve([Node("a")], home):
        raise RuntimeError("boom")
    assert list(home.iterdir()) == []


def test_the_socket_of_a_killed_process_is_taken_over(home: Path) -> None:
    script = (
        "import sys, time; from sealscore.clients.node.socket_server import serve\n"
        "class Node:\n    name = 'a'\n    def answer(self, body): return body\n"
        "with serve([Node()], sys.argv[1]):\n    print('up', flush=True); time.sleep(60)"
    )
    root = str(Path(daemon.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])}
    process = subprocess.Popen([sys.executable, "-c", script, str(home)], stdout=subprocess.PIPE, env=environment)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        assert call(home / "a.sock", b"x", 5.0) == b"x"
        with (
            pytest.raises(SocketServerError, match=r"a\.sock: another process serves this party; stop it first"),
            serve([Node("a")], home),
        ):
            pass
        assert call(home / "a.sock", b"x", 5.0) == b"x"
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()  # type: ignore[union-attr]
    assert (home / "a.sock").exists()
    with serve([Node("a")], home) as paths:
        assert call(paths["a"], b"ab", 5.0) == b"ba"


def test_a_file_in_the_way_is_left_alone(home: Path) -> None:
    (home / "a.sock").write_text("notes")
    with pytest.raises(SocketServerError, match="no socket is in the way"), serve([Node("a")], home):
        pass
    assert (home / "a.sock").read_text() == "notes"


def test_a_failed_start_leaves_no_socket_behind(home: Path) -> None:
    with (
        pytest.raises(SocketServerError, match="two nodes are named 'a'"),
        serve([Node("b"), Node("a"), Node("a")], home),
    ):
        pass
    assert list(home.iterdir()) == []


def test_modes_shut_others_out(home: Path) -> None:
    with serve([Node("a")], home / "new" / "er") as paths:
        assert (home / "new" / "er").stat().st_mode & 0o777 == 0o700
        assert paths["a"].stat().st_mode & 0o777 == 0o600
    home.chmod(0o750)
    with pytest.raises(SocketServerError, match=rf"run chmod 700 {home}"), serve([Node("a")], home):
        pass


def test_another_user_is_turned_away(home: Path, connect, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bytes] = []
    with serve([Node("a", lambda body: asked.append(body) or body)], home) as paths:
        assert daemon._caller(connect(paths["a"])) in (os.getuid(), None)
        monkeypatch.setattr(daemon, "_caller", lambda connection: os.getuid() + 1)
        with pytest.raises(NodeError, match=r"^unavailable$"):
            call(paths["a"], b"x", 5.0)
    assert asked == []


@pytest.mark.parametrize("name", ["", "A", "../a", "a/b", "a\x00", "-a", "a" * 64, "a b", "é"])
def test_a_name_that_is_no_party_name_has_no_socket(name: str) -> None:
    with pytest.raises(ValueError, match="a name is 1 to 63 of"):
        socket_path("/run/nodes", name)


def test_a_path_that_no_address_holds_is_refused_with_the_fix() -> None:
    with pytest.raises(ValueError, match="give a shorter directory"):
        socket_path("/" + "d" * 100, "a")


@settings(deadline=None)
@given(
    kind=st.sampled_from([ASK, NAME, REPLY, ERROR]), body=st.binary(max_size=5000), cuts=st.sets(st.integers(1, 5004))
)
def test_a_frame_is_read_whole_however_it_is_cut(kind: bytes, body: bytes, cuts: set[int]) -> None:
    left, right = socket.socketpair()
    with left, right:
        whole = kind + struct.pack(">I", len(body)) + body
        edges = [0, *sorted(cut for cut in cuts if cut < len(whole)), len(whole)]

        def feed() -> None:
            for start, end in itertools.pairwise(edges):
                left.sendall(whole[start:end])

        feeder = threading.Thread(target=feed)
        feeder.start()
        assert read_frame(right, (kind,), soon()) == (kind, body)
        feeder.join()


@given(st.binary(max_size=200))
def test_rubbish_is_an_error_and_never_a_wait(rubbish: bytes) -> None:
    left, right = socket.socketpair()
    with left, right:
        left.sendall(rubbish)
        left.shutdown(socket.SHUT_WR)
        size = struct.unpack(">I", rubbish[1:5])[0] if len(rubbish) >= 5 else None
        whole = size is not None and rubbish[:1] in (ASK, NAME) and len(rubbish) >= 5 + size and size <= 100
        if whole:
            assert read_frame(right, (ASK, NAME), soon(), limit=100) == (rubbish[:1], rubbish[5 : 5 + size])
        else:
            with pytest.raises((FrameError, OversizeError)):
                read_frame(right, (ASK, NAME), soon(), limit=100)
