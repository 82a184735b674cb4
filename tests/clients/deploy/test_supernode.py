"""What a SuperNode is started with; that it then holds is for `tests/deploy` to show on a live one."""

from __future__ import annotations

import itertools
import os
import socket
import time
from pathlib import Path

import pytest
from flwr.common.config import parse_config_args

from sealscore.clients.deploy.supernode import SuperNode, SuperNodeSettings, prepare
from sealscore.shared.processes import Exit


def settings(folder: Path, **changes: object) -> SuperNodeSettings:
    values: dict[str, object] = {
        "folder": folder,
        "server": "fed.example.org:9481",
        "authority": folder / "ca.pem",
        "key": folder / "supernode.key",
        "role": "lender",
        "party": "bank-a",
        "node_socket": Path("/run/sealscore/bank-a.sock"),
    }
    return SuperNodeSettings(**(values | changes))  # type: ignore[arg-type]


def test_flower_reads_the_node_configuration_as_meant(tmp_path: Path):
    command = SuperNode(settings(tmp_path)).node.command
    config = command[command.index("--node-config") + 1]
    assert parse_config_args([config]) == {
        "role": "lender",
        "party": "bank-a",
        "node-socket": "/run/sealscore/bank-a.sock",
    }


@pytest.mark.parametrize("party", ["a b", 'a"b', "a'b", "", "a\\b", "a\nb"])
def test_what_flower_cannot_be_told_is_refused(tmp_path: Path, party: str):
    with pytest.raises(ValueError, match="cannot be passed to Flower"):
        settings(tmp_path, party=party)


def test_it_is_hardened(tmp_path: Path):
    node = SuperNode(settings(tmp_path))
    command = node.node.command
    pairs = dict(itertools.pairwise(command))
    assert pairs["--host"] == "127.0.0.1"
    assert pairs["--isolation"] == "process"
    assert "--superexec-auth-secret-file" in pairs
    assert "--root-certificates" in pairs
    assert "--insecure" not in command
    assert "--allow-runtime-dependency-installation" not in command
    assert node.executor.command[1] == "-I"


def test_the_couriers_get_nothing_of_the_nodes_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DATABASE_PASSWORD", "secret")
    monkeypatch.setenv("FLWR_TELEMETRY_ENABLED", "1")
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    node = SuperNode(settings(tmp_path))
    for process in (node.node, node.executor):
        assert "DATABASE_PASSWORD" not in process.environment
        assert process.environment["FLWR_TELEMETRY_ENABLED"] == "0"
        assert process.environment["FLWR_DISABLE_UPDATE_CHECK"] == "1"
        assert "/elsewhere" not in process.environment["PYTHONPATH"]
        assert process.environment["PATH"] == os.defpath


def test_a_new_folder_allows_no_bundle_and_keeps_its_secret(tmp_path: Path):
    folder = tmp_path / "node"
    prepare(folder)
    secret = (folder / "executor.secret").read_text()
    assert len(secret) >= 43
    assert (folder / "executor.secret").stat().st_mode & 0o777 == 0o600
    assert (folder / "bundles.allowed").read_text() == ""
    prepare(folder)
    assert (folder / "executor.secret").read_text() == secret


def test_a_process_that_cannot_be_started_is_a_trouble(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sealscore.clients.deploy.supernode.check_connection", lambda *where: None)
    (tmp_path / "logs" / "supernode.log").mkdir(parents=True)
    (tmp_path / "logs" / "executor.log").mkdir()
    with SuperNode(settings(tmp_path)) as node:
        deadline = time.monotonic() + 10
        while node.trouble is None and time.monotonic() < deadline:
            time.sleep(0.02)
        assert node.trouble is not None
        assert node.trouble.code == "start"
        assert "it cannot be run" in str(node.trouble)


def test_it_is_held_back_and_says_why(tmp_path: Path):
    told: list[str] = []
    with SuperNode(settings(tmp_path), notice=told.append) as node:
        deadline = time.monotonic() + 10
        while not told and time.monotonic() < deadline:
            time.sleep(0.02)
        assert node.node.pid is None
        assert node.trouble is not None
        assert node.trouble.code == "files"
        assert not node.connected()
    assert told[0].startswith("supernode is not started:")
    assert "supernode.key: cannot be read" in told[0]


class Ran:
    """In place of a SuperNode's process: whether it runs, since when, and how it ended before."""

    def __init__(self, started: float | None, *ended: float, pid: int | None = 1) -> None:
        self.name, self.log = "supernode", Path("logs/supernode.log")
        self.started, self.pid, self.hindrance = started, pid, None
        self.exits = [Exit(1, 4.0, at) for at in ended]


def answered(folder: Path, at: float) -> None:
    (folder / "contact").touch()
    os.utime(folder / "contact", (at, at))


def test_an_answer_to_the_process_before_is_no_connection(tmp_path: Path):
    node, now = SuperNode(settings(tmp_path)), time.time()
    node.node = Ran(now - 5)
    assert not node.connected()
    answered(tmp_path, now - 6)
    assert not node.connected()
    assert node.last_contact() == pytest.approx(now - 6)
    answered(tmp_path, now - 1)
    assert node.connected()
    node.node = Ran(now - 5, pid=None)
    assert not node.connected()


@pytest.mark.parametrize(("poll", "ago", "connected"), [(0.5, 29, True), (0.5, 32, False), (60.0, 80, True)])
def test_a_node_that_asks_seldom_is_connected_between_its_questions(
    tmp_path: Path, poll: float, ago: float, connected: bool
):
    node, now = SuperNode(settings(tmp_path, poll=poll)), time.time()
    node.node = Ran(now - 1000)
    answered(tmp_path, now - ago)
    assert node.connected() is connected


def test_silence_counts_from_the_last_answer_and_only_of_one_that_runs(tmp_path: Path):
    node, now = SuperNode(settings(tmp_path)), time.time()
    node.node = Ran(now - 5)
    assert node.silent_since() is None
    node.node = Ran(now - 100)
    assert node.silent_since() == pytest.approx(now - 100)
    answered(tmp_path, now - 500)
    assert node.silent_since() == pytest.approx(now - 500)
    answered(tmp_path, now - 3)
    assert node.silent_since() is None
    answered(tmp_path, now - 500)
    node.node = Ran(now - 100, pid=None)
    assert node.silent_since() is None


def test_a_process_that_ends_again_and_again_is_a_trouble(tmp_path: Path):
    node, now = SuperNode(settings(tmp_path)), time.time()
    node.node = Ran(now, now - 900, now - 30, now - 20)
    assert node.trouble is None
    assert node.restarts() == {"supernode": 2}
    node.node = Ran(now, now - 40, now - 30, now - 20)
    assert node.trouble is not None
    assert node.trouble.code == "restarting"
    assert "exit code 1 after 4 s" in node.trouble.text


def test_a_port_of_another_process_holds_back_both_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sealscore.clients.deploy.supernode.check_connection", lambda *where: None)
    monkeypatch.setattr("sealscore.clients.deploy.supernode._LINGER", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        node = SuperNode(settings(tmp_path, port=port))
        said = node.node._check()
        assert node.trouble is not None
        assert node.trouble.code == "port"
        assert f"port {port}" in str(said)
        assert node.executor._check() == said
        node.node = Ran(time.time())  # one's own SuperNode has the port then
        assert node.executor._check() is None
    node.node = Ran(None, pid=None)
    assert node.executor._check() is None
