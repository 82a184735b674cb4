"""A federation that lives on when its nodes do not: on the loopback interface, with everything but the identities real.

Nodes with simulation identities make models comparable: that of processes equals that of one process bit for bit, and
after a loss that of a run in one process with the same attempts. One run has all that befalls its lenders: what comes
before a run's first round and after its last takes longer than its rounds. What befalls a platform is in
`test_survival_server.py`.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest
from deployment import unpacked_of, until
from doubles import DirectExchange
from ledgers import state_of
from live import PATIENCE, Live, LiveNode, audited
from rehearsal import (
    ATTEMPTS,
    LENDERS,
    PLATFORM,
    Nodes,
    carry_out,
    history_of,
    lost_attempts,
    model_of,
    rehearsal_plan,
    replayed,
)

from sealscore.server.deploy.control import Control
from sealscore.shared.bundle import courier_bundle
from sealscore.shared.plan.plan import Plan

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits and process lists as Linux has them"),
]
TRAIN = "train_tower:lender"


def plan_for(federation: Live, name: str, **changes: object) -> Plan:
    return rehearsal_plan(name, bundle=federation.bundle.sha256, **changes)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Troubled:
    """A run of ten rounds that is done; in the second to sixth and the ninth a lender was in trouble."""

    federation: Live
    plan: Plan
    output: Path

    @cached_property
    def history(self) -> dict[str, ATTEMPTS]:
        return history_of(self.output, self.plan)

    @cached_property
    def cohorts(self) -> dict[tuple[int, int], tuple[str, ...]]:
        """Who was asked in training, by round and attempt."""
        return {(round, attempt): cohort for round, attempt, cohort in self.history[TRAIN]}

    @cached_property
    def failures(self) -> dict[int, dict[str, str]]:
        """Who failed in a round of training and why, as who follows the run sees it."""
        return {row["round"]: row["failures"] for row in self.federation.rounds(self.plan) if row["phase"] == TRAIN}


@pytest.fixture(scope="module")
def troubled(running: Live) -> Troubled:
    running.ready()
    plan = plan_for(running, "troubled", platform=False, training__rounds=10, privacy__spare_attempts=1.0)
    first, second, third = (running.nodes[party] for party in LENDERS)
    first.order(TRAIN, 2, "full")
    second.order(TRAIN, 3, "readonly")
    third.order(TRAIN, 5, "hold")
    running.approve(plan)
    number = running.submit(plan, timeout=20.0)

    def obeyed(node: LiveNode) -> None:
        assert until(node.obeyed, PATIENCE), running.failure(plan)

    obeyed(first)
    first.fix()
    first.order(TRAIN, 4, "large", "after")
    obeyed(second)
    second.fix()
    second.order(TRAIN, 6, "hold", "after")
    obeyed(first)
    first.order(TRAIN, 7, "hold")
    obeyed(third)
    assert until(lambda: running.reached(plan, TRAIN, 5), PATIENCE), running.failure(plan)
    third.go()
    obeyed(second)
    second.kill()
    running.start("lender-2")
    obeyed(first)
    third.order(TRAIN, 9, "hold")  # lender-2 has a round's time to be online again
    first.go()
    obeyed(third)
    third.kill()
    return Troubled(running, plan, running.completed(plan, number))


def test_lenders_killed_in_mid_round(troubled: Troubled):
    """One is started again at once, and takes part again with what it has on its disk; one stays away."""
    cohorts = troubled.cohorts
    assert cohorts[6, 1] == LENDERS
    assert cohorts[6, 2] == ("lender-1", "lender-3")
    assert cohorts[9, 1] == LENDERS
    assert cohorts[9, 2] == cohorts[10, 1] == ("lender-1", "lender-2")
    # The answer that lender-2 had charged and never gave still counts after the restart.
    ledger = state_of(troubled.federation.nodes["lender-2"].ledger).plans[troubled.plan.hash]
    reserved = [held.entry for held in ledger.reservations.values() if held.entry.phase == TRAIN]
    assert (6, 1) in {(entry.round, entry.attempt) for entry in reserved}


def test_a_full_disk_and_a_ledger_that_is_read_only(troubled: Troubled):
    """Such a node refuses, its own log says why, the server learns a code; the others go on, and it comes back."""
    assert troubled.failures[2] == {"lender-1": "refused: unavailable"}
    assert troubled.failures[3] == {"lender-2": "refused: unavailable"}
    cohorts = troubled.cohorts
    assert cohorts[2, 2] == ("lender-2", "lender-3")
    assert cohorts[3, 1] == LENDERS
    assert cohorts[3, 2] == ("lender-1", "lender-3")
    assert cohorts[4, 1] == LENDERS
    for party, why in (("lender-1", "disk I/O error"), ("lender-2", "readonly database")):
        node = troubled.federation.nodes[party]
        assert f"{party} answers nothing: {node.ledger}: cannot be written or read" in node.log()
        assert why in node.log()
        assert "see that the disk has room" in node.log()


def test_a_slow_node_and_an_answer_that_is_too_large(troubled: Troubled):
    assert troubled.failures[5] == {"lender-3": "timeout"}
    assert troubled.failures[4] == {"lender-1": "too-large"}
    cohorts = troubled.cohorts
    assert cohorts[4, 2] == ("lender-2", "lender-3")
    assert cohorts[5, 1] == LENDERS
    assert cohorts[5, 2] == ("lender-1", "lender-2")
    assert "lender-3" in cohorts[6, 1]


def test_its_model_and_its_ledgers(troubled: Troubled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The model is that of a run in this process with the same attempts; ledgers have what was charged, and no more."""
    assert model_of(troubled.output) == replayed(troubled.plan, troubled.history, tmp_path / "one", monkeypatch)
    spent = audited(troubled.federation, troubled.plan)
    asked = {party: sum(party in cohort for cohort in troubled.cohorts.values()) for party in LENDERS}
    # What came too late, too large or not at all was charged before it left; what could not be charged was not
    # answered, by lender-1 for its full disk, by lender-2 for its ledger; lender-3 was killed before.
    assert {party: counts[TRAIN] for party, counts in spent.items()} == {party: asked[party] - 1 for party in LENDERS}


