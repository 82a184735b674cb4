"""Flower's simulation engine: equal answers from other processes, failures with their reason, nothing left running."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from clients.courier import Responder
from server.exchange import Exchange, Failure
from simulations import flower_engine
from simulations.flower_engine import FlowerRunError, run_with_flower, stage_bundle
from simulations.flower_processes import end_tree
from simulations.grid import run_in_process

ROOT = Path(__file__).resolve().parents[2]
SECRET = "income of applicant 17 is 1250"

# A coordinator for these tests: the boundary of server/entry.py, with nothing of the protocol behind it.
ENTRY = """
import json

from server.exchange import Failure, wait_for


def rounds(exchange, names, count):
    wait_for(exchange, names, 60.0, 0.1)
    replies = []
    for number in range(count):
        sent = {name: f"{number} {name}".encode() * 50 for name in names}
        got = exchange.send(sent, timeout=60.0)
        replies.append({n: r.reason if isinstance(r, Failure) else r.hex() for n, r in got.items()})
    return replies


def run_coordinator(plan_bytes, exchange, output_dir):
    plan = json.loads(plan_bytes)
    if "fail" in plan:
        raise ValueError(plan["fail"])
    output_dir.mkdir(parents=True)
    rounds(exchange, plan["parties"], 1)
    (output_dir / "started").touch()
    record = {"replies": rounds(exchange, plan["parties"], plan["rounds"]), "traffic": exchange.traffic.summary()}
    (output_dir / "run.json").write_text(json.dumps(record))
"""

PYPROJECT = """
[project]
name = "sealscore-echo"
version = "0.1.0"

[tool.flwr.app]
publisher = "sealscore"
fab-include = ["server/*.py", "clients/__init__.py", "clients/app.py", "clients/courier.py", "clients/frames.py"]

[tool.flwr.app.components]
serverapp = "server.app:app"
clientapp = "clients.app:app"

