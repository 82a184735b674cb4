"""The SuperLink and the server app, killed with -9 and started on their files again: a run goes on from its journal.

One run has all that befalls a server and a platform: what precedes a run's first round and follows its last takes
longer than its rounds. Where else a server may be killed, `tests/server/test_resume.py` plays in one process.
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


def nothing() -> None:
    """Nothing befalls a run before what is held."""


def held(
    federation: Live,
    plan: Plan,
    party: str,
    phase: str,
    round: int,
    when: str,
    kill: Callable[[], None],
    before: Callable[[], None] = nothing,
) -> int:
    """Begin a run or go on with it, and kill something while a party holds a request; Flower's number of the run.

    `before` is done in between, once the run has begun.
    """
    node = federation.nodes[party]
    node.order(phase, round, "hold", when)
    number = federation.submit(plan)
    before()
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
class Kills:
    """Where the server is killed among the lenders: who holds which request, before it is answered or after."""

    name: str
    lenders: tuple[str, ...]
    server: tuple[tuple[str, str, int, str], ...]
    rounds: int  # of training; in the last the SuperLink dies alone


# As few lenders as there may be: three that train behind masks are in `test_survival.py`.
FEW = Kills("few", LENDERS[1:], (("lender-3", TRAIN, 1, "before"),), 2)
ALL = Kills(
    "all",
    LENDERS,
    (("lender-2", BIN, 0, "before"), ("lender-1", TRAIN, 1, "after"), ("lender-3", TRAIN, 2, "before")),
    3,
)


@dataclass(frozen=True)
class Outlived:
    """A run that is done, whose server was killed, with the platform and alone, whose platform was, and a SuperLink."""

    federation: Live
    plan: Plan
    kills: Kills
    first: int  # Flower's number of the run that was killed while labels were on their way
    output: Path

    @property
    def history(self) -> dict[str, ATTEMPTS]:
        return history_of(self.output, self.plan)

    def lost(self, phase: str) -> list[tuple[int, int]]:
        """Round and attempt of what was lost in a phase."""
        return [(round, attempt) for found, round, attempt in lost_attempts(self.history) if found == phase]

    @property
    def asked(self) -> dict[str, int]:
        """How often each lender was asked in training."""
        return {party: sum(party in cohort for _, _, cohort in self.history[TRAIN]) for party in self.kills.lenders}


@pytest.fixture(scope="module", params=[FEW, pytest.param(ALL, marks=pytest.mark.long)], ids=lambda kills: kills.name)
def outlived(running: Live, request: pytest.FixtureRequest) -> Outlived:
    kills: Kills = request.param
    running.ready()
    plan = plan_for(
        running, kills.name, lenders=kills.lenders, training__rounds=kills.rounds, privacy__spare_attempts=1.0
    )
    platform, server = running.nodes[PLATFORM], running.kill_server
    running.approve(plan)
    first = held(running, plan, PLATFORM, LABELS, 2, "before", server)
    platform.kill()
    running.start(PLATFORM)
    platform.order(LOOK, 2, "hold", "after")

    def kill_platform() -> None:
        assert until(platform.obeyed, PATIENCE), running.failure(plan)
        platform.kill()
        running.start(PLATFORM)

    before = kill_platform
    for party, phase, round, when in kills.server:
        held(running, plan, party, phase, round, when, server, before)
        before = nothing
    # Where the server app lives on, the run does too: nobody resumes it.
    last = held(running, plan, "lender-2", TRAIN, kills.rounds, "after", lambda: kill_superlink(running))
    return Outlived(running, plan, kills, first, running.completed(plan, last))


def kill_superlink(federation: Live) -> None:
    """kill -9 of the SuperLink alone; it is started again as after a crash."""
    before = federation.link.link.pid
    assert before is not None
    os.kill(before, signal.SIGKILL)
    assert until(lambda: federation.link.link.pid not in (None, before), PATIENCE)
    federation.link.wait_ready(PATIENCE)


def test_between_a_lender_and_a_platform(outlived: Outlived):
    """While labels are on their way, and the platform dies with the server: it knows the alignment when it is back."""
    run = outlived.federation.wait(outlived.first)
    assert (run.finished, run.completed) == (True, False), "Flower takes a run that died for one that failed"
    # What a lender tells again, since the server died before it was passed on, is the same and no news of anybody.
    for lender in outlived.kills.lenders:
        entries = [stored.entry for stored in read_ledger(outlived.federation.nodes[lender].ledger)]
        mine = [one for one in entries if isinstance(one, Disclose) and one.plan == outlived.plan.hash]
        told = [one for one in mine if one.phase == LABELS]
        assert [one.fresh for one in told] == [told[0].persons] + [0] * (len(told) - 1)
        assert {(one.peer, one.what, one.persons) for one in told} == {(PLATFORM, told[0].what, told[0].persons)}


def test_a_platform_in_mid_round(outlived: Outlived):
    """Nothing goes on without it; it is waited for, and knows labels when it is back."""
    assert outlived.lost(LOOK) == [(2, 1)]


def test_between_rounds(outlived: Outlived):
    """When the bins are asked for and no round has begun: nothing of them is lost."""
    assert len(outlived.history[BIN]) == 1
    assert {phase for phase, _, _ in lost_attempts(outlived.history)} == {LOOK, TRAIN}


def test_in_mid_round(outlived: Outlived):
    """Once when all have charged the answer, once when one of them has not: the attempt is lost, and repeated."""
    rounds = [round for _, phase, round, _ in outlived.kills.server if phase == TRAIN]
    assert [at for at in outlived.lost(TRAIN) if at[0] < outlived.kills.rounds] == [(round, 1) for round in rounds]
    cohorts = [cohort for round, _, cohort in outlived.history[TRAIN] if round in rounds]
    assert cohorts == [outlived.kills.lenders] * 2 * len(rounds)


def test_the_superlink_alone(outlived: Outlived):
    """At most one answer is lost: what was on its way when the SuperLink died is asked for again."""
    last = outlived.kills.rounds
    assert [at for at in outlived.lost(TRAIN) if at[0] == last] in ([], [(last, 1)])


def test_the_model_and_the_ledgers_are_those_of_an_unbroken_run(
    outlived: Outlived, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    model = replayed(outlived.plan, outlived.history, tmp_path / "one", monkeypatch)
    assert model_of(outlived.output) == model
    spent = audited(outlived.federation, outlived.plan)
    # What was held before it was answered was answered in the end, to nobody, and charged.
    lenders = outlived.kills.lenders
    assert {party: spent[party][TRAIN] for party in lenders} == outlived.asked
    assert {party: spent[party][BIN] for party in lenders} == dict.fromkeys(lenders, 1)
