"""The product as its operators run it: by its commands alone, from empty folders to ledgers that a reviewer verifies.

Nothing of it is replaced: the server's own app, nodes with keys of their own, real randomness. So models cannot be
compared bit for bit (`test_survival_server.py` does that); what is kept and what is charged can.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest
from builders import TRAIN
from consortium import LOANS, NAMES, Consortium
from deployment import until
from ledgers import state_of
from operators import PATIENCE, make_plan, start_server, verify
from rehearsal import answers_of, history_of, lost_attempts, progress_of

from sealscore.server.run.run_files import JOURNAL
from sealscore.server.transport.journal import Journal
from sealscore.shared.ledger.entries import Answer
from sealscore.shared.ledger.ledger import read_ledger
from sealscore.shared.plan.plan import Plan
from sealscore.shared.text.foreign import grouped

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="process lists as Linux has them"),
]
ROUNDS, KILLED_AFTER = 4, 1
SHORT = {"rounds": f"rounds = 60 -> rounds = {ROUNDS}"}


@dataclass(frozen=True)
class Kept:
    """What a run's journal has: attempts by phase and round, and the sums that came about."""

    attempts: dict[tuple[str, int], list[tuple[int, tuple[str, ...]]]]
    sums: dict[tuple[str, int], bytes]

    @classmethod
    def of(cls, output: Path, plan: Plan) -> Kept:
        attempts: dict[tuple[str, int], list[tuple[int, tuple[str, ...]]]] = {}
        for phase, found in history_of(output, plan).items():
            for round, attempt, cohort in found:
                attempts.setdefault((phase, round), []).append((attempt, cohort))
        journal = Journal(plan.hash, f"run-{plan.hash[:16]}", output / JOURNAL)
        try:
            sums = {place: found.values.tobytes() for place in attempts if (found := journal.sum(*place)) is not None}
        finally:
            journal.close()
        return cls(attempts, sums)


def answered(ledger: Path) -> Counter[tuple[str, int]]:
    """How often a ledger has an answer of a phase's round."""
    entries = (stored.entry for stored in read_ledger(ledger))
    return Counter((entry.phase, entry.round) for entry in entries if isinstance(entry, Answer))


def trained(output: Path) -> int:
    """The last training round that is done, as who follows the run sees it."""
    return max((row["round"] for row in progress_of(output) if row["phase"] == TRAIN), default=0)


def test_a_run_outlives_its_server_and_its_ledgers_verify(consortium: Consortium):
    found = consortium
    server, lenders, ledgers = found.server, found.lenders, found.ledgers()
    path = make_plan(server, "demo", NAMES, LOANS, **SHORT)
    demo = found.plan("demo")
    output = found.output(demo)
    bundle = str(server.home.with_name("app.fab"))
    server.type("bundle", "-o", bundle, "--plan", "demo")
    words = ("plan", "approve", str(path), "--bundle", bundle, "--yes")
    told = found.each(lambda name: lenders[name].type(*words))
    assert all("approved: demo" in said for said in told.values())

    # A node is reached by a proposal as long as a plan of this version is live at it.
    make_plan(server, "second", NAMES, LOANS, **SHORT)
    said = server.type("plan", "publish", "second")
    for name, listed in found.each(lambda name: lenders[name].type("plan", "list")).items():
        assert re.search(rf"{name} +│ taken", said), said
        assert re.search(rf"second +│ {grouped(found.plan('second').hash)} .* not approved", listed), listed
        assert re.search(r"demo +│ .* live", listed), listed

    follower = server.begin("run", "demo")
    assert until(lambda: trained(output) >= KILLED_AFTER or follower.ended, PATIENCE), found.told()
    assert not follower.ended, found.told()
    found.kill_server()
    before, asked = Kept.of(output, demo), {name: answered(ledger) for name, ledger in ledgers.items()}
    done = set(before.sums)
    assert {(TRAIN, round) for round in range(1, KILLED_AFTER + 1)} <= done
    assert (TRAIN, ROUNDS) not in done
    assert not (output / "run.json").exists()

    start_server(server)
    assert "sealscore-server run demo --resume" in server.type("run", "demo", code=2)

    assert "done: epsilon" in server.type("run", "demo", "--resume", timeout=2 * PATIENCE)
    whole(output, demo)
    after = Kept.of(output, demo)
    assert {place: after.sums[place] for place in done} == before.sums
    assert {place: after.attempts[place] for place in done} == {place: before.attempts[place] for place in done}
    again = {name: done & set(answered(ledger) - asked[name]) for name, ledger in ledgers.items()}
    assert not any(again.values()), again
    charged(output, demo, ledgers)

    receipts = server.home.with_name("receipts.jsonl")
    assert "are written to" in server.type("receipts", "export", "--output", str(receipts))
    for name, verified in found.each(lambda name: verify(ledgers[name], receipts)).items():
        assert (verified["party"], verified["verified"], verified["findings"]) == (name, True, [])
        assert verified["anchors"]["given"] > ROUNDS
    assert re.search(r"demo +│ done", server.type("runs"))

    # That plan has ended; another live one brings its release to the nodes.
    server.type("release", "new", "demo", "--name", "first")
    words = ("plan", "approve", "second", "--bundle", bundle, "--yes")
    found.each(lambda name: lenders[name].type(*words))
    # A node looks at approvals each second, and runs no bundle before it has.
    listed_now = "plans that are answered now: second"
    assert until(lambda: all(listed_now in one.begun[0].said for one in lenders.values()), PATIENCE), found.told()
    said = server.type("release", "publish", "first")
    for name, listed in found.each(lambda name: lenders[name].type("release", "list")).items():
        assert re.search(rf"{name} +│ taken", said), said
        assert re.search(r"first +│ .* not approved", listed), listed


def whole(output: Path, plan: Plan) -> None:
    """The run's record is that of a plan that was carried out to its last round."""
    record = json.loads((output / "run.json").read_text("utf-8"))
    assert record["plan"]["hash"] == plan.hash
    assert record["early"] == {}
    assert record["protection"]["sums"] == "masked"
    assert 0 < record["privacy"]["epsilon"] <= record["privacy"]["epsilon_of_plan"]
    assert (output / "model").is_dir()
    rounds = pl.read_parquet(output / "rounds.parquet").filter(pl.col("phase") == TRAIN)["round"].to_list()
    assert rounds == list(range(1, ROUNDS + 1))
    assert trained(output) == ROUNDS


def charged(output: Path, plan: Plan, ledgers: dict[str, Path]) -> None:
    """Every ledger has what was asked for and no more, within what it reserved and within the plan's budget."""
    spent = answers_of(output, plan, ledgers)
    lost = lost_attempts(history_of(output, plan))
    assert len(lost) <= 1, "one attempt at most was under way when the server died"
    for party, ledger in ledgers.items():
        state = state_of(ledger).plans[plan.hash]
        assert state.state == "settled"
        for held in state.reservations.values():
            assert held.answered + held.aborted <= held.entry.count
        for name, count in spent[party].items():
            assert count <= state.phases[name][1].attempts
            reserved = sum(held.entry.count for held in state.reservations.values() if held.entry.phase == name)
            assert count <= reserved
