"""`sealscore-sim` as a user meets it: exit codes, one clear message, and a last line that a program can read."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from builders import NO_NOISE, small_scenario
from paths import ROOT

from sealscore.server.transport.exchange import MissingParties, PhaseFailed
from sealscore.shared.plan.errors import PlanError
from sealscore.simulations import cli
from sealscore.simulations.data import datasets
from sealscore.simulations.data.scenario import Scenario
from sealscore.simulations.engine import federation
from sealscore.simulations.experiments import job
from sealscore.simulations.experiments.console import ProgressObserver
from sealscore.simulations.experiments.runs import all_runs
from sealscore.simulations.world import synthetic

# What the issue of the main job asks of the last line.
KEYS = {
    "auc",
    "ks",
    "brier",
    "ece",
    "auc_dp",
    "auc_dp_interval",
    "epsilon",
    "delta",
    "label_epsilon",
    "seconds",
    "bytes_per_party",
    "baselines",
}


class Outcome:
    """An exit code and what was written."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err
        self.said = " ".join((out + err).split())


@pytest.fixture
def sim(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Any:
    """Call the program in this process; wide lines, so that nothing that is looked for is broken."""
    monkeypatch.setenv("COLUMNS", "240")

    def call(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["sealscore-sim", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        out, err = capsys.readouterr()
        return Outcome(int(stopped.value.code or 0), out, err)

    return call


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path / "runs"


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return small_scenario(tmp_path, noise=NO_NOISE)


def nothing_in(runs: Path) -> bool:
    return not runs.exists() or list(runs.iterdir()) == []


class TestRun:
    def test_the_last_line_is_one_object_with_all_figures(self, sim: Any, tmp_path: Path, runs: Path):
        path = small_scenario(tmp_path, epsilon="epsilon = 2.0 -> epsilon = 8.0")
        found = sim("run", path, "--seeds", 2, "--json", "--no-baselines", "--runs", runs)
        assert found.code == 0
        result = json.loads(found.out.splitlines()[-1])
        assert set(result) >= KEYS
        for name in ("auc", "ks", "brier", "ece", "auc_dp"):
            assert set(result[name]) == {"mean", "sd"}
            assert isinstance(result[name]["mean"], float)
        assert result["auc"]["sd"] > 0
        assert 0 < result["epsilon"] <= 8.0
        assert (result["delta"], result["label_epsilon"]) == (1e-5, None)
        assert result["seconds"] > 0
        assert result["bytes_per_party"] > 0
        assert result["baselines"] == {}
        written = all_runs(runs)
        assert [run.record["plan"]["seed"] for run in written] == [1, 2]
        assert result["bytes_per_party"] == max(run.record["bytes_per_party"] for run in written)

    def test_baselines_by_name(self, sim: Any, tiny: Path, runs: Path):
        found = sim("run", tiny, "--json", "--runs", runs)
        assert found.code == 0
        result = json.loads(found.out.splitlines()[-1])
        assert set(result["baselines"]) >= {
            "lender_alone",
            "lender_alone_dp",
            "pooled_xgboost",
            "pooled_logistic_bins",
            "no_noise",
            "fedavg_local_noise",
        }
        assert all(0 < auc < 1 for auc in result["baselines"].values())
        assert result["baselines"]["no_noise"] == result["auc"]["mean"]
        for name in result["baselines"]:
            assert name in found.err

    def test_without_noise_no_epsilon_is_claimed(self, sim: Any, tiny: Path, runs: Path):
        found = sim("run", tiny, "--json", "--no-baselines", "--runs", runs)
        assert json.loads(found.out.splitlines()[-1])["epsilon"] is None
        assert "no noise" in found.said

    def test_noise_that_drowns_the_protocols_own_figures(self, sim: Any, tmp_path: Path, runs: Path):
        """The noisy tables tell nothing any more; the run is whole all the same and says so by null."""
        path = small_scenario(tmp_path, epsilon="epsilon = 2.0 -> epsilon = 0.02")
        found = sim("run", path, "--json", "--no-baselines", "--runs", runs)
        assert found.code == 0, found.said
        result = json.loads(found.out.splitlines()[-1])
        assert result["auc_dp"] is None
        assert result["auc_dp_interval"] is None
        assert "lost in noise" in found.said
        assert 0 < result["auc"]["mean"] < 1
        assert sim("list", "--runs", runs).code == 0
        assert sim("compare", "last", "last", "--runs", runs).code == 0

    def test_invented_data_are_declared(self, sim: Any, tiny: Path, runs: Path):
        found = sim("run", tiny, "--no-baselines", "--runs", runs)
        assert " ".join(datasets.declaration(datasets.SYNTHETIC).split()) in found.said

    def test_an_interrupt_leaves_nothing(self, sim: Any, tiny: Path, runs: Path, monkeypatch: pytest.MonkeyPatch):
        def stop(self: ProgressObserver, row: dict[str, Any]) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(ProgressObserver, "round", stop)
        found = sim("run", tiny, "--runs", runs)
        assert found.code == 130
        assert "interrupted" in found.err
        assert "Traceback" not in found.err
        assert nothing_in(runs)

    @pytest.mark.parametrize(
        "error", [MissingParties(["lender-2"], ["lender-1"], 60.0), PhaseFailed("bin:lender: 1 party is left")]
    )
    def test_a_federation_that_fails(
        self, sim: Any, tiny: Path, runs: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
    ):
        def fail(*arguments: Any, **more: Any) -> None:
            raise error

        monkeypatch.setattr(federation, "run_coordinator", fail)
        found = sim("run", tiny, "--runs", runs)
        assert found.code == 1
        assert f"error: {error}" in found.said
        assert nothing_in(runs)


class TestBadInput:
    """Each: one message that names the place, exit code 2, nothing left behind."""

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ("epsilon = 2.0 -> epsilon = 1e-7", "epsilon 1e-07 at delta"),
            ("epsilon = 2.0 -> epsilon = -1", "privacy.epsilon = -1"),
            ("epsilon = 2.0 -> epsilom = 2.0", "privacy.epsilom: unknown key; did you mean 'epsilon'?"),
            ('name = "lender-2" -> name = "lender-1"', "parties: two are named 'lender-1'"),
            ("min_parties = 3 -> min_parties = 2", "groups.lender.min_parties = 2: must be at least max_colluding + 2"),
            ("rounds = 5 -> rounds = 0", "training.rounds = 0"),
            ('label = "defaulted" -> label = "repaid"', "'repaid'"),
            ('name = "utilisation" -> name = "utilization"', "'utilization'"),
            ("upper = 850 -> upper = 600", "column 'bureau_score'"),
            ('"coast", "inland" -> "sea", "inland"', "column 'region'"),
            ("creators = 1_500 -> creators = 10", "simulation.creators = 10"),
            ('dataset = "synthetic"\ncreators = 1_500 -> dataset = "nowhere.csv"', "nowhere.csv"),
            ("[simulation] -> [simulation", "not valid TOML"),
        ],
    )
    def test_plans(self, sim: Any, tmp_path: Path, runs: Path, change: str, said: str):
        changes = {"noise": NO_NOISE} if "epsilon = 2.0" not in change else {}
        found = sim("run", small_scenario(tmp_path, **changes, bad=change), "--runs", runs)
        assert found.code == 2
        assert said in found.said
        assert "Traceback" not in found.err
        assert nothing_in(runs)

    @pytest.mark.parametrize(
        ("spoil", "said"),
        [
            (lambda t: t.drop("bureau_score"), "bureau_score"),
            (lambda t: t.with_columns(pl.lit("many").alias("open_accounts")), "open_accounts"),
            (lambda t: t.with_columns(pl.lit(-5).alias("late_24m")), "late_24m"),
            (lambda t: t.with_columns(pl.lit("moon").alias("region")), "region"),
            (lambda t: t.clear(), "no rows"),
            (lambda t: t.with_columns(pl.lit(0).alias("defaulted")), "defaulted"),
            (lambda t: t.with_columns(pl.lit(1).alias("defaulted")), "defaulted"),
            (lambda t: pl.concat([t, t]), "application_id"),
        ],
        ids=["column", "type", "bounds", "category", "empty", "no bad", "no good", "duplicates"],
    )
    def test_tables(self, sim: Any, tmp_path: Path, runs: Path, spoil: Any, said: str):
        spoil(synthetic.generate(300, 1)).write_csv(tmp_path / "mine.csv")
        path = small_scenario(
            tmp_path, noise=NO_NOISE, data='dataset = "synthetic" -> dataset = "mine.csv"', all="creators = 1_500 -> "
        )
        found = sim("run", path, "--runs", runs)
        assert found.code == 2
        assert said in found.said
        assert "mine.csv" in found.said
        assert "Traceback" not in found.err
        assert nothing_in(runs)

    def test_a_plan_that_is_not_there(self, sim: Any, runs: Path):
        found = sim("run", "uci_horizontal_eps3", "--runs", runs)
        assert found.code == 2
        assert "there is no such plan" in found.said
        assert "uci_horizontal_eps1" in found.said

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["--engine", "nonsense"], "the engines are in-process, flower, fast"),
            (["--seeds", "0"], "--seeds"),
            (["--seeds", "many"], "--seeds"),
            (["--speed"], "--speed"),
        ],
    )
    def test_options(self, sim: Any, tiny: Path, runs: Path, arguments: list[str], said: str):
        found = sim("run", tiny, *arguments, "--runs", runs)
        assert found.code == 2
        assert said in found.said
        assert nothing_in(runs)

    def test_a_command_that_is_none(self, sim: Any):
        assert sim("simulate").code == 2


