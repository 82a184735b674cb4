"""`sealscore-sim report` as a user meets it."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from builders import NO_NOISE, small_scenario

from sealscore.simulations import cli
from sealscore.simulations.data.scenario import Scenario
from sealscore.simulations.experiments.job import run_job
from sealscore.simulations.experiments.runs import NoSuchRun
from sealscore.simulations.report import report_of
from sealscore.simulations.sweep.store import RECORD, TABLE


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs with one in it, of invented records."""
    folder = tmp_path_factory.mktemp("report")
    scenario = Scenario.load(small_scenario(folder, noise=NO_NOISE))
    run_job(scenario, baselines=False, runs=folder / "runs")
    return folder / "runs"


@pytest.fixture
def sim(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Call the program in this process: its exit code, what it printed, what it complained of."""
    monkeypatch.setenv("COLUMNS", "240")

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["sealscore-sim", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        out, err = capsys.readouterr()
        return int(stopped.value.code or 0), out, " ".join(err.split())

    return call


def test_it_writes_into_the_run_folder_and_prints_the_path(sim: Any, runs: Path):
    code, out, _ = sim("report", "last", "--runs", runs)
    written = Path(out.strip())
    assert code == 0
    assert written.name == "report.html"
    assert written.parent.parent == runs
    text = written.read_text()
    assert text.startswith("<!DOCTYPE html>")
    assert "Run report: tiny" in text
    assert "This is a simulation" in text


def test_by_name_by_folder_and_to_another_place(sim: Any, runs: Path, tmp_path: Path):
    folder = next(runs.glob("tiny*"))
    for name in (folder, folder.name, "tiny"):
        target = tmp_path / "page.html"
        code, out, _ = sim("report", name, "-o", target, "--runs", runs)
        assert (code, out.strip()) == (0, str(target))
        assert "Run report: tiny" in target.read_text()
        target.unlink()


def test_a_folder_without_an_oracle_is_enough(sim: Any, runs: Path, tmp_path: Path):
    folder = Path(shutil.copytree(next(runs.glob("tiny*")), tmp_path / "from a server"))
    (folder / "oracle.json").unlink()
    code, out, _ = sim("report", folder)
    assert (code, Path(out.strip())) == (0, folder / "report.html")
    assert "simulation only" not in (folder / "report.html").read_text()


@pytest.fixture
def swept(tmp_path: Path) -> Path:
    """A folder as a sweep leaves it, of two runs with invented figures."""
    folder = tmp_path / "runs" / "sweep-mine"
    folder.mkdir(parents=True)
    rows = {"plan": ["tiny"] * 2, "dataset": ["synthetic"] * 2, "label": [None] * 2, "seed": [1, 1]}
    rows |= {"privacy.epsilon": [1.0, 2.0], "auc": [0.7, 0.75], "epsilon": [0.9, 1.9], "lenders": [2, 2]}
    pl.DataFrame(rows).write_parquet(folder / TABLE)
    told = {"name": "mine", "title": "Mine", "keys": ["privacy.epsilon"], "runs": 2, "declaration": None, "file": ""}
    (folder / RECORD).write_text(json.dumps(told))
    return folder


def test_a_sweeps_folder_has_the_sweeps_report(sim: Any, swept: Path, tmp_path: Path):
    code, out, _ = sim("report", swept)
    assert (code, Path(out.strip())) == (0, swept / "report.html")
    assert "Privacy against utility" in (swept / "report.html").read_text()
    code, out, _ = sim("report", swept.name, "--runs", swept.parent, "-o", tmp_path / "page.html")
    assert (code, Path(out.strip())) == (0, tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text() == (swept / "report.html").read_text()
    (swept / RECORD).unlink()
    code, _, err = sim("report", swept)
    assert code == 2
    assert "holds no sweep" in err


def test_bad_input_is_one_message_and_exit_code_2(sim: Any, runs: Path, tmp_path: Path):
    code, _, err = sim("report", "nowhere", "--runs", runs)
    assert code == 2
    assert "match 'nowhere'" in err
    code, _, err = sim("report", "last", "--runs", tmp_path / "none")
    assert code == 2
    code, _, err = sim("report", "last", "-o", tmp_path / "no" / "folder.html", "--runs", runs)
    assert code == 2
    assert "the report cannot be written" in err
    broken = Path(shutil.copytree(next(runs.glob("tiny*")), tmp_path / "broken"))
    (broken / "plan.json").unlink()
    code, _, err = sim("report", broken)
    assert code == 2
    assert "plan.json" in err
    assert "Traceback" not in err
    with pytest.raises(NoSuchRun, match="holds no whole run"):
        report_of(str(broken))
