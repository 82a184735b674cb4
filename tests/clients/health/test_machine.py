"""What `check` finds on the machine: a port, the running node's own trouble, files of others, a log that is ahead."""

from __future__ import annotations

import json
import os
import socket
import time
from typing import Any

import pytest
from homes import Town

from sealscore.clients.health.machine import machine_faults
from sealscore.clients.setup.serving_dir import ServingDir


def found(town: Town) -> dict[str, str]:
    node_dir = town["lender-1"]
    return {fault.what: fault.words for fault in machine_faults(node_dir, node_dir.config())}


def test_nothing_is_wrong_with_a_new_node(town: Town):
    assert found(town) == {}


def test_a_port_of_another_process_unless_the_node_runs_here(town: Town):
    port = town["lender-1"].config().supernode.port
    with socket.create_server(("127.0.0.1", port)):
        assert list(found(town)) == ["port"]
        assert str(port) in found(town)["port"]
        write(town, trouble=None)
        assert found(town) == {}


def test_the_trouble_of_the_node_that_runs_and_of_no_other(town: Town):
    write(town, trouble="the server has not answered since ...")
    assert list(found(town)) == ["processes"]
    write(town, trouble="the server has not answered since ...", at=time.time() - 60)
    assert found(town) == {}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to other users")
def test_files_of_another_user_but_not_a_scorers(town: Town):
    folder = town["lender-1"].folder
    os.chown(folder / "keys" / "identity", 54_321, -1)
    os.chown(folder / "loans.csv", 54_321, -1)
    assert list(found(town)) == ["files"]
    assert "keys/identity" in found(town)["files"]
    assert "loans.csv" not in found(town)["files"]
    (folder / "releases").mkdir()
    os.chown(folder / "keys" / "identity", 0, -1)
    os.chown(folder / "releases", 54_321, -1)
    with town["lender-1"].config_file.open("a", encoding="utf-8") as config:
        config.write('\n[serving]\nfolder = "releases"\n')
    assert found(town) == {}


def test_a_log_of_scores_whose_last_line_is_of_a_time_to_come(town: Town):
    log = ServingDir(town["lender-1"]).log()
    with log.commit() as batch:
        batch.write({"score_id": "x"}, "a", "p", 1, b"d")
    assert found(town) == {}
    log._database.executescript("DROP TRIGGER lines_stay")
    log._database.execute("UPDATE lines SET at = '2999-01-01T00:00:00Z'")
    log.close()
    assert list(found(town)) == ["scores"]
    assert "2999-01-01" in found(town)["scores"]


def write(town: Town, **content: Any) -> None:
    values = {"state": "running", "pid": 1, "at": time.time(), "connected": True, "refused_bundles": 0}
    town["lender-1"].status_file.write_text(json.dumps(values | content), encoding="ascii")
