"""A live federation with TLS, node keys, doors and pinned code, on the loopback interface."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sqlite3
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from deployment import BODY_LIMIT, Federation, federated, free_ports, trial_bundle, unpacked_of, until

from sealscore.clients.deploy.connection import check_connection
from sealscore.clients.deploy.node_key import make_node_key, read_node_key
from sealscore.server.deploy.certificates import make_authority
from sealscore.server.deploy.connections import HASTE, MOST_OF_ONE
from sealscore.server.deploy.control import Control
from sealscore.server.deploy.gate import CONTROL, FLEET, RUNTIME

pytestmark = pytest.mark.slow

PROTOBUF = {"content-type": "application/protobuf", "accept": "application/protobuf"}


@pytest.fixture(scope="module")
def federation() -> Iterator[Federation]:
    with federated() as found:
        for party in ("north", "south"):
            found.supernode(party).start()
        assert until(lambda: all(node.connected() for node in found.nodes.values())), found.told
        yield found


def trial(federation: Federation, rounds: int, parties: int) -> dict[str, object]:
    """Run rounds without work; what the server app wrote, with how the run ended."""
    output = federation.folder / "trial.json"
    output.unlink(missing_ok=True)
    with Control(federation.settings) as control:
        run_id = control.submit(federation.bundle, {"output": str(output), "parties": parties, "rounds": rounds})
        run = control.wait(run_id, timeout=240)
        assert run.finished, federation.link.link.tail()
        assert control.runs()[0].run_id == run_id
        assert run.completed, "".join(control.logs(run_id))
    return json.loads(output.read_text())


def post(port: int, federation: Federation, path: str, **more: object) -> httpx.Response:
    url = f"https://127.0.0.1:{port}{path}"
    values: dict[str, object] = {"headers": PROTOBUF, "content": b"", "verify": federation.trust, "timeout": 10}
    return httpx.post(url, **(values | more))  # type: ignore[arg-type]


def ended(connection: socket.socket) -> bool:
    """Whether the other side closes the connection; waits for it."""
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True


def signed(federation: Federation, party: str, key: Path | None = None) -> dict[str, str]:
    """Headers that a party's node would send now; or another key, with its own signature."""
    node_key = read_node_key(key or federation.nodes[party].settings.key)
    public = node_key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    stamp = datetime.now(UTC).isoformat()
    signature = node_key.sign(stamp.encode("ascii"), ec.ECDSA(hashes.SHA256()))
    fields = {"flwr-public-key": b64encode(public).decode(), "flwr-signature": b64encode(signature).decode()}
    return PROTOBUF | fields | {"flwr-timestamp": stamp}


def listening() -> dict[int, str]:
    """Port to address of all that listens here over IPv4 or IPv6, as the kernel writes addresses."""
    found = {}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text("ascii").splitlines()[1:]:
            _, local, _, state = line.split()[:4]
            if state == "0A":
                address, port = local.split(":")
                found[int(port, 16)] = address
    return found


@dataclass
class Onlooker:
    """Any user of this machine: sees every command line while it is there. `tokens` are those that the server gave."""

    lines: set[str] = field(default_factory=set)
    tokens: set[str] = field(default_factory=set)


@contextmanager
def looking_on(database: Path) -> Iterator[Onlooker]:
    """Look at all command lines of the machine until the context ends, some twenty times a second."""
    seen, done = Onlooker(), threading.Event()

    def look() -> None:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as state:
            while not done.wait(0.05):
                for path in Path("/proc").glob("[0-9]*/cmdline"):
                    with suppress(OSError):
                        seen.lines.add(path.read_text("utf-8", "replace").replace("\0", " "))
                with suppress(sqlite3.OperationalError):  # the server writes
                    found = state.execute("SELECT token FROM task WHERE token IS NOT NULL").fetchall()
                    seen.tokens |= {token for (token,) in found}

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield seen
    finally:
        done.set()
        watcher.join()


@dataclass(frozen=True)
class SeenRun:
    """A run of three rounds: what its server app wrote, what a node was asked, and what an onlooker saw meanwhile."""

    found: dict[str, object]
    asked: list[bytes]
    seen: Onlooker


@pytest.fixture(scope="module")
def watched(federation: Federation) -> SeenRun:
    with looking_on(federation.settings.database) as seen:
        found = trial(federation, rounds=3, parties=2)
    return SeenRun(found, federation.echoes["north"].asked[-3:], seen)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="process lists as Linux has them")
def test_no_secret_stands_on_a_command_line(federation: Federation, watched: SeenRun):
    files = [federation.settings.token, federation.settings.folder / "executor.secret"]
    files += [node.settings.folder / "executor.secret" for node in federation.nodes.values()]
    secrets, seen = {path.read_text("ascii").strip() for path in files}, watched.seen
    assert seen.tokens  # the server app had one, and was there to be seen
    for program in ("sealscore.server.deploy.launcher", "sealscore.clients.deploy.launcher", "flwr-serverapp"):
        assert any(program in line for line in seen.lines), program
    shown = {line[:120] for line in seen.lines if any(secret in line for secret in secrets | seen.tokens)}
    # the tokens of the nodes' tasks are kept in memory alone; they look like the server's
    shown |= {line[:120] for line in seen.lines if re.search(rf"[0-9a-f]{{{len(min(seen.tokens))}}}", line)}
    assert not shown


