"""A federation that lives on when its nodes do not: on the loopback interface, with everything but the identities real.

Nodes with simulation identities make models comparable: that of processes equals that of one process bit for bit, and
after a loss that of a run in one process with the same attempts.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest
from deployment import until
from doubles import DirectExchange
from ledgers import state_of
from live import PATIENCE, Live, audited
from rehearsal import LENDERS, PLATFORM, Nodes, carry_out, history_of, lost_attempts, model_of, rehearsal_plan, replayed

from sealscore.server.deploy.control import Control
from sealscore.shared.bundle import courier_bundle
from sealscore.shared.plan.plan import Plan

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits and process lists as Linux has them"),
]
TRAIN, LOOK = "train_tower:lender", "train_tower:video"


def plan_for(federation: Live, name: str, **changes: object) -> Plan:
    return rehearsal_plan(name, bundle=federation.bundle.sha256, **changes)  # type: ignore[arg-type]


def test_the_model_of_processes_is_that_of_one_process(federation: Live, tmp_path: Path):
    plan = plan_for(federation, "whole", training__rounds=3)
    output = federation.carry_out(plan)
    history = history_of(output, plan)
    assert not lost_attempts(history)
    carry_out(plan, DirectExchange(Nodes(plan).responders), tmp_path / "one")
    assert model_of(output) == model_of(tmp_path / "one")
    spent = audited(federation, plan)
    assert spent[PLATFORM] == {phase: len(history[phase]) for phase in spent[PLATFORM]}
    assert spent["lender-1"] == {phase: len(history[phase]) for phase in spent["lender-1"]}


def test_lenders_killed_in_mid_round(federation: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """One is started again at once, and takes part again with what it has on its disk; one stays away."""
    plan = plan_for(federation, "lenders", platform=False, training__rounds=6, privacy__spare_attempts=1.0)
    first, second, third = (federation.nodes[party] for party in LENDERS)
    second.order(TRAIN, 2, "hold", "after")
    federation.approve(plan)
    number = federation.submit(plan)
    assert until(second.obeyed, PATIENCE), federation.failure(plan)
    first.order(TRAIN, 3, "hold")
    second.kill()
    federation.start("lender-2")
    assert until(first.obeyed, PATIENCE), federation.failure(plan)
    first.go()
    third.order(TRAIN, 5, "hold")
    assert until(third.obeyed, PATIENCE), federation.failure(plan)
    third.kill()
    output = federation.completed(plan, number)
    history = history_of(output, plan)
    cohorts = {(round, attempt): cohort for round, attempt, cohort in history[TRAIN]}
    assert cohorts[2, 1] == LENDERS
    assert cohorts[2, 2] == ("lender-1", "lender-3")
    assert cohorts[5, 1] == LENDERS
    assert cohorts[5, 2] == cohorts[6, 1] == ("lender-1", "lender-2")
    assert model_of(output) == replayed(plan, history, tmp_path / "one", monkeypatch)
    spent = audited(federation, plan)
    asked = {party: sum(party in cohort for cohort in cohorts.values()) for party in LENDERS}
    # The answer that lender-2 had charged and never gave still counts after the restart; lender-3 had not got so far.
    assert spent["lender-1"][TRAIN] == asked["lender-1"]
    assert spent["lender-3"][TRAIN] == asked["lender-3"] - 1
    assert (2, 1) in {
        (entry.entry.round, entry.entry.attempt)
        for entry in state_of(second.ledger).plans[plan.hash].reservations.values()
        if entry.entry.phase == TRAIN
    }


def test_a_platform_killed_in_mid_round(federation: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Nothing goes on without it; it is waited for, and knows alignment and labels when it is back."""
    plan = plan_for(federation, "platform", training__rounds=3, privacy__spare_attempts=1.0)
    platform = federation.nodes[PLATFORM]
    platform.order(LOOK, 2, "hold", "after")
    federation.approve(plan)
    number = federation.submit(plan)
    assert until(platform.obeyed, PATIENCE), federation.failure(plan)
    platform.kill()
    federation.start(PLATFORM)
    output = federation.completed(plan, number)
    history = history_of(output, plan)
    assert (LOOK, 2, 1) in lost_attempts(history)
    assert model_of(output) == replayed(plan, history, tmp_path / "one", monkeypatch)
    audited(federation, plan)


