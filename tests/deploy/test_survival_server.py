"""The SuperLink and the server app, killed with -9 and started on their files again: a run goes on from its journal."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest
from deployment import until
from doubles import DirectExchange
from live import PATIENCE, Live, audited
from rehearsal import LENDERS, PLATFORM, Nodes, carry_out, history_of, lost_attempts, model_of, rehearsal_plan, replayed

from sealscore.shared.plan.plan import Plan

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="process lists as Linux has them"),
]
BIN, TRAIN, LABELS = "bin:lender", "train_tower:lender", "release_labels:video"


def plan_for(federation: Live, name: str, **changes: object) -> Plan:
    return rehearsal_plan(name, bundle=federation.bundle.sha256, **changes)  # type: ignore[arg-type]


def killed_at(federation: Live, plan: Plan, party: str, phase: str, round: int, when: str = "before") -> int:
    """Begin a run or go on with it, and kill the server while a party holds a request; Flower's number of the run."""
    node = federation.nodes[party]
    node.order(phase, round, "hold", when)
    number = federation.submit(plan)
    assert until(node.obeyed, PATIENCE), (
        federation.failure(plan),
        federation.link.link.exits,
        federation.link.link.tail(),
    )
    federation.kill_server()
    node.go()
    assert not (federation.output(plan) / "run.json").exists()
    return number


def test_between_rounds(federation: Live, tmp_path: Path):
    """When the bins are there and no round has begun: nothing is lost, and the model is that of an unbroken run."""
    plan = plan_for(federation, "between", platform=False, training__rounds=3)
    federation.approve(plan)
    first = killed_at(federation, plan, "lender-2", BIN, 0)
    output = federation.completed(plan, federation.submit(plan))
    history = history_of(output, plan)
    assert not lost_attempts(history)
    carry_out(plan, DirectExchange(Nodes(plan).responders), tmp_path / "one")
    assert model_of(output) == model_of(tmp_path / "one")
    run = federation.wait(first)
    assert (run.finished, run.completed) == (True, False), "Flower takes a run that died for one that failed"
    spent = audited(federation, plan)
    assert spent == {party: {phase: len(attempts) for phase, attempts in history.items()} for party in LENDERS}


def test_in_mid_round(federation: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Twice: once when all have charged the answer, once when one of them has not."""
    plan = plan_for(federation, "mid", platform=False, training__rounds=3, privacy__spare_attempts=1.0)
    federation.approve(plan)
    killed_at(federation, plan, "lender-1", TRAIN, 2, "after")
    killed_at(federation, plan, "lender-3", TRAIN, 3, "before")
    output = federation.completed(plan, federation.submit(plan))
    history = history_of(output, plan)
    assert lost_attempts(history) == [(TRAIN, 2, 1), (TRAIN, 3, 1)]
    assert {cohort for _, _, cohort in history[TRAIN]} == {LENDERS}
    assert model_of(output) == replayed(plan, history, tmp_path / "one", monkeypatch)
    spent = audited(federation, plan)
    # What was held before it was answered was answered in the end, to nobody, and charged.
    assert {party: counts[TRAIN] for party, counts in spent.items()} == dict.fromkeys(LENDERS, 5)


def test_the_superlink_alone(federation: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Where the server app lives on, the run does too: nobody has to resume it, and at most one answer is lost."""
    plan = plan_for(federation, "alone", platform=False, training__rounds=2)
    federation.approve(plan)
    node = federation.nodes["lender-2"]
    node.order(TRAIN, 1, "hold", "after")
    number = federation.submit(plan)
    assert until(node.obeyed, PATIENCE), federation.failure(plan)
    before = federation.link.link.pid
    assert before is not None
    os.kill(before, signal.SIGKILL)
    assert until(lambda: federation.link.link.pid not in (None, before), PATIENCE)
    federation.link.wait_ready(PATIENCE)
    node.go()
    output = federation.completed(plan, number)
    history = history_of(output, plan)
    # What was on its way when the SuperLink died may be lost with it, and is asked for again.
    assert len(lost_attempts(history)) <= 1
    assert model_of(output) == replayed(plan, history, tmp_path / "one", monkeypatch)
    audited(federation, plan)


def test_between_a_lender_and_a_platform(federation: Live, tmp_path: Path):
    """While labels are on their way, and nodes die with the server: the model is that of an unbroken run."""
    plan = plan_for(federation, "pair", training__rounds=3)
    federation.approve(plan)
    killed_at(federation, plan, PLATFORM, LABELS, 2)
    federation.nodes[PLATFORM].kill()
    federation.start(PLATFORM)
    output = federation.completed(plan, federation.submit(plan))
    assert not lost_attempts(history_of(output, plan))
    carry_out(plan, DirectExchange(Nodes(plan).responders), tmp_path / "one")
    assert model_of(output) == model_of(tmp_path / "one")
    audited(federation, plan)