def test_a_run_reaches_the_nodes_and_ends_as_completed(watched: SeenRun):
    assert watched.found["parties"] == ["north", "south"]
    answers = [{party: f"{party} {number}" for party in ("north", "south")} for number in range(3)]
    assert watched.found["answers"] == answers
    assert watched.asked == [b"0", b"1", b"2"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks the kernel in Linux's way")
def test_everything_listens_on_the_loopback_interface_only(federation: Federation):
    ports = {federation.settings.control_port, federation.settings.partner_port}
    ports |= {node.settings.port for node in federation.nodes.values()}
    assert {port: address for port, address in listening().items() if port in ports} == dict.fromkeys(ports, "0100007F")


def test_files_of_the_processes_are_their_owners_alone(federation: Federation):
    folders = [federation.settings.folder, *(node.settings.folder for node in federation.nodes.values())]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    assert federation.settings.database in files
    assert not [path for path in files if path.stat().st_mode & 0o077]


class TestDoors:
    """A caller without credentials gets nothing of any port, and partners' port has nothing but the Fleet API."""

    def test_the_partner_port_serves_the_fleet_api_only(self, federation: Federation):
        others = [*sorted(CONTROL | RUNTIME), "/", "/docs", "/openapi.json", "/health", "/v1/fleet", "/v1/fleet/"]
        for path in others:
            answer = post(federation.settings.partner_port, federation, path)
            assert answer.status_code == 404, path
        for path in sorted(FLEET):
            assert post(federation.settings.partner_port, federation, path).status_code == 401, path

    def test_the_control_port_needs_the_token_or_the_executors_secret(self, federation: Federation):
        for path in sorted(CONTROL | RUNTIME):
            assert post(federation.settings.control_port, federation, path).status_code == 401, path
        wrong = PROTOBUF | {"authorization": "Bearer wrong"}
        answer = post(federation.settings.control_port, federation, "/v1/control/list-runs", headers=wrong)
        assert answer.status_code == 401
        for path in [*sorted(FLEET), "/docs", "/openapi.json", "/health"]:
            assert post(federation.settings.control_port, federation, path).status_code == 404, path

    def test_a_supernode_gives_nobody_else_its_tasks(self, federation: Federation):
        for name in ("acquire-task", "pull-task-input", "push-task-output", "pull-messages"):
            port = federation.nodes["north"].settings.port
            answer = httpx.post(f"http://127.0.0.1:{port}/v1/runtime/{name}", headers=PROTOBUF, timeout=10)
            assert answer.status_code == 401, name

    def test_a_body_over_the_limit_is_refused(self, federation: Federation):
        def pieces() -> Iterator[bytes]:
            yield from [b"x" * 65_536] * (BODY_LIMIT // 65_536 + 1)

        path, port, known = "/v1/fleet/push-object", federation.settings.partner_port, signed(federation, "north")
        for content in (b"x" * (BODY_LIMIT + 1), pieces()):  # announced, and not
            assert post(port, federation, path, content=content, headers=known).status_code == 413
        answer = post(port, federation, path, content=b"x" * BODY_LIMIT, headers=known)
        assert answer.status_code != 413
        assert "of enrolled nodes only" not in answer.text

    def test_a_long_body_is_taken_of_enrolled_nodes_only(self, federation: Federation):
        path, port = "/v1/fleet/push-object", federation.settings.partner_port
        stranger = federation.folder / "stranger.key"
        make_node_key(stranger)
        for headers in (PROTOBUF, signed(federation, "north", stranger)):
            try:
                text = post(port, federation, path, content=b"x" * BODY_LIMIT, headers=headers).text
            except httpx.TransportError:  # the connection ends while the body is under way, perhaps before the answer
                continue
            assert "of enrolled nodes only" in text

    @pytest.mark.skipif(not sys.platform.startswith("linux"), reason="127.0.0.2 is this machine's on Linux only")
    def test_a_stranger_with_all_its_connections_keeps_no_partner_out(self, federation: Federation):
        address = ("127.0.0.1", federation.settings.partner_port)
        with ExitStack() as stack:
            for _ in range(MOST_OF_ONE):
                made = socket.create_connection(address, timeout=10, source_address=("127.0.0.2", 0))
                idle = stack.enter_context(made)
            more = socket.create_connection(address, timeout=10, source_address=("127.0.0.2", 0))
            assert ended(stack.enter_context(more)), "one too many is closed at once"
            assert trial(federation, rounds=1, parties=2)["parties"] == ["north", "south"]
            idle.settimeout(3 * HASTE)
            assert ended(idle), "who says nothing is cut off"


class TestPinning:
    def test_another_bundle_is_refused_before_anything_of_it_is_unpacked(self, federation: Federation):
        other = trial_bundle(about="another trial")
        assert other.sha256 != federation.bundle.sha256
        asked = {party: len(federation.echoes[party].asked) for party in federation.nodes}
        before = {party: len(node.refusals()) for party, node in federation.nodes.items()}
        output = federation.folder / "trial.json"
        with ExitStack() as stack, Control(federation.settings) as control:
            seen = {party: stack.enter_context(scratch.watched()) for party, scratch in federation.scratch.items()}
            run_id = control.submit(other, {"output": str(output), "parties": 2, "rounds": 1})
            # Whoever was refused is asked again; by the third time the first would have been at work.
            refused = until(lambda: all(len(n.refusals()) >= before[p] + 3 for p, n in federation.nodes.items()))
            assert refused, federation.told
            control.stop(run_id)
        for party, node in federation.nodes.items():
            last = node.refusals()[-1]
            assert other.sha256 in last.reason
            assert last.run == run_id
            assert len(federation.echoes[party].asked) == asked[party]
            assert not unpacked_of(other, seen[party])
            assert f"bundle {other.sha256} is refused" in node.node.tail()

        # The allowed bundle runs on as before, and is unpacked there.
        with ExitStack() as stack:
            seen = {party: stack.enter_context(scratch.watched()) for party, scratch in federation.scratch.items()}
            assert trial(federation, rounds=1, parties=2)["parties"] == ["north", "south"]
        assert all(unpacked_of(federation.bundle, seen[party]) for party in federation.nodes)


class TestTroubles:
    """Why a node cannot connect, asked of the live server (`tests/clients/deploy/test_connection.py` has the rest)."""

    def test_an_unenrolled_key_is_told_and_mended_without_a_restart(self, federation: Federation):
        node = federation.supernode("west", enrol=False)
        node.start()
        assert until(lambda: node.trouble is not None)
        assert node.trouble is not None
        assert node.trouble.code == "key"
        assert "does not know this node's key" in str(node.trouble)
        assert node.node.pid is None
        key = read_node_key(node.settings.key).public_key()
        with Control(federation.settings) as control:
            control.enrol(key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode("ascii"), "west")
        assert until(node.connected), federation.told
        assert node.trouble is None
        node.stop()
        del federation.nodes["west"]

    def test_a_wrong_authority_a_clock_and_no_server(self, federation: Federation):
        settings = federation.nodes["north"].settings
        assert check_connection(settings.server, settings.authority, settings.key) is None

        other = make_authority(federation.folder / "other-authority")
        trouble = check_connection(settings.server, other, settings.key)
        assert trouble is not None
        assert trouble.code == "authority"

        for off in (-60.0, 60.0, 400.0, -400.0):
            trouble = check_connection(
                settings.server, settings.authority, settings.key, clock=lambda off=off: time.time() + off
            )
            assert trouble is not None
            assert trouble.code == "clock"
            assert ("ahead of" if off > 0 else "behind") in trouble.text

        control = f"127.0.0.1:{federation.settings.control_port}"
        trouble = check_connection(control, settings.authority, settings.key)
        assert trouble is not None
        assert "no partner port" in trouble.text

        nobody = f"127.0.0.1:{free_ports(1)[0]}"
        trouble = check_connection(nobody, settings.authority, settings.key)
        assert trouble is not None
        assert trouble.code == "unreachable"

    def test_asking_does_not_disturb_the_supernode(self, federation: Federation):
        with Control(federation.settings) as control:
            online = {node.name for node in control.nodes() if node.online}
        assert online == {"north", "south"}


class TestSurvival:
    def test_a_supernode_killed_in_mid_round_is_given_up_and_comes_back(self, federation: Federation):
        node, echo = federation.nodes["south"], federation.echoes["south"]
        before = node.node.pid
        assert before is not None
        taken = threading.Event()
        answer = echo.answer

        def slow(request: bytes) -> bytes:
            taken.set()
            time.sleep(2)
            return answer(request)

        echo.answer = slow  # type: ignore[method-assign]
        killer = threading.Thread(target=lambda: taken.wait(60) and os.kill(before, signal.SIGKILL))
        killer.start()
        try:
            found = trial(federation, rounds=1, parties=2)
        finally:
            killer.join()
            echo.answer = answer  # type: ignore[method-assign]
        assert found["answers"] == [{"north": "north 0", "south": "unavailable"}]
        assert until(lambda: node.node.pid not in (None, before))
        assert trial(federation, rounds=1, parties=2)["answers"] == [{"north": "north 0", "south": "south 0"}]

    def test_a_superlink_started_anew_has_its_nodes_again(self, federation: Federation):
        federation.link.restart()
        assert trial(federation, rounds=1, parties=2)["parties"] == ["north", "south"]


def test_nothing_is_left_when_all_is_stopped():
    with federated() as federation:
        node = federation.supernode("north")
        node.start()
        assert until(node.connected), federation.told
        watched = [federation.link.link, federation.link.executor, node.node, node.executor]
        pids = [process.pid for process in watched]
        assert all(pids)
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)  # type: ignore[arg-type]