def test_another_bundle_than_that_of_an_approved_plan(federation: Live, tmp_path: Path):
    """The real app bundle, with a plan in it that all have approved: no node runs it, or unpacks anything of it.

    The allowed bundle then runs to the model of one process, and no longer when its plan has ended.
    """
    plan = plan_for(federation, "pinned", platform=False)
    federation.approve(plan)
    real = courier_bundle()
    assert real.sha256 != federation.bundle.sha256
    output = federation.output(plan)
    output.mkdir()
    (output / "plan").write_bytes(plan.canonical())
    before = {party: refused(federation, party) for party in LENDERS}
    with ExitStack() as stack, Control(federation.settings) as control:
        seen = {party: stack.enter_context(federation.nodes[party].scratch.watched()) for party in LENDERS}
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
        # Of an earlier run the allowed one may still be: a node that was away is asked once more.
        assert not unpacked_of(real, seen[party])
    assert not (output / "progress.jsonl").exists() or not federation.rounds(plan)
    # The allowed bundle is unpacked there.
    ending = plan_for(federation, "ending", platform=False, training__rounds=1)
    with ExitStack() as stack:
        seen = {party: stack.enter_context(federation.nodes[party].scratch.watched()) for party in LENDERS}
        unbroken(federation, ending, tmp_path / "one")
    assert all(unpacked_of(federation.bundle, apps) for apps in seen.values())
    # Plans that have ended allow nothing: the list of bundles follows the ledger.
    listed = federation.nodes["lender-1"].folder / "supernode" / "bundles.allowed"
    assert until(lambda: "ending" not in listed.read_text("utf-8"), PATIENCE)
    assert "pinned" in listed.read_text("utf-8")  # it has not ended


def unbroken(federation: Live, plan: Plan, folder: Path) -> dict[str, dict[str, int]]:
    """Run a plan to which nothing happens, here too, to the same model; what each party's ledger has charged."""
    output = federation.carry_out(plan)
    history = history_of(output, plan)
    assert not lost_attempts(history)
    carry_out(plan, DirectExchange(Nodes(plan).responders), folder)
    assert model_of(output) == model_of(folder)
    spent = audited(federation, plan)
    for counts in spent.values():
        assert counts == {phase: len(history[phase]) for phase in counts}
    return spent


@pytest.mark.long
def test_the_model_of_processes_is_that_of_one_process(federation: Live, tmp_path: Path):
    """With a platform; of lenders above, and of a platform that is killed in `test_survival_server.py`."""
    spent = unbroken(federation, plan_for(federation, "whole", training__rounds=3), tmp_path / "one")
    assert spent.keys() == {*LENDERS, PLATFORM}


def refused(federation: Live, party: str) -> int:
    """How many bundles a node has refused, by its status."""
    time.sleep(0.2)
    return int(json.loads((federation.nodes[party].folder / "status.json").read_text("ascii"))["refused_bundles"])
