"""Runs in processes of their own: the same rows as in this one, and nothing left when they are stopped."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import polars as pl
import pytest
from paths import ROOT

from sealscore.simulations.engine.flower_processes import end_tree, groups_below
from sealscore.simulations.experiments.runs import Run
from sealscore.simulations.sweep.config import Sweep
from sealscore.simulations.sweep.pool import ONE_THREAD, in_processes
from sealscore.simulations.sweep.row import carry_out

Write = Callable[..., Path]
# What does not repeat.
TIMES = ("seconds", "started")

pytestmark = pytest.mark.slow


def test_two_processes_give_the_rows_of_one(write: Write, tmp_path: Path):
    sweep = Sweep.load(write("seeds = 2\n[grid]\ntraining.rounds = [2]\nprivacy.clip_norm = [1.0]\n"))
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    keep = tmp_path / "kept"
    keep.mkdir()
    found = {done.id: done.row for done in in_processes(sweep.tasks, 2, keep)}
    assert set(found) == {task.id for task in sweep.tasks}
    for task in sweep.tasks:
        row, own = found[task.id], carry_out(task).row
        assert row is not None
        assert own is not None
        assert {k: v for k, v in row.items() if k not in TIMES} == {k: v for k, v in own.items() if k not in TIMES}
        assert Run.load(keep / task.id).record["plan"]["seed"] == task.scenario.plan.seed
    assert {name: os.environ.get(name) for name in ONE_THREAD} == before
    assert multiprocessing.active_children() == []


def test_a_caller_that_stops_waits_for_no_run_that_is_under_way(write: Write):
    sweep = Sweep.load(write("[grid]\ntraining.rounds = [2, 90_000, 91_000, 92_000]\n"))
    with closing(in_processes(sweep.tasks, 2)) as runs:
        assert next(runs).id == sweep.tasks[0].id
    assert multiprocessing.active_children() == []


SWALLOWED = """
import os, signal, time
from sealscore.simulations.sweep import pool
def run(task, keep, track):
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)
    except SystemExit:
        os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(60)
pool.CLEANING, pool.carry_out = 1, run
pool._prepare()
pool._carry_out(None, None, False)
"""


def test_a_library_that_swallows_the_word_to_end_keeps_no_process_alive():
    """What it hears while it cleans up does not end it; a run that goes on after that is told again."""
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", SWALLOWED], cwd=ROOT, timeout=60, check=False)
    assert done.returncode == 128 + signal.SIGTERM
    assert time.monotonic() > began + 1


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGKILL])
def test_a_sweep_that_is_stopped_or_killed_leaves_the_finished_rows_and_no_process(
    write: Write, tmp_path: Path, sign: signal.Signals
):
    """A real process and a real signal, in the middle of a run that would take minutes."""
    path, out, home = write("[grid]\ntraining.rounds = [2, 50_000]\n"), tmp_path / "out", tmp_path / "tmp"
    home.mkdir()
    command = [sys.executable, "-m", "sealscore.simulations.cli", "sweep", str(path), "-o", str(out)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "240", "TMPDIR": str(home)}
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        deadline = time.monotonic() + 120
        # The second run has begun when there is a folder of it that has no name yet.
        while not (any(out.glob("rows/*.json")) and any(home.glob("sealscore-*/.partial-*"))):
            assert process.poll() is None, process.stderr.read() if process.stderr else ""
            assert time.monotonic() < deadline
            time.sleep(0.05)
        # Ctrl-C reaches all processes of a terminal; whoever kills names one.
        (os.killpg if sign == signal.SIGINT else os.kill)(process.pid, sign)
        # What it wrote to ends only when its processes have ended, too.
        _, said = process.communicate(timeout=60)
    finally:
        end_tree(process, groups_below(process.pid))
    assert "Traceback" not in said
    if sign == signal.SIGINT:
        assert process.returncode == 130, said
        assert "stopped; 1 finished run kept" in said
    assert pl.read_parquet(out / "sweep.parquet")["training.rounds"].to_list() == [2]
    assert list(home.glob("sealscore-*")) == []
