"""`sealscore-sim audit` as a user meets it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from builders import small_scenario

from sealscore.simulations import cli

SMALL = ("--canaries", 1000, "--guesses", 200)


@pytest.fixture
def sim(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Call the program in this process: its exit code, what it printed, what it said."""
    monkeypatch.setenv("COLUMNS", "240")

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["sealscore-sim", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        out, err = capsys.readouterr()
        return int(stopped.value.code or 0), out, " ".join(err.split())

    return call


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    rate = "sample_rate = 0.05 -> sample_rate = 0.5"
    return small_scenario(tmp_path, rounds="rounds = 300 -> rounds = 10", rate=rate)


def test_a_system_that_holds(sim: Any, plan: Path):
    code, out, said = sim("audit", plan, *SMALL, "--seeds", 2, "--json")
    found = json.loads(out.strip().splitlines()[-1])
    assert code == 0
    assert found["exceeded"] == 0
    assert found["break"] is None
    assert [audit["seed"] for audit in found["audits"]] == [found["audits"][0]["seed"] + n for n in range(2)]
    assert found["highest_bound"] <= found["claim"]
    assert f"{found['claim']:.3f}" in said
    assert "no bound of 2 exceeds the claim" in said


def test_a_fault_ends_with_one_and_is_written_down(sim: Any, plan: Path, tmp_path: Path):
    page = tmp_path / "audit.html"
    code, out, said = sim("audit", plan, *SMALL, "--break", "noise-off", "--json", "--output", page)
    assert code == 1
    assert json.loads(out.strip().splitlines()[-1])["exceeded"] == 1
    assert "1 of 1 bounds exceed the claim" in said
    text = page.read_text(encoding="utf-8")
    assert "broken on purpose: noise-off" in text
    assert "<svg" in text


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--guesses", 11), "an even number"),
        (("--canaries", 10), "fewer than 1000"),
        (("--party", "nobody"), "no party 'nobody'"),
        (("--break", "everything"), "noise-off"),
    ],
)
def test_bad_input_is_named(sim: Any, plan: Path, more: tuple[object, ...], said: str):
    code, _, told = sim("audit", plan, *more)
    assert code == 2
    assert said in told


def test_more_canaries_than_a_tower_has_room_for(sim: Any, plan: Path):
    code, _, told = sim("audit", plan, "--canaries", 4090, "--guesses", 200)
    assert code == 2
    assert "choose at most" in told


def test_a_page_that_cannot_be_written(sim: Any, plan: Path, tmp_path: Path):
    code, _, told = sim("audit", plan, *SMALL, "--output", tmp_path / "nowhere" / "audit.html")
    assert code == 2
    assert "cannot be written" in told
