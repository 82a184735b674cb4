"""A marginal round of Flower's simulation engine against one of the in-process engine: 10 lenders that only echo.

The lenders do nothing but give 3 kB back, so what is timed is the engine: in Flower its state, polls, Ray and the
way over the nodes' sockets; in process the same apps and messages. Start-up and the first two rounds are left out
of the ratio; the start-up is given beside it.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from pathlib import Path
from statistics import mean
from typing import Any

import server
from simulations.bench import _echo
from simulations.flower_engine import run_with_flower
from simulations.grid import run_in_process

LENDERS, BODY, WARM_UP = 10, 3_000, 2
ROUNDS_IN_PROCESS, ROUNDS_FLOWER = 300, 30

_DESCRIPTION = """\
[project]
name = "sealscore-bench"
version = "0.1.0"

[tool.flwr.app]
publisher = "sealscore"
fab-include = ["server/*.py", "clients/*.py"]

[tool.flwr.app.components]
serverapp = "server.app:app"
clientapp = "clients.app:app"

[tool.flwr.app.config]
plan = ""
output = ""
parties = ""
node-sockets = ""
"""


class Echo:
    """A lender that gives back what it got."""

    def __init__(self, name: str) -> None:
        self.name = name

    def answer(self, request: bytes) -> bytes:
        return request


def run() -> dict[str, Any]:
    """Time both engines, one after the other, and return `ratio` with what it is made of (seconds)."""
    lenders = {name: Echo(name) for name in (f"lender-{number}" for number in range(LENDERS))}
    started = time.perf_counter()
    here = run_in_process(lenders, lambda exchange: _echo.time_rounds(exchange, lenders, ROUNDS_IN_PROCESS, BODY))
    total_here = time.perf_counter() - started
    with tempfile.TemporaryDirectory(prefix="sealscore-") as folder:
        plan = json.dumps({"parties": list(lenders), "rounds": ROUNDS_FLOWER, "bytes": BODY}).encode()
        started = time.perf_counter()
        run_with_flower(
            lenders, plan, Path(folder) / "out", project=echo_project(Path(folder) / "project"), timeout=300.0
        )
        total_flower = time.perf_counter() - started
        flower = json.loads((Path(folder) / "out" / "run.json").read_text("utf-8"))
    in_process, ray = mean(here["seconds"][WARM_UP:]), mean(flower["seconds"][WARM_UP:])
    return {
        "ratio": ray / in_process,
        "flower_round_seconds": ray,
        "in_process_round_seconds": in_process,
        "in_process_message_seconds": in_process / LENDERS,
        "flower_start_and_end_seconds": total_flower - sum(flower["seconds"]),
        "in_process_start_and_end_seconds": total_here - sum(here["seconds"]),
        "flower_courier_processes": flower["couriers"],
        "lenders": LENDERS,
        "body_bytes": BODY,
    }


def echo_project(target: Path) -> Path:
    """The project's own apps with the echoing coordinator, as a source tree for Flower."""
    root = Path(server.__file__).resolve().parents[1]
    for name in (
        "server/__init__.py",
        "server/app.py",
        "server/exchange.py",
        "clients/__init__.py",
        "clients/app.py",
        "clients/courier.py",
        "clients/frames.py",
    ):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / name, target / name)
    shutil.copyfile(_echo.__file__, target / "server" / "entry.py")
    (target / "pyproject.toml").write_text(_DESCRIPTION, encoding="utf-8")
    return target