class TestListAndCompare:
    @pytest.fixture
    def two(self, sim: Any, tiny: Path, runs: Path) -> list[str]:
        assert sim("run", tiny, "--seeds", 2, "--no-baselines", "--runs", runs).code == 0
        return [run.folder.name for run in all_runs(runs)]

    def test_for_programs(self, sim: Any, runs: Path, two: list[str]):
        listed = json.loads(sim("list", "--json", "--runs", runs).out)
        assert [run["run"] for run in listed] == two
        compared = json.loads(sim("compare", *two, two[0], "--json", "--runs", runs).out)
        assert [run["run"] for run in compared] == [*two, two[0]]
        # Both runs are of one plan, but for the seed.
        settings = list(compared[0])[1 : list(compared[0]).index("auc")]
        assert settings == ["seed"]
        assert [run["seed"] for run in compared] == [run["seed"] for run in (*listed, listed[0])]
        assert compared[0]["auc"] == listed[0]["auc"]
        for command in (["list"], ["compare", *two]):
            rows = pl.read_csv(sim(*command, "--csv", "--runs", runs).out.encode())
            assert rows["run"].to_list() == two
        assert sim("compare", two[0], "--runs", runs).code == 2
        named = [plan["plan"] for plan in json.loads(sim("plans", "--json").out)]
        assert named == pl.read_csv(sim("plans", "--csv").out.encode())["plan"].to_list()
        assert "uci_horizontal_eps1" in named

    def test_the_card_as_csv(self, sim: Any, runs: Path, two: list[str], tmp_path: Path):
        printed = sim("card", two[0], "--runs", runs).out
        assert sim("card", two[0], "-o", tmp_path / "card.csv", "--runs", runs).code == 0
        assert (tmp_path / "card.csv").read_text(encoding="utf-8") == printed
        card = pl.read_csv(printed.encode())
        assert {"feature", "bin", "share", "bad_rate", "woe", "iv", "points", "contribution"} == set(card.columns)
        assert sim("card", two[0], "-o", tmp_path / "absent" / "card.csv", "--runs", runs).code == 2

    def test_list_and_compare(self, sim: Any, runs: Path, two: list[str]):
        listed = sim("list", "--runs", runs)
        assert listed.code == 0
        for name in two:
            assert name in listed.said
        compared = sim("compare", two[0], two[1], "--runs", runs)
        assert compared.code == 0
        for word in (*two, "auc", "ks", "brier", "ece", "auc_dp", "epsilon", "seconds"):
            assert word in compared.said
        by_start = sim("compare", "tiny-seed1", "last", "--runs", runs)
        assert by_start.out == compared.out
        ambiguous = sim("compare", "tiny", two[0], "--runs", runs)
        assert ambiguous.code == 2
        assert "2 runs" in ambiguous.said
        assert "'tiny'" in ambiguous.said
        unknown = sim("compare", two[0], "uci", "--runs", runs)
        assert unknown.code == 2
        assert "no run" in unknown.said
        assert "sealscore-sim list" in unknown.said

    def test_a_run_with_itself_differs_in_nothing(self, sim: Any, runs: Path, two: list[str]):
        compared = sim("compare", two[0], two[0], "--runs", runs)
        signs = [word for word in compared.out.split() if word.startswith(("+", "-")) and word[1:2].isdigit()]
        assert signs
        assert set(signs) == {"+0.0000"}

    def test_no_runs_yet(self, sim: Any, runs: Path):
        found = sim("list", "--runs", runs)
        assert found.code == 0
        assert "no runs under" in found.said

    def test_plans(self, sim: Any):
        found = sim("plans")
        assert found.code == 0
        assert "uci_horizontal_eps1" in found.out


