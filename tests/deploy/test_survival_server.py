"""The SuperLink and the server app, killed with -9 and started on their files again: a run goes on from its journal.

One run of lenders has all that befalls a server, and one with a platform all that befalls a pair of nodes: what
precedes a run's first round and follows its last takes longer than its rounds.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from deployment import until
from live import PATIENCE, Live, audited
from rehearsal import ATTEMPTS, LENDERS, PLATFORM, history_of, lost_attempts, model_of, rehearsal_plan, replayed

from sealscore.shared.ledger.entries import Disclose
from sealscore.shared.ledger.ledger import read_ledger
from sealscore.shared.plan.plan import Plan

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="process lists as Linux has them"),
]
BIN, TRAIN, LABELS, LOOK = "bin:lender", "train_tower:lender", "release_labels:video", "train_tower:video"


def plan_for(federation: Live, name: str, **changes: object) -> Plan:
    return rehearsal_plan(name, bundle=federation.bundle.sha256, **changes)  # type: ignore[arg-type]


def held(federation: Live, plan: Plan, party: str, phase: str, round: int, when: str, kill: Callable[[], None]) -> int:
    """Begin a run or go on with it, and kill something while a party holds a request; Flower's number of the run."""
    node = federation.nodes[party]
    node.order(phase, round, "hold", when)
    number = federation.submit(plan)
    assert until(node.obeyed, PATIENCE), (
        federation.failure(plan),
        federation.link.link.exits,
        federation.link.link.tail(),
    )
    kill()
    node.go()
    assert not (federation.output(plan) / "run.json").exists()
    return number


@dataclass(frozen=True)
class Outlived:
    """A run that is done, whose server was killed: in its bins, in its first two rounds, and in part in its third."""

    federation: Live
    plan: Plan
    first: int  # Flower's number of the run that was killed in its bins
    output: Path

    @property
    def history(self) -> dict[str, ATTEMPTS]:
        return history_of(self.output, self.plan)

    @property
    def asked(self) -> dict[str, int]:
        """How often each lender was asked in training."""
        return {party: sum(party in cohort for _, _, cohort in self.history[TRAIN]) for party in LENDERS}


@pytest.fixture(scope="module")
def outlived(running: Live) -> Outlived:
    running.ready()
    plan = plan_for(running, "outlived", platform=False, training__rounds=3, privacy__spare_attempts=1.0)
    running.approve(plan)
    server = running.kill_server
    first = held(running, plan, "lender-2", BIN, 0, "before", server)
    held(running, plan, "lender-1", TRAIN, 1, "after", server)
    held(running, plan, "lender-3", TRAIN, 2, "before", server)
    # Where the server app lives on, the run does too: nobody resumes it.
    last = held(running, plan, "lender-2", TRAIN, 3, "after", lambda: kill_superlink(running))
    return Outlived(running, plan, first, running.completed(plan, last))


def kill_superlink(federation: Live) -> None:
    """kill -9 of the SuperLink alone; it is started again as after a crash."""
    before = federation.link.link.pid
    assert before is not None
    os.kill(before, signal.SIGKILL)
    assert until(lambda: federation.link.link.pid not in (None, before), PATIENCE)
    federation.link.wait_ready(PATIENCE)


def test_between_rounds(outlived: Outlived):
    """When the bins are asked for and no round has begun: nothing of them is lost."""
    assert len(outlived.history[BIN]) == 1
    run = outlived.federation.wait(outlived.first)
    assert (run.finished, run.completed) == (True, False), "Flower takes a run that died for one that failed"


def test_in_mid_round(outlived: Outlived):
    """Once when all have charged the answer, once when one of them has not: the attempt is lost, and repeated."""
    lost = lost_attempts(outlived.history)
    assert lost[:2] == [(TRAIN, 1, 1), (TRAIN, 2, 1)]
    assert [cohort for round, _, cohort in outlived.history[TRAIN] if round < 3] == [LENDERS] * 4


def test_the_superlink_alone(outlived: Outlived):
    """At most one answer is lost: what was on its way when the SuperLink died is asked for again."""
    assert lost_attempts(outlived.history)[2:] in ([], [(TRAIN, 3, 1)])


def test_the_model_and_the_ledgers_are_those_of_an_unbroken_run(
    outlived: Outlived, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    model = replayed(outlived.plan, outlived.history, tmp_path / "one", monkeypatch)
    assert model_of(outlived.output) == model
    spent = audited(outlived.federation, outlived.plan)
    # What was held before it was answered was answered in the end, to nobody, and charged.
    assert {party: counts[TRAIN] for party, counts in spent.items()} == outlived.asked
    assert {party: counts[BIN] for party, counts in spent.items()} == dict.fromkeys(LENDERS, 1)


def test_between_a_lender_and_a_platform(federation: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """While labels are on their way, and the platform dies with the server; and later the platform alone, in mid round.

    Nothing goes on without it; it is waited for, and knows alignment and labels when it is back.
    """
    plan = plan_for(federation, "pair", training__rounds=2, privacy__spare_attempts=1.0)
    platform = federation.nodes[PLATFORM]
    federation.approve(plan)
    held(federation, plan, PLATFORM, LABELS, 2, "before", federation.kill_server)
    platform.kill()
    federation.start(PLATFORM)
    platform.order(LOOK, 2, "hold", "after")
    number = federation.submit(plan)
    assert until(platform.obeyed, PATIENCE), federation.failure(plan)
    platform.kill()
    federation.start(PLATFORM)
    output = federation.completed(plan, number)
    history = history_of(output, plan)
    lost = lost_attempts(history)
    assert (LOOK, 2, 1) in lost
    assert {(phase, round) for phase, round, _ in lost} == {(LOOK, 2)}
    # What a lender tells again, since the server died before it was passed on, is the same and no news of anybody.
    for lender in LENDERS:
        entries = [stored.entry for stored in read_ledger(federation.nodes[lender].ledger)]
        told = [one for one in entries if isinstance(one, Disclose) and (one.plan, one.phase) == (plan.hash, LABELS)]
        assert [one.fresh for one in told] == [told[0].persons] + [0] * (len(told) - 1)
        assert {(one.peer, one.what, one.persons) for one in told} == {(PLATFORM, told[0].what, told[0].persons)}
    assert model_of(output) == replayed(plan, history, tmp_path / "one", monkeypatch)
    audited(federation, plan)
