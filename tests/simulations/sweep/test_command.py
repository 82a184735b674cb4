"""`sealscore-sim sweep` as a user meets it: going on where it was, failures that do not stop others, bad input."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from sealscore.simulations import cli
from sealscore.simulations.sweep import cluster, pool
from sealscore.simulations.sweep.config import Task
from sealscore.simulations.sweep.row import Done, carry_out

Call = Callable[..., tuple[int, str]]
Write = Callable[..., Path]
GRID = "seeds = 2\n[grid]\ntraining.rounds = [2, 3]\n"
TWO = f'judge = "test"\n{GRID}'


class Here:
    """An engine that runs tasks in this process, and stops where it is told to."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.stop_after: int | None = None
        self.fail: set[int] = set()
        self.arguments: tuple[Any, ...] = ()

    def __call__(self, tasks: Sequence[Task], *arguments: Any) -> Iterator[Done]:
        self.arguments = arguments
        self.ran = []
        for place, task in enumerate(tasks):
            if place == self.stop_after:
                raise KeyboardInterrupt
            self.ran.append(task.id)
            yield Done(task.id, None, "too few rows") if place in self.fail else carry_out(task)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Here:
    here = Here()
    monkeypatch.setattr(pool, "in_processes", here)
    return here


@pytest.fixture
def sim(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Call the program in this process: its exit code and what it said."""
    monkeypatch.setenv("COLUMNS", "240")

    def call(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["sealscore-sim", "sweep", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        out, err = capsys.readouterr()
        return int(stopped.value.code or 0), " ".join((out + err).split())

    return call


def test_a_sweep_that_was_stopped_goes_on_where_it_was(sim: Call, engine: Here, write: Write, tmp_path: Path):
    path, out = write(TWO), tmp_path / "out"
    engine.stop_after = 3
    code, said = sim(path, "-o", out)
    assert code == 130
    assert "stopped; 3 finished runs kept, and the same command goes on from there" in said
    first = pl.read_parquet(out / "sweep.parquet")
    assert first["id"].to_list() == engine.ran
    engine.stop_after = None
    code, said = sim("run", path, "-o", out, "--json")
    assert code == 0
    assert "4 runs of mine, 1 of them missing" in said
    assert len(engine.ran) == 1
    frame = pl.read_parquet(out / "sweep.parquet")
    assert frame.select("training.rounds", "seed").rows() == [(2, 1), (2, 2), (3, 1), (3, 2)]
    assert frame.head(3).equals(first)
    assert f'{{"sweep": "mine", "folder": "{out}", "runs": 4, "failed": 0}}' in said
    assert (out / "report.html").is_file()
    assert "invented" in said
    engine.ran = []
    code, said = sim(path, "-o", out)
    assert code == 0
    assert engine.ran == []


def test_a_run_that_fails_stops_no_other_and_is_tried_again(sim: Call, engine: Here, write: Write, tmp_path: Path):
    path, out = write(TWO), tmp_path / "out"
    engine.fail = {1}
    code, said = sim(path, "-o", out)
    assert code == cli.FAILED
    assert "1 run failed and left no row" in said
    assert "rounds 2, seed 2: too few rows" in said
    assert pl.read_parquet(out / "sweep.parquet").height == 3
    engine.fail = set()
    assert sim(path, "-o", out)[0] == 0
    assert len(engine.ran) == 1


def test_what_is_missing_is_listed_and_nothing_is_run(sim: Call, engine: Here, write: Write, tmp_path: Path):
    code, said = sim(write(TWO), "-o", tmp_path / "out", "--dry-run")
    assert code == 0
    assert json.dumps({"label": None, "training.rounds": 3, "seed": 2}) in said
    assert not (tmp_path / "out").exists()


def test_options_reach_the_engines(
    sim: Call, engine: Here, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path, out = write("[grid]\ntraining.rounds = [2]\n"), tmp_path / "out"
    assert sim("--jobs", 3, "--keep-runs", path, "-o", out)[0] == 0
    assert engine.arguments == (3, out / "runs", False)
    other = Here()
    monkeypatch.setattr(cluster, "on_cluster", other)
    assert sim(path, "-o", tmp_path / "ray", "--ray", "10.0.0.1:6379")[0] == 0
    assert other.arguments == ("10.0.0.1:6379", False)
    assert len(other.ran) == 1


def test_report_and_figures(sim: Call, engine: Here, write: Write, tmp_path: Path):
    out, figures = tmp_path / "out", tmp_path / "figures"
    text = '[[points]]\nlabel = "plain"\n[[points]]\nlabel = "Adam"\ntraining.optimizer.kind = "adam"\n'
    assert sim(write(text), "-o", out)[0] == 0
    code, said = sim("report", out, "-o", tmp_path / "r.html", "--figures", figures)
    assert code == 0
    assert str(tmp_path / "r.html") in said
    assert (figures / "mine-comparison.svg").is_file()
    assert str(figures / "mine-comparison.svg") in said


def test_a_process_that_dies_ends_the_sweep_and_leaves_the_rows(
    sim: Call, engine: Here, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def dies(tasks: Sequence[Task], *arguments: Any) -> Iterator[Done]:
        yield carry_out(tasks[0])
        raise BrokenProcessPool("A process was terminated abruptly")

    monkeypatch.setattr(pool, "in_processes", dies)
    code, said = sim(write(TWO), "-o", tmp_path / "out")
    assert code == cli.FAILED
    assert "A process was terminated abruptly; finished runs are kept" in said
    assert pl.read_parquet(tmp_path / "out" / "sweep.parquet").height == 1


def test_bad_input_has_exit_code_2(sim: Call, engine: Here, write: Write, tmp_path: Path):
    good = write(TWO)
    (tmp_path / "file").write_text("x")
    for arguments, expected in [
        ((write("[grid]\ntraining.rounds = [0]\n", "bad.toml"),), "training.rounds = 0: input should be greater"),
        (("nowhere.toml",), "there is no such sweep"),
        ((good, "--jobs", 0), "--jobs"),
        ((good, "--ray", "x", "--jobs", 2), "--jobs and --keep-runs are for this machine's processes"),
        ((good, "--ray", "head"), "'head' is no address of a Ray cluster; give HOST:PORT, ray://HOST:PORT or auto"),
        ((good, "--ray", "127.0.0.1:1"), "no Ray cluster answers at 127.0.0.1:1"),
        ((good, "-o", tmp_path / "file" / "out"), "cannot be written"),
        (("report", tmp_path), "holds no sweep"),
        ((good, "--speed"), "--speed"),
    ]:
        code, said = sim(*arguments)
        assert code == cli.BAD_INPUT, arguments
        assert expected in said.replace("│ ", "")
        assert "Traceback" not in said
    assert engine.ran == []


def test_the_best_on_validation_is_run_once_on_test(sim: Call, engine: Here, write: Write, tmp_path: Path):
    path, out = write(GRID), tmp_path / "out"
    code, said = sim(path, "-o", out, "--json")
    assert code == 0
    frame = pl.read_parquet(out / "sweep.parquet")
    assert set(frame["judge"]) == {"validation"}
    best = json.loads((out / "best.json").read_bytes())
    assert best["judge"] == "test"
    means = frame.group_by("training.rounds").agg(pl.col("auc").mean()).sort("auc")
    assert best["training.rounds"] == means["training.rounds"][-1]
    assert f'"auc": {best["auc"]}' in said
    # Gone on with, it looks at no test person again.
    engine.ran = []
    code, _ = sim(path, "-o", out)
    assert (code, engine.ran) == (0, [])
