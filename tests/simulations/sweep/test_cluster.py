"""A sweep on a Ray cluster that somebody else started, named by its address."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest
from paths import ROOT

from sealscore.simulations.engine.flower_processes import end_tree, groups_below
from sealscore.simulations.sweep.cluster import NoCluster, on_cluster
from sealscore.simulations.sweep.config import Sweep
from sealscore.simulations.sweep.row import carry_out

TIMES = ("seconds", "started")
Write = Callable[..., Path]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """`ray start --head` on the loopback interface in a folder of its own; ended by its process id."""
    # The paths of Ray's sockets hold little more than 100 bytes: too few for a test's own folder.
    home, port = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp")), free_port()
    ray = Path(sysconfig.get_path("scripts")) / "ray"
    command = [str(ray), "start", "--head", "--block", "--node-ip-address=127.0.0.1", f"--port={port}"]
    command += [f"--temp-dir={home}", "--num-cpus=2", "--include-dashboard=false", "--disable-usage-stats"]
    command += [f"--ray-client-server-port={free_port()}", "--object-store-memory=80000000"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    groups: set[int] = set()
    try:
        deadline = time.monotonic() + 120
        while "Ray runtime started" not in (home / "log").read_text():
            assert process.poll() is None, (home / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.1)
        groups = groups_below(process.pid)
        yield f"127.0.0.1:{port}"
    finally:
        end_tree(process, groups | groups_below(process.pid), patience=5.0)
        shutil.rmtree(home, ignore_errors=True)


def sweep_there(path: Path, out: Path, address: str) -> subprocess.Popen[str]:
    """The program in a process of its own: Ray settles what 127.0.0.1 is when it is imported."""
    command = [sys.executable, "-m", "sealscore.simulations.cli", "sweep", str(path), "-o", str(out), "--ray", address]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "240"}
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def ended(process: subprocess.Popen[str]) -> str:
    """What it said, once it has ended."""
    try:
        return process.communicate(timeout=180)[1]
    finally:
        end_tree(process, groups_below(process.pid))


@pytest.mark.slow
def test_rows_are_those_of_this_machine_and_a_failure_stops_no_other(write: Write, address: str, tmp_path: Path):
    text = """[set]
simulation.partition = "quantity"
[grid]
simulation.alpha = [20.0, 1e-6, 50.0]
"""
    path, out = write(text), tmp_path / "out"
    process = sweep_there(path, out, address)
    said = ended(process)
    assert process.returncode == 1, said
    assert "1 run failed and left no row" in said
    assert "some party gets fewer than 10 rows" in said
    found = {row["id"]: row for row in pl.read_parquet(out / "sweep.parquet").iter_rows(named=True)}
    tasks = [task for task in Sweep.load(path).tasks if task.keys["simulation.alpha"] > 1]
    assert set(found) == {task.id for task in tasks}
    for task in tasks:
        own = carry_out(task).row
        assert own is not None
        assert {name: found[task.id][name] for name in own if name not in TIMES} == {
            name: value for name, value in own.items() if name not in TIMES
        }


@pytest.mark.live
@pytest.mark.slow
def test_ctrl_c_keeps_the_rows_and_leaves_the_cluster_free(write: Write, address: str, tmp_path: Path):
    long = write("[grid]\ntraining.rounds = [2, 90_000, 91_000, 92_000]\n")
    process = sweep_there(long, tmp_path / "out", address)
    try:
        deadline = time.monotonic() + 120
        while not any(tmp_path.glob("out/rows/*.json")):
            assert process.poll() is None, process.stderr.read() if process.stderr else ""
            assert time.monotonic() < deadline
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGINT)
    finally:
        said = ended(process)
    assert process.returncode == 130, said
    assert "stopped; 1 finished run kept" in said
    again = sweep_there(write("[grid]\ntraining.rounds = [3]\n", "short.toml"), tmp_path / "other", address)
    said = ended(again)
    assert again.returncode == 0, said
    assert pl.read_parquet(tmp_path / "other" / "sweep.parquet")["training.rounds"].to_list() == [3]


def test_no_cluster_at_the_address(write: Write):
    (task,) = Sweep.load(write("[grid]\ntraining.rounds = [2]\n")).tasks
    with pytest.raises(NoCluster, match=r"no Ray cluster answers at 127\.0\.0\.1"):
        list(on_cluster([task], f"127.0.0.1:{free_port()}"))
