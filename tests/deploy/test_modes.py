"""Whatever the programs write is its user's alone, under the most open umask that a shell may have."""

from __future__ import annotations

import json
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


# Commands one after the other in one process, which imports once, each from a shell that hides nothing from anybody.
SHELL = """
import importlib, json, os, sys
for module, *words in json.loads(sys.argv[1]):
    os.umask(0)
    sys.argv = [module, *words]
    try:
        importlib.import_module(module).main()
    except SystemExit as ended:
        if ended.code:
            sys.exit(f"{words}: {ended.code}")
"""


def typed(*commands: tuple[object, ...]) -> None:
    """Run commands, of a module and its words each, that all must end well."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SEALSCORE_")}
    said = json.dumps([[str(word) for word in command] for command in commands])
    done = subprocess.run(
        [sys.executable, "-c", SHELL, said],
        env=kept | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, (done.stdout, done.stderr)


def others_may_reach(*folders: Path) -> list[str]:
    """Files and folders below, and these, that others than their owner may read, write or enter."""
    found = [path for folder in folders for path in (folder, *folder.rglob("*")) if path.name not in PUBLIC]
    return [f"{path} {path.lstat().st_mode & 0o777:o}" for path in found if path.lstat().st_mode & 0o077]


def test_a_node(town: Town, tmp_path: Path):
    home, plan = town["lender-1"].folder, town.server.plans / "small.json"
    fresh = tmp_path / "fresh"
    read = town.server.identity().card.fingerprint
    typed(
        (NODE, "init", "--name", "lender-9", "--role", "lender", "--home", fresh),
        (NODE, "peer", "trust", town.server.card_file, "--fingerprint", read, "--home", fresh),
        (NODE, "plan", "approve", plan, "--bundle", town.bundle, "--yes", "--home", home),
        (NODE, "check", "--no-connect", "--home", home),
        (NODE, "doctor", "-o", home / "support.json", "--home", home),
    )
    assert (home / "support.json").exists()
    assert others_may_reach(fresh, home) == []


def test_a_server(town: Town, tmp_path: Path):
    fresh, folder = tmp_path / "fresh", town.server.folder
    like = tmp_path / "like.toml"
    like.write_text(tomli_w.dumps(plan_data()), encoding="utf-8")
    typed(
        (SERVER, "init", "--host", "localhost", "--home", fresh),
        (SERVER, "plan", "new", "fresh", "--like", like, "--home", folder),
        (SERVER, "plan", "sign", "fresh", "--home", folder),
        (SERVER, "bundle", "-o", folder / "app.fab", "--plan", "fresh", "--home", folder),
    )
    assert others_may_reach(fresh, folder) == []


def test_compliance_and_a_simulation(tmp_path: Path):
    runs = tmp_path / "runs"
    plan = small_scenario(tmp_path, noise=NO_NOISE)
    typed((SIM, "run", plan, "--runs", runs, "--no-baselines"))
    (run,) = runs.iterdir()
    first = min(run.rglob("*.db"))
    typed(
        (SIM, "report", run, "-o", runs / "report.html"),
        (COMPLIANCE, "report", first, "-o", runs / "page.html", "--run", run, "--simulation"),
        (COMPLIANCE, "anchors", first, "-o", runs / "anchors.jsonl"),
    )
    assert {"report.html", "page.html", "anchors.jsonl"} <= {path.name for path in runs.iterdir()}
    assert others_may_reach(runs) == []
