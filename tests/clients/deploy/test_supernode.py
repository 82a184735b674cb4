"""What a SuperNode is started with; that it then holds is for `tests/deploy` to show on a live one."""

from __future__ import annotations

import itertools
import os
import time
from pathlib import Path

import pytest
from flwr.common.config import parse_config_args

from sealscore.clients.deploy.supernode import SuperNode, SuperNodeSettings, prepare


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
