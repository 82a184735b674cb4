"""A marginal round of Flower's simulation engine against one of the in-process engine: 10 lenders that only echo.

The lenders do nothing but give 3 kB back, so what is timed is the engine: in Flower its state, polls, Ray and the
way over the nodes' sockets; in process the same apps and messages. Start-up and the first two rounds are left out
of the ratio; the start-up is given beside it.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from statistics import mean
from typing import Any

from sealscore.simulations.engine.echo import time_rounds
from sealscore.simulations.engine.flower_echo import echo_app
from sealscore.simulations.engine.flower_engine import run_with_flower
from sealscore.simulations.engine.grid import run_in_process

LENDERS, BODY, WARM_UP = 10, 3_000, 2
ROUNDS_IN_PROCESS, ROUNDS_FLOWER = 300, 30


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
    here = run_in_process(lenders, lambda exchange: time_rounds(exchange, lenders, ROUNDS_IN_PROCESS, BODY))
    total_here = time.perf_counter() - started
    with tempfile.TemporaryDirectory(prefix="sealscore-") as folder:
        plan = json.dumps({"parties": list(lenders), "rounds": ROUNDS_FLOWER, "bytes": BODY}).encode()
        started = time.perf_counter()
        run_with_flower(lenders, plan, Path(folder) / "out", app=echo_app(), timeout=300.0)
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
