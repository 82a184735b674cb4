"""The report of a run: whole, self-contained, true to the record, and harmless whatever a plan says."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from builders import small_federation, small_plan
from pages import sound

from sealscore.compliance.run_figures.findings import Findings
from sealscore.compliance.run_figures.record import NotARun, RunFolder
from sealscore.compliance.run_report.run_report import run_report, write_report
from sealscore.shared.model.released.table_figures import TableFigures
from sealscore.shared.plan.plan import Plan
from sealscore.shared.text.numbers import MINUS, UNKNOWN, recorded
from sealscore.simulations.engine.federation import Federation

HEADINGS = (
    "At a glance",
    "The privacy guarantee",
    "How good the score is",
    "Compared with going alone and with pooling",
    "How the score treats groups",
    "What moves the score",
    "Privacy spent, by phase and round",
    "Who saw what",
    "Parties, traffic and failures",
    "How training went",
    "Glossary",
    "Record",
)


@pytest.fixture(scope="session")
def pages(horizontal: Path, vertical: Path) -> dict[str, str]:
    """The documents of the two runs."""
    return {folder.name: run_report(RunFolder.load(folder)) for folder in (horizontal, vertical)}


@pytest.fixture(params=["horizontal", "vertical"])
def page(request: pytest.FixtureRequest, pages: dict[str, str]) -> tuple[str, RunFolder]:
    """A document and its run."""
    return pages[request.param], RunFolder.load(request.getfixturevalue(request.param))


def run_of(plan: Plan, folder: Path) -> Path:
    Federation.of(plan, small_federation()).run(folder)
    return folder


def test_pages_are_sound_and_have_all_sections(page: tuple[str, RunFolder], read: Any):
    document, _ = page
    text = sound(document)
    found = read(document)
    places = [text.index(f"{number}. {heading}") for number, heading in enumerate(HEADINGS, start=1)]
    assert places == sorted(places)
    assert UNKNOWN not in text
    assert found.count("svg") >= 8
    assert len(document) < 300_000


def test_pages_hold_the_figures_of_the_record(page: tuple[str, RunFolder], read: Any):
    document, run = page
    text = read(document).text
    record, privacy = run.record, run.record["privacy"]
    assert recorded(record["evaluation"]["all"], "auc") in text
    assert recorded(record["evaluation"]["all"], "ks", 3) in text
    assert f"{privacy['epsilon']:.3f}" in text
    assert f"{privacy['epsilon_budgeted']:.3f}" in text
    # Opacus knows no person with several records, so the vertical plan has no second opinion.
    assert (privacy["check"] is None) == ("second opinion" not in text)
    assert privacy["check"] is None or f"{privacy['check']['epsilon']:.3f}" in text
    assert privacy["accountant"] in text
    assert run.plan.hash in text
    assert run.plan.outcome.definition in text
    assert record["run"] in text
    for party in run.plan.parties:
        assert party.name in text
    for feature in run.model.features:
        assert feature.name in text


def test_exact_figures_are_marked_as_the_simulations(page: tuple[str, RunFolder], read: Any):
    text = read(page[0]).text
    assert "Exact: 0.7654 (simulation only)" in text
    assert "exact (simulation only)" in text
    for value in ("0.7777", "0.6543", "0.5432"):
        assert value in text
    assert "pooled XGBoost" in text
    assert "home_made" in text
    assert f"{MINUS}0.0123" in text  # 0.7654 less 0.7777
    assert "dataset invented" in text


def test_warnings_of_the_simulation_are_read_first(horizontal: Path, copy_of: Callable[..., Path]):
    new = copy_of(horizontal)
    oracle = json.loads((new / "oracle.json").read_text())
    warnings = [{"code": "costly-noise", "words": "noise costs <b>too much</b>"}]
    (new / "oracle.json").write_text(json.dumps(oracle | {"warnings": warnings}))
    text = sound(run_report(RunFolder.load(new)))
    assert "Noise costs <b>too much</b>." in text


def test_without_an_oracle_the_page_speaks_of_no_simulation(
    horizontal: Path, vertical: Path, copy_of: Callable[..., Path], read: Any
):
    for folder in (horizontal, vertical):
        new = copy_of(folder)
        (new / "oracle.json").unlink()
        text = sound(run_report(RunFolder.load(new)))
        assert "simulation only" not in text
        assert "This is a simulation" not in text
        assert "0.7654" not in text
        assert "The record of this run has no such figures" in text
        assert recorded(RunFolder.load(new).record["evaluation"]["all"], "auc") in text


def test_platforms_have_their_figures(vertical: Path, pages: dict[str, str], read: Any):
    text = read(pages["vertical"]).text
    privacy = json.loads((vertical / "run.json").read_text())["privacy"]
    assert f"{privacy['epsilon_against_platforms']:.3f}" in text
    assert "3 bits a platform" in text
    assert "up to 2 noisy labels of a person" in text
    assert "The tower of the platforms (wallet)" in text
    assert "From platforms, of test persons only, came region" in text
    assert "against a platform" not in read(pages["horizontal"]).text
    assert "bits" not in read(pages["horizontal"]).text


def test_what_the_record_does_not_protect_is_said(vertical: Path, copy_of: Callable[..., Path], pages: Any, read: Any):
    bare = sound(run_report(RunFolder.load(copy_of(vertical, protection={}))))
    assert "The record does not say that sums were masked" in bare
    assert "The record does not say that payloads between lenders and platforms were sealed" in bare
    protected = {"sums": "masked", "payloads": "sealed", "alignment": "psi"}
    text = sound(run_report(RunFolder.load(copy_of(vertical, protection=protected))))
    assert "The record does not say" not in text
    assert "so that the server could open none" in text


def test_a_record_that_contradicts_its_plan_is_shown_up(horizontal: Path, copy_of: Callable[..., Path], read: Any):
    record = json.loads((horizontal / "run.json").read_text())
    privacy = {**record["privacy"], "epsilon": record["privacy"]["epsilon"] / 2}
    lower = RunFolder.load(copy_of(horizontal, privacy=privacy))
    text = sound(run_report(lower))
    assert f"The record contradicts its plan: the record states epsilon = {privacy['epsilon']}" in text
    privacy = json.loads(json.dumps(record["privacy"]))
    privacy["phases"][1]["event"]["noise_multiplier"] *= 2
    privacy["phases"][2]["event"] = {"kind": "magic"}
    found = Findings.of(RunFolder.load(copy_of(horizontal, privacy=privacy)))
    assert found.faults == [
        "the mechanism recorded for train_tower:lender is not the one that the plan prescribes",
        "the mechanism recorded for calibrate:lender is not the one that the plan prescribes",
    ]
    assert Findings.of(RunFolder.load(horizontal)).faults == []


def test_failures_and_early_ends_are_told(horizontal: Path, copy_of: Callable[..., Path], read: Any):
    failures = [
        {"phase": "train_tower:lender", "round": 3, "parties": {"lender-2": "timeout", "lender-1": "invalid reply"}}
    ]
    early = {"train_tower:lender": "all 6 attempts are spent in round 4; the model is that of 3 of 4 rounds"}
    text = sound(run_report(RunFolder.load(copy_of(horizontal, failures=failures, early=early))))
    assert "lender-1 (invalid reply), lender-2 (timeout)" in text
    assert "train_tower:lender ended early: all 6 attempts are spent" in text
    many = [{**failures[0], "round": number} for number in range(30)]
    text = sound(run_report(RunFolder.load(copy_of(horizontal, failures=many))))
    assert "the first 20 of 30" in text


HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)> \u202e& http://example.org"


def test_hostile_text_stays_text(tmp_path: Path, read: Any):
    plan = small_plan(purpose=HOSTILE, outcome__definition=f"bad {HOSTILE}", privacy__noise="none")
    data = json.loads(plan.canonical())
    table = data["groups"]["lender"]["table"]
    table["features"][2]["levels"] = ["<b>food</b>", "<b>fashion</b>", "<b>other</b>"]
    table["features"][0]["name"] = "<i>income</i>"
    table["features"][4]["levels"] = ["</td>", "m"]
    plan = Plan.parse(data)
    records = small_federation()
    for name, held in records.items():
        columns = {("<i>income</i>" if key == "income" else key): column for key, column in held.columns.items()}
        records[name] = type(held)(plan.groups["lender"].table, held.ids, held.person, columns, held.label, held.test)
    Federation.of(plan, records).run(tmp_path / "run")
    document = run_report(RunFolder.load(tmp_path / "run")).replace("http://example.org", "")
    text = sound(document)
    assert "<i>" not in document
    assert not re.search("<b>(food|fashion|other)", document)
    assert text.count("<script>alert(1)</script>") == 2
    assert "<i>income</i>" in text
    assert re.search("level <b>(food|fashion|other)</b>", text)
    assert "sex: </td>" in text
    assert "\u202e" not in document


def test_a_hostile_record_stays_text(horizontal: Path, copy_of: Callable[..., Path], read: Any):
    failures = [{"phase": HOSTILE, "round": 1, "parties": {"lender-1": HOSTILE}}]
    new = copy_of(horizontal, failures=failures, run=HOSTILE, started=HOSTILE, early={HOSTILE: HOSTILE})
    sound(run_report(RunFolder.load(new)).replace("http://example.org", ""))


def test_a_plan_without_noise_claims_nothing(tmp_path: Path, read: Any):
    folder = run_of(small_plan(privacy__noise="none"), tmp_path / "run")
    text = sound(run_report(RunFolder.load(folder)))
    assert "gives no guarantee of privacy whatever" in text
    assert "no epsilon is claimed" in text
    assert "there is nothing to account for" in text
    assert UNKNOWN not in text


def test_noise_that_drowns_all_figures(tmp_path: Path, read: Any):
    folder = run_of(small_plan(privacy__epsilon=0.05), tmp_path / "run")
    run = RunFolder.load(folder)
    table, noise = run.tables.best
    assert TableFigures.of(table, run.model.calibration, noise).auc is None
    text = sound(run_report(run))
    assert text.count("lost in noise") >= 3
    assert "No group is large enough for the noise" in text


def test_other_forms_of_plans(tmp_path: Path, read: Any):
    """A network, no groups, one round of local steps: no section fails for want of something to show."""
    local = {"algorithm": "fedavg", "rounds": 1, "local": {"steps": 2}, "sample_rate": 0.5}
    plan = small_plan(training=local, model__hidden=3, evaluation__groups={}, privacy__noise="none")
    text = sound(run_report(RunFolder.load(run_of(plan, tmp_path / "run"))))
    assert "The plan names no protected attribute" in text
    assert "a network of 3 units" in text
    assert "trained by fedavg" in text


class TestWriting:
    def test_into_the_run_folder_or_elsewhere(self, horizontal: Path, copy_of: Callable[..., Path], tmp_path: Path):
        folder = copy_of(horizontal)
        assert write_report(folder) == folder / "report.html"
        other = write_report(folder, tmp_path / "mine.html")
        assert other == tmp_path / "mine.html"
        assert other.read_bytes() == (folder / "report.html").read_bytes()
        assert not list(folder.glob(".*")) + list(tmp_path.glob(".*"))

    def test_what_is_no_run_leaves_nothing(self, tmp_path: Path):
        with pytest.raises(NotARun, match="holds no whole run"):
            write_report(tmp_path)
        assert list(tmp_path.iterdir()) == []