def environment(home: Path, **more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "COLUMNS": "240", **more}


def test_ctrl_c_in_mid_run(tmp_path: Path, runs: Path):
    """A real process and a real signal, once its folder has come into being and training is under way."""
    path = small_scenario(tmp_path, noise=NO_NOISE, long="rounds = 5 -> rounds = 20_000")
    process = subprocess.Popen(
        [sys.executable, "-m", "sealscore.simulations.cli", "run", str(path), "--runs", str(runs), "--no-baselines"],
        cwd=ROOT,
        env=environment(tmp_path),
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        while not any(runs.glob(".partial-*")):
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.05)
        time.sleep(0.3)
        assert all_runs(runs) == []
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=300)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130
    assert "interrupted; nothing was kept of the run that was under way" in said
    assert "Traceback" not in said
    assert list(runs.iterdir()) == []


def test_without_real_data_the_main_job_is_the_invented_one_and_says_so(
    sim: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Before it begins; `test_segments.py` has a run on a small world, and the test below the whole of it."""
    begun: list[Scenario] = []

    def begin(scenario: Scenario, *_: object) -> None:
        begun.append(scenario)
        raise PlanError("creators_small", ["far enough"])

    monkeypatch.setenv("SEALSCORE_DATA", str(tmp_path))
    monkeypatch.setattr(job, "run_job", begin)
    found = sim("run", "--no-baselines")
    assert found.code == 2, found.said
    assert datasets.declaration(datasets.WORLD) in found.said
    assert str(tmp_path) in found.err
    assert [scenario.plan.name for scenario in begun] == ["creators_small"]


@pytest.mark.long
def test_without_real_data_the_main_job_learns_something(tmp_path: Path, runs: Path):
    done = subprocess.run(
        [sys.executable, "-m", "sealscore.simulations.cli", "run", "--no-baselines", "--json", "--runs", str(runs)],
        cwd=ROOT,
        env=environment(tmp_path, SEALSCORE_DATA=str(tmp_path)),
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert datasets.declaration(datasets.WORLD) in " ".join(done.stderr.split())
    assert result["plan"] == "creators_small"
    assert result["auc"]["mean"] > 0.7
    assert result["epsilon"] <= 2
