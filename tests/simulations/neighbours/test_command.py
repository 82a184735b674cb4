"""`sealscore-sim neighbours` as a user meets it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from builders import NO_NOISE, small_scenario

from sealscore.shared.dp.clipped_sum import TowerSum
from sealscore.shared.model.coding import Coding
from sealscore.shared.text.terminal import BAD_INPUT, FAILED
from sealscore.simulations import cli

SMALL = ("--persons", 2, "--halves", 0)


@pytest.fixture
def sim(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Call the program in this process: its exit code, what it printed, what it said."""
    monkeypatch.setenv("COLUMNS", "240")

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["sealscore-sim", "neighbours", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        out, err = capsys.readouterr()
        return int(stopped.value.code or 0), out, " ".join(err.split())

    return call


def test_a_plan_that_holds(sim: Any, tmp_path: Path):
    code, out, said = sim(small_scenario(tmp_path), *SMALL, "--json")
    found = json.loads(out.strip().splitlines()[-1])
    assert (code, found["findings"]) == (0, [])
    assert (found["plan"], found["neighbours"], found["halves"], found["all_features"]) == ("tiny", 2, 0, False)
    assert {phase["phase"].partition(":")[0] for phase in found["phases"]} == {
        "bin",
        "train_tower",
        "calibrate",
        "evaluate",
    }
    assert all(0 < phase["share"] <= 1 for phase in found["phases"])
    for phase in found["phases"]:
        assert phase["phase"] in said


def test_a_plan_that_does_not(sim: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def loose(coding: Coding, clip: float, keep: float) -> TowerSum:
        return TowerSum(coding, 100 * clip, keep)

    monkeypatch.setattr("sealscore.clients.roles.encoding.TowerSum", loose)
    code, out, said = sim(small_scenario(tmp_path), *SMALL, "--json")
    found = json.loads(out.strip().splitlines()[-1])
    assert code == FAILED
    assert {finding["what"] for finding in found["findings"]} == {"sum"}
    assert all(finding["found"] > finding["allowed"] for finding in found["findings"])
    assert "train_tower:lender" in said


def test_what_is_refused(sim: Any, tmp_path: Path):
    plan = small_scenario(tmp_path, noise=NO_NOISE)
    assert sim(plan)[0] == BAD_INPUT
    assert sim("uci_horizontal_eps1", "--creators", 1000)[0] == BAD_INPUT
    assert sim(plan, "--persons", 0)[0] == BAD_INPUT
    assert sim("no-such-plan")[0] == BAD_INPUT


def test_another_size(sim: Any, tmp_path: Path):
    code, out, _ = sim(small_scenario(tmp_path), *SMALL, "--creators", 1200, "--json")
    assert code == 0
    assert json.loads(out.strip().splitlines()[-1])["persons"] == 1200
