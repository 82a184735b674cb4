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
from paths import ROOT
from processes import alive

from sealscore.clients.courier import Responder
from sealscore.shared.bundle import courier_app
from sealscore.simulations.engine import flower_engine
from sealscore.simulations.engine.flower_engine import FlowerRunError, run_with_flower
from sealscore.simulations.engine.flower_processes import end_tree, groups_below, members
from sealscore.simulations.engine.grid import run_in_process

# Seconds after which a thing that was to come is taken for lost: a busy machine is slow, and a quick one does not wait.
PATIENCE = 300.0
SECRET = "income of applicant 17 is 1250"

# A server app for these tests, with nothing of the protocol behind it.
ECHO = """
import json
from pathlib import Path

from flwr.serverapp import ServerApp

from sealscore.server.app import FlowerExchange
from sealscore.server.transport.exchange import Failure, wait_for

app = ServerApp()


def rounds(exchange, names, count):
    wait_for(exchange, names, 240.0, 0.1)
    replies = []
    for number in range(count):
        sent = {name: f"{number} {name}".encode() * 50 for name in names}
        got = exchange.send(sent, timeout=240.0)
        replies.append({n: r.reason if isinstance(r, Failure) else r.hex() for n, r in got.items()})
    return replies


@app.main()
def main(grid, context):
    plan = json.loads(Path(context.run_config["plan"]).read_bytes())
    if "fail" in plan:
        raise ValueError(plan["fail"])
    exchange, output = FlowerExchange(grid), Path(context.run_config["output"])
    output.mkdir(parents=True)
    rounds(exchange, plan["parties"], 1)
    (output / "started").touch()
    record = {"replies": rounds(exchange, plan["parties"], plan["rounds"]), "traffic": exchange.traffic.summary()}
    (output / "run.json").write_text(json.dumps(record))
"""
APP = courier_app("echoing:app") | {"echoing.py": ECHO.encode()}


class Node:
    """A responder that answers with its name and the bytes reversed, or does what it is given."""

    def __init__(self, name: str, act: Callable[[bytes], bytes] | None = None) -> None:
        self.name = name
        self.act = act or (lambda body: name.encode() + body[::-1])

    def answer(self, request: bytes) -> bytes:
        return self.act(request)


def fail(body: bytes) -> bytes:
    raise ValueError(SECRET)


def plan(**values: object) -> bytes:
    return json.dumps(values).encode()


@pytest.mark.slow
def test_both_engines_give_equal_answers_and_flowers_come_from_other_processes(tmp_path: Path) -> None:
    threads: set[int] = set()

    def act(body: bytes) -> bytes:
        threads.add(os.getpid())
        return b"c" + body

    parties: dict[str, Responder] = {"b": Node("b"), "a": Node("a"), "c": Node("c", act), "d": Node("d", fail)}
    asked = plan(parties=sorted(parties), rounds=3)
    run_with_flower(parties, asked, tmp_path / "out", app=APP, timeout=PATIENCE)
    text = (tmp_path / "out" / "run.json").read_text()
    record = json.loads(text)

    space: dict[str, Callable] = {}
    exec(ECHO, space)
    in_process = run_in_process(parties, lambda exchange: space["rounds"](exchange, sorted(parties), 3))
    assert record["replies"] == in_process
    assert [replies["d"] for replies in in_process] == ["unavailable"] * 3
    assert "applicant" not in text

    couriers = {int(pid): count for pid, count in record["traffic"]["couriers"].items()}
    assert sum(couriers.values()) == (1 + 3) * len(parties)
    assert os.getpid() not in couriers
    assert threads == {os.getpid()}  # while the node itself answered here
    assert not any(map(alive, couriers))


@pytest.mark.slow
def test_a_run_that_fails_raises_with_its_reason_and_its_log(tmp_path: Path) -> None:
    with pytest.raises(FlowerRunError, match="the run ended as finished:failed") as caught:
        run_with_flower({"a": Node("a")}, plan(fail="phase bins has no party"), tmp_path / "out", app=APP)
    assert "phase bins has no party" in str(caught.value)
    assert "Traceback" in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "status"),
    [pytest.param(signal.SIGINT, 1, marks=pytest.mark.long), (signal.SIGTERM, 128 + signal.SIGTERM)],
)
def test_an_interrupt_ends_everything_that_was_started(tmp_path: Path, number: signal.Signals, status: int) -> None:
    script = (
        "import json, os, signal, sys\n"
        "from pathlib import Path\n"
        "from sealscore.shared.bundle import courier_app\n"
        "from sealscore.simulations.engine import flower_engine\n"
        f"app = courier_app('echoing:app') | {{'echoing.py': {ECHO.encode()!r}}}\n"
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
        "flower_engine.run_with_flower({'a': Node()}, plan, Path(sys.argv[1]), app=app)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    launcher = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "out")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    )
    try:
        assert launcher.stdout is not None
        superlink, home = launcher.stdout.readline().split()
        _until(lambda: (tmp_path / "out" / "started").exists(), PATIENCE)
        family = members(groups_below(int(superlink)))
        assert len(family) > 3  # superlink, executor, simulation, Ray's
        launcher.send_signal(number)
        _, errors = launcher.communicate(timeout=PATIENCE)
    finally:
        if launcher.poll() is None:
            launcher.terminate()
            launcher.communicate(timeout=PATIENCE)
    assert launcher.returncode in (status, -number), errors
    assert not any(map(alive, family))
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
    assert not alive(child)


def test_a_superlink_that_does_not_start_is_an_error_with_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = flower_engine._start

    def broken(command: list[str], *rest: object) -> object:
        return start([sys.executable, "-c", "raise SystemExit('no port is free')"], *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(flower_engine, "_start", broken)
    with pytest.raises(FlowerRunError, match="flower-superlink ended with 1\nno port is free"):
        run_with_flower({"a": Node("a")}, b"", tmp_path / "out", app=APP)


def test_children_see_only_this_runs_flower_and_ray(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    monkeypatch.setenv("FLWR_HOME", "/somewhere/else")
    environment = flower_engine._environment(tmp_path)
    assert environment["RAY_ADDRESS"] == "local"
    assert Path(environment["FLWR_HOME"]).parent == tmp_path
    assert environment["FLWR_TELEMETRY_ENABLED"] == environment["RAY_USAGE_STATS_ENABLED"] == "0"
    assert shutil.which("flower-superlink", path=environment["PATH"])


def _until(true: Callable[[], bool], timeout: float) -> None:
    deadline = time.monotonic() + timeout
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)
