"""Whatever the programs write is its user's alone, under the most open umask that a shell may have."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import tomli_w
from builders import NO_NOISE, small_scenario
from homes import Town, new_town, plan_data
from operators import COMPLIANCE, NODE, SERVER
from paths import ROOT

# Certificates are no secret: partners are given the authority's, and everybody who connects the server's.
PUBLIC = {"ca.pem", "server.pem"}
SIM = "sealscore.simulations.cli"


@pytest.fixture
def town(tmp_path: Path) -> Town:
    before = os.umask(0o077)
    try:
        return new_town(tmp_path / "town")
    finally:
        os.umask(before)


def typed(module: str, *words: object, code: int = 0) -> None:
    """A command as from a shell that hides nothing from anybody."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SEALSCORE_")}
    done = subprocess.run(
        [sys.executable, "-m", module, *map(str, words)],
        env=kept | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        umask=0o000,
        timeout=300,
        check=False,
    )
    assert done.returncode == code, (words, done.stdout, done.stderr)


def others_may_reach(*folders: Path) -> list[str]:
    """Files and folders below, and these, that others than their owner may read, write or enter."""
    found = [path for folder in folders for path in (folder, *folder.rglob("*")) if path.name not in PUBLIC]
    return [f"{path} {path.lstat().st_mode & 0o777:o}" for path in found if path.lstat().st_mode & 0o077]


def test_a_node(town: Town, tmp_path: Path):
    home, plan = town["lender-1"], town.server.plans / "small.json"
    fresh = tmp_path / "fresh"
    typed(NODE, "init", "--name", "lender-9", "--role", "lender", "--home", fresh)
    typed(NODE, "peer", "trust", town.server.card_file, "--fingerprint", fingerprint(town), "--home", fresh)
    typed(NODE, "plan", "approve", plan, "--bundle", town.bundle, "--yes", "--home", home.folder)
    typed(NODE, "check", "--no-connect", "--home", home.folder)
    typed(NODE, "doctor", "-o", home.folder / "support.json", "--home", home.folder)
    assert (home.folder / "support.json").exists()
    assert others_may_reach(fresh, home.folder) == []


def fingerprint(town: Town) -> str:
    return town.server.identity().card.fingerprint


def test_a_server(town: Town, tmp_path: Path):
    fresh, folder = tmp_path / "fresh", town.server.folder
    typed(SERVER, "init", "--host", "localhost", "--home", fresh)
    like = tmp_path / "like.toml"
    like.write_text(tomli_w.dumps(plan_data()), encoding="utf-8")
    typed(SERVER, "plan", "new", "fresh", "--like", like, "--home", folder)
    typed(SERVER, "plan", "sign", "fresh", "--home", folder)
    typed(SERVER, "bundle", "-o", folder / "app.fab", "--plan", "fresh", "--home", folder)
    assert others_may_reach(fresh, folder) == []


def test_compliance_and_a_simulation(tmp_path: Path):
    runs = tmp_path / "runs"
    plan = small_scenario(tmp_path, noise=NO_NOISE)
    typed(SIM, "run", plan, "--runs", runs, "--no-baselines")
    (run,) = runs.iterdir()
    typed(SIM, "report", run, "-o", runs / "report.html")
    ledgers = sorted(run.rglob("*.db"))
    typed(COMPLIANCE, "report", *ledgers[:1], "-o", runs / "page.html", "--run", run, "--simulation")
    typed(COMPLIANCE, "anchors", ledgers[0], "-o", runs / "anchors.jsonl")
    assert {"report.html", "page.html", "anchors.jsonl"} <= {path.name for path in runs.iterdir()}
    assert others_may_reach(runs) == []