[tool.flwr.app.config]
plan = ""
output = ""
parties = ""
node-sockets = ""
"""


class Node:
    """A responder that answers with its name and the bytes reversed, or does what it is given."""

    def __init__(self, name: str, act: Callable[[bytes], bytes] | None = None) -> None:
        self.name = name
        self.act = act or (lambda body: name.encode() + body[::-1])

    def answer(self, request: bytes) -> bytes:
        return self.act(request)


def fail(body: bytes) -> bytes:
    raise ValueError(SECRET)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """This project's apps with the test's coordinator."""
    root = tmp_path / "project"
    for name in ("server/__init__.py", "server/app.py", "server/exchange.py"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, root / name)
    shutil.copytree(ROOT / "clients", root / "clients")
    (root / "server" / "entry.py").write_text(ENTRY)
    (root / "pyproject.toml").write_text(PYPROJECT)
    return root


def plan(**values: object) -> bytes:
    return json.dumps(values).encode()


@pytest.mark.slow
def test_both_engines_give_equal_answers_and_flowers_come_from_other_processes(project: Path, tmp_path: Path) -> None:
    threads: set[int] = set()

    def act(body: bytes) -> bytes:
        threads.add(os.getpid())
        return b"c" + body

    parties: dict[str, Responder] = {"b": Node("b"), "a": Node("a"), "c": Node("c", act), "d": Node("d", fail)}
    asked = plan(parties=sorted(parties), rounds=3)
    run_with_flower(parties, asked, tmp_path / "out", project=project, timeout=120.0)
    text = (tmp_path / "out" / "run.json").read_text()
    record = json.loads(text)

    space: dict[str, Callable] = {}
    exec(ENTRY, space)
    in_process = run_in_process(parties, lambda exchange: space["rounds"](exchange, sorted(parties), 3))
    assert record["replies"] == in_process
    assert [replies["d"] for replies in in_process] == ["unavailable"] * 3
    assert "applicant" not in text

    couriers = {int(pid): count for pid, count in record["traffic"]["couriers"].items()}
    assert sum(couriers.values()) == (1 + 3) * len(parties)
    assert os.getpid() not in couriers
    assert threads == {os.getpid()}  # while the node itself answered here
    assert not _alive(couriers)


@pytest.mark.slow
def test_a_run_that_fails_raises_with_its_reason_and_its_log(project: Path, tmp_path: Path) -> None:
    with pytest.raises(FlowerRunError, match="the run ended as finished:failed") as caught:
        run_with_flower({"a": Node("a")}, plan(fail="phase bins has no party"), tmp_path / "out", project=project)
    assert "phase bins has no party" in str(caught.value)
    assert "Traceback" in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 1), (signal.SIGTERM, 128 + signal.SIGTERM)])
def test_an_interrupt_ends_everything_that_was_started(
    project: Path, tmp_path: Path, number: signal.Signals, status: int
) -> None:
    script = (
        "import json, os, signal, sys\n"
        "from pathlib import Path\n"
        "from simulations import flower_engine\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "class Node:\n"
        "    name = 'a'\n"
        "    def answer(self, body): return body\n"
        "start = flower_engine._start\n"
        "def noted(command, environment, home, log):\n"
        "    process = start(command, environment, home, log)\n"
        "    print(process.pid, home, flush=True)\n"
        "    return process\n"
        "flower_engine._start = noted\n"
        "plan = json.dumps({'parties': ['a'], 'rounds': 10**6}).encode()\n"
        "flower_engine.run_with_flower({'a': Node()}, plan, Path(sys.argv[1]), project=Path(sys.argv[2]))\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    launcher = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "out"), str(project)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    )
    try:
        assert launcher.stdout is not None
        superlink, home = launcher.stdout.readline().split()
        _until(lambda: (tmp_path / "out" / "started").exists(), 90.0)
        family = _family(int(superlink))
        assert len(family) > 3  # superlink, executor, simulation, Ray's
        launcher.send_signal(number)
        _, errors = launcher.communicate(timeout=30.0)
    finally:
        if launcher.poll() is None:
            launcher.terminate()
            launcher.communicate(timeout=30.0)
    assert launcher.returncode in (status, -number), errors
    assert not _alive(family)
    assert not Path(home).exists()
    assert not (tmp_path / "out" / "run.json").exists()


def test_a_process_that_ignores_its_end_is_killed_with_its_children() -> None:
    inner = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    )
    outer = (
        "import os, subprocess, sys, time\n"
        f"child = subprocess.Popen([sys.executable, '-c', {inner!r}], start_new_session=True, stdout=subprocess.PIPE)\n"
        "child.stdout.readline()\n"
        "print(child.pid, flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", outer], start_new_session=True, stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process.stdout:
        child = int(process.stdout.readline())
    end_tree(process, patience=0.3)
    assert process.returncode == -signal.SIGTERM
    assert not _alive([child])


def test_a_superlink_that_does_not_start_is_an_error_with_its_log(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = flower_engine._start

    def broken(command: list[str], *rest: object) -> object:
        return start([sys.executable, "-c", "raise SystemExit('no port is free')"], *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(flower_engine, "_start", broken)
    with pytest.raises(FlowerRunError, match="flower-superlink ended with 1\nno port is free"):
        run_with_flower({"a": Node("a")}, b"", tmp_path / "out", project=project)


def test_the_bundle_holds_what_the_patterns_name(project: Path, tmp_path: Path) -> None:
    bundle = stage_bundle(project, tmp_path / "bundle")
    files = {path.relative_to(bundle).as_posix() for path in bundle.rglob("*") if path.is_file()}
    courier = {"clients/__init__.py", "clients/app.py", "clients/courier.py", "clients/frames.py"}
    assert files == courier | {f"server/{n}.py" for n in ("__init__", "app", "entry", "exchange")} | {"pyproject.toml"}


def test_a_pattern_that_matches_nothing_is_named(project: Path, tmp_path: Path) -> None:
    (project / "server" / "entry.py").rename(project / "entry")
    description = project / "pyproject.toml"
    description.write_text(PYPROJECT.replace('"server/*.py"', '"server/entry.py"'))
    with pytest.raises(FlowerRunError, match=r"pattern 'server/entry\.py' matches no file"):
        stage_bundle(project, tmp_path / "bundle")


def test_an_installed_package_without_sources_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(FlowerRunError, match=r"pyproject\.toml is missing: .* clone it"):
        run_with_flower({"a": Node("a")}, b"", tmp_path / "out", project=tmp_path)


def test_children_see_only_this_runs_flower_and_ray(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    monkeypatch.setenv("FLWR_HOME", "/somewhere/else")
    environment = flower_engine._environment(tmp_path)
    assert environment["RAY_ADDRESS"] == "local"
    assert Path(environment["FLWR_HOME"]).parent == tmp_path
    assert environment["FLWR_TELEMETRY_ENABLED"] == environment["RAY_USAGE_STATS_ENABLED"] == "0"
    assert shutil.which("flower-superlink", path=environment["PATH"])


def test_the_test_coordinator_is_a_coordinator() -> None:
    """The double above keeps the boundary of the project's own entry."""
    import inspect

    from server.entry import run_coordinator

    space: dict[str, Callable] = {}
    exec(ENTRY, space)
    ours = list(inspect.signature(run_coordinator).parameters.values())
    assert all(p.default is not p.empty for p in ours[len(inspect.signature(space["run_coordinator"]).parameters) :])

    def main(exchange: Exchange) -> list:
        return space["rounds"](exchange, ["a"], 1)

    assert run_in_process({"a": Node("a", fail)}, main) == [{"a": Failure("a", "unavailable").reason}]


def _until(true: Callable[[], bool], timeout: float) -> None:
    deadline = time.monotonic() + timeout
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


def _family(root: int) -> set[int]:
    from simulations.flower_processes import _processes, groups_below

    groups = groups_below(root)
    return {process.pid for process in _processes() if process.group in groups}


def _alive(pids: object) -> set[int]:
    from simulations.flower_processes import _processes

    return {process.pid for process in _processes()} & set(pids)  # type: ignore[call-overload]