def test_a_full_disk_and_a_ledger_that_is_read_only(federation: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Such a node refuses, its own log says why, the server learns a code; the others go on, and it comes back."""
    plan = plan_for(federation, "disks", platform=False, training__rounds=5, privacy__spare_attempts=1.0)
    first, second = federation.nodes["lender-1"], federation.nodes["lender-2"]
    first.order(TRAIN, 2, "full")
    second.order(TRAIN, 4, "readonly")
    federation.approve(plan)
    number = federation.submit(plan)
    for node in (first, second):
        assert until(node.obeyed, PATIENCE), federation.failure(plan)
        node.fix()
    output = federation.completed(plan, number)
    history = history_of(output, plan)
    rows = {row["round"]: row for row in federation.rounds(plan) if row["phase"] == TRAIN}
    assert rows[2]["failures"] == {"lender-1": "refused: unavailable"}
    assert rows[4]["failures"] == {"lender-2": "refused: unavailable"}
    cohorts = {(round, attempt): cohort for round, attempt, cohort in history[TRAIN]}
    assert cohorts[2, 2] == ("lender-2", "lender-3")
    assert cohorts[3, 1] == LENDERS
    assert cohorts[4, 2] == ("lender-1", "lender-3")
    assert cohorts[5, 1] == LENDERS
    for node, why in ((first, "disk I/O error"), (second, "readonly database")):
        assert f"{node.party} answers nothing: {node.ledger}: cannot be written or read" in node.log()
        assert why in node.log()
        assert "see that the disk has room" in node.log()
    assert model_of(output) == replayed(plan, history, tmp_path / "one", monkeypatch)
    spent = audited(federation, plan)
    # What could not be charged was not answered.
    assert spent["lender-1"][TRAIN] == spent["lender-2"][TRAIN] == sum("lender-1" in c for c in cohorts.values()) - 1


def test_a_slow_node_and_an_answer_that_is_too_large(federation: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    plan = plan_for(federation, "slow", platform=False, training__rounds=5, privacy__spare_attempts=1.0)
    first, third = federation.nodes["lender-1"], federation.nodes["lender-3"]
    third.order(TRAIN, 2, "hold", "before")
    first.order(TRAIN, 4, "large", "after")
    federation.approve(plan)
    number = federation.submit(plan, timeout=45.0)
    assert until(third.obeyed, PATIENCE), federation.failure(plan)
    assert until(lambda: federation.reached(plan, TRAIN, 2), PATIENCE), federation.failure(plan)
    third.go()
    output = federation.completed(plan, number)
    history = history_of(output, plan)
    rows = {row["round"]: row for row in federation.rounds(plan) if row["phase"] == TRAIN}
    assert rows[2]["failures"] == {"lender-3": "timeout"}
    assert rows[4]["failures"] == {"lender-1": "too-large"}
    cohorts = {(round, attempt): cohort for round, attempt, cohort in history[TRAIN]}
    assert cohorts[2, 2] == ("lender-1", "lender-2")
    assert cohorts[4, 2] == tuple(party for party in cohorts[4, 1] if party != "lender-1")
    assert "lender-3" in cohorts[5, 1]
    assert model_of(output) == replayed(plan, history, tmp_path / "one", monkeypatch)
    spent = audited(federation, plan)
    # What came too late, or not at all, was charged before it left.
    assert spent["lender-1"][TRAIN] == sum("lender-1" in cohort for cohort in cohorts.values())


def test_another_bundle_than_that_of_an_approved_plan(federation: Live):
    """The real app bundle, with a plan in it that all have approved: no node runs it, or unpacks anything of it."""
    plan = plan_for(federation, "pinned", platform=False)
    federation.approve(plan)
    real = courier_bundle()
    assert real.sha256 != federation.bundle.sha256
    output = federation.output(plan)
    output.mkdir()
    (output / "plan").write_bytes(plan.canonical())
    before = {party: refused(federation, party) for party in LENDERS}
    scratch = {party: federation.nodes[party].scratch for party in LENDERS}
    unpacked = {party: folder.rested() for party, folder in scratch.items()}
    with Control(federation.settings) as control:
        number = control.submit(real, {"plan": str(output / "plan"), "output": str(output)})
        try:
            # Whoever was refused is asked again; by the third time the first would have been at work.
            assert until(lambda: all(refused(federation, party) >= before[party] + 3 for party in LENDERS), PATIENCE)
        finally:
            if not control.run(number).finished:
                control.stop(number)
    for party in LENDERS:
        folder = federation.nodes[party].folder / "supernode"
        lines = (folder / "bundles.refused").read_text("utf-8").splitlines()
        assert f"bundle {real.sha256} is refused: no approved plan names it" in json.loads(lines[-1])["reason"]
        assert json.loads(lines[-1])["run"] == number
        assert scratch[party].changed == unpacked[party]
    assert not (output / "progress.jsonl").exists() or not federation.rounds(plan)
    # The allowed bundle is unpacked there.
    federation.carry_out(plan_for(federation, "allowed", platform=False, training__rounds=1))
    assert all(folder.changed > unpacked[party] for party, folder in scratch.items())


def test_when_no_plan_is_live_no_bundle_runs(federation: Live):
    """Plans that have ended allow nothing: the list of bundles follows the ledger."""
    plan = plan_for(federation, "ending", platform=False, training__rounds=1)
    federation.carry_out(plan)
    allowed = federation.nodes["lender-1"].folder / "supernode" / "bundles.allowed"
    assert until(lambda: "pinned" in allowed.read_text("utf-8"), PATIENCE)  # the plan of the test before has not ended
    assert "ending" not in allowed.read_text("utf-8")


def refused(federation: Live, party: str) -> int:
    """How many bundles a node has refused, by its status."""
    time.sleep(0.2)
    return int(json.loads((federation.nodes[party].folder / "status.json").read_text("ascii"))["refused_bundles"])
