"""Training at full load beside a service: in-process federation runs one after the other, in a process of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from sealscore.shared.phases.order import Phase
from sealscore.simulations.data.scenario import PLANS, Scenario
from sealscore.simulations.experiments.job import run_job

PLAN = "synthetic_horizontal_eps2"
_BEGUN = "training"


class Trainer:
    """A process that trains, asleep but for what stands in `awake`. `cpu` and `wall` are its seconds while awake."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = psutil.Process(process.pid)
        self._process.suspend()
        self.cpu = self.wall = 0.0

    @contextmanager
    def awake(self) -> Iterator[None]:
        """Have it train for the block."""
        cpu, wall = self._used(), time.perf_counter()
        self._process.resume()
        try:
            yield
        finally:
            self._process.suspend()
            self.cpu, self.wall = self.cpu + self._used() - cpu, self.wall + time.perf_counter() - wall

    def _used(self) -> float:
        used = self._process.cpu_times()
        return float(used.user + used.system)


@contextmanager
def trainer(nice: int, environment: Mapping[str, str]) -> Iterator[Trainer]:
    """A process that has begun to train, so much nicer than this one.

    Raises:
        RuntimeError: it did not begin.
    """
    command = [sys.executable, "-c", f"from {__name__} import main; main({nice})"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        if process.stdout.readline().strip() != _BEGUN:
            raise RuntimeError("the training of the benchmark did not start")
        yield Trainer(process)
    finally:
        process.terminate()
        process.send_signal(signal.SIGCONT)
        process.wait()
        process.stdout.close()


class _Begun:
    """Says once that the first round is over."""

    def __init__(self) -> None:
        self._said = False

    def phase(self, phase: Phase) -> None:
        pass

    def round(self, row: dict[str, Any]) -> None:
        if not self._said:
            print(_BEGUN, flush=True)
        self._said = True


def main(nice: int) -> None:
    """Train until SIGTERM."""
    os.nice(nice)
    # Folders of a run that is cut off are removed.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    scenario, begun = Scenario.load(PLANS / f"{PLAN}.toml"), _Begun()
    while True:
        with tempfile.TemporaryDirectory() as folder:
            run_job(scenario, observer=begun, baselines=set(), runs=Path(folder))
