"""The product as its operators run it: by its commands alone, from empty folders to ledgers that a reviewer verifies.

Nothing of it is replaced: the server's own app, nodes with keys of their own, real randomness. So models cannot be
compared bit for bit (`test_survival_server.py` does that); what is kept and what is charged can.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import polars as pl
import pytest
from builders import LENDERS, TRAIN, small_records
from deployment import free_ports, until
from homes import table_of
from ledgers import state_of
from operators import (
    FINGERPRINT,
    NODE,
    PATIENCE,
    SERVER,
    Operator,
    end_all,
    make_plan,
    make_server,
    start_server,
    verify,
)
from processes import alive, family, kill
from rehearsal import answers_of, history_of, lost_attempts, progress_of

from sealscore.server.run.run_files import JOURNAL
from sealscore.server.setup.server_dir import ServerDir
from sealscore.server.transport.journal import Journal
from sealscore.shared.ledger.entries import Answer
from sealscore.shared.ledger.ledger import read_ledger
from sealscore.shared.plan.plan import Plan
from sealscore.shared.text.foreign import grouped

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="process lists as Linux has them"),
]
# As few as there may be: three that train behind masks are in `test_survival.py`.
NAMES = LENDERS[:2]
ROUNDS, KILLED_AFTER = 4, 1
Result = TypeVar("Result")
SHORT = {"rounds": f"rounds = 60 -> rounds = {ROUNDS}"}


class Consortium:
    """A server and two lenders, each with an operator, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.server = Operator(SERVER, folder / "server")
        self.lenders = {name: Operator(NODE, folder / name) for name in NAMES}
        self.killed: list[int] = []

    def set_up(self) -> None:
        """Everybody has a folder, data and the others' cards; server and nodes run."""
        control, partner, *supernodes = free_ports(2 + len(self.lenders))
        fingerprints = {"server": make_server(self.server, control, partner)}
        start_server(self.server)
        authority, address = str(self.server.home / "certificates" / "ca.pem"), f"localhost:{partner}"
        ports = dict(zip(self.lenders, supernodes, strict=True))

        def made(name: str) -> str:
            words = ("--name", name, "--role", "lender", "--server", address, "--authority", authority)
            said = self.lenders[name].type("init", *words)
            self.lenders[name].write(
                "node.toml",
                data='file = "loans.parquet" -> file = "loans.csv"',
                identifier='identifier = "creator_id" -> identifier = "id"',
                form='form = "creator-id" -> form = "exact"',
                row_local="# row_local = true -> row_local = true",
                port=f"port = 9494 -> port = {ports[name]}",
            )
            table_of(small_records(seed=int(name[-1]))).write_csv(self.lenders[name].home / "loans.csv")
            return FINGERPRINT.findall(said)[0]

        def trusting(name: str) -> None:
            for other in (self.server, *self.lenders.values()):
                if other is not self.lenders[name]:
                    card, read = str(other.home / "card.txt"), fingerprints[other.home.name]
                    said = self.lenders[name].type("peer", "trust", card, "--fingerprint", read)
                    assert f"trusted: {other.home.name}" in said

        fingerprints |= self.each(made)
        for name, lender in self.lenders.items():
            self.server.type("enrol", str(lender.home / "card.txt"), "--fingerprint", fingerprints[name])
        self.each(trusting)
        for lender in self.lenders.values():
            lender.begin("start")
        assert until(lambda: all(self.connected(name) for name in self.lenders), PATIENCE), self.told()

    def each(self, action: Callable[[str], Result]) -> dict[str, Result]:
        """What the operators of all lenders do at the same time."""
        with ThreadPoolExecutor(len(self.lenders)) as pool:
            return dict(zip(self.lenders, pool.map(action, self.lenders), strict=True))

    def connected(self, name: str) -> bool:
        """Whether the server has answered a node, by the node's status."""
        with suppress(OSError, ValueError):
            return bool(json.loads((self.lenders[name].home / "status.json").read_text("ascii"))["connected"])
        return False

    def told(self) -> str:
        """The ends of all logs."""
        logs = [begun.log for operator in (self.server, *self.lenders.values()) for begun in operator.begun]
        logs += sorted(self.server.home.glob("superlink/logs/*.log"))
        return "\n".join(f"{path.name}: {path.read_text('utf-8', 'replace')[-1500:]}" for path in logs)

    def plan(self, name: str) -> Plan:
        """A signed plan."""
        return ServerDir(self.server.home).signed_plans()[name]

    def output(self, plan: Plan) -> Path:
        """The folder of a plan's run."""
        return ServerDir(self.server.home).run_folder(plan)

    def ledgers(self) -> dict[str, Path]:
        """The lenders' ledgers."""
        return {name: lender.home / "ledger.db" for name, lender in self.lenders.items()}

    def kill_server(self) -> None:
        """kill -9 of `start`, of what it has started, and of the `run` that follows."""
        start, follower = (begun.process for begun in self.server.begun[-2:])
        found = [*family(start.pid), follower.pid]
        programs = [Path(f"/proc/{pid}/cmdline").read_text("utf-8") for pid in found]
        for part in ("sealscore.server.deploy.launcher", "sealscore.server.deploy.executor", "flwr-serverapp"):
            assert any(part in program for program in programs), (part, programs)
        self.killed += found
        kill(found)
        start.wait()
        follower.wait()
        assert until(lambda: not any(alive(pid) for pid in found)), programs

    def end(self) -> None:
        """End every process."""
        end_all(self.lenders.values())
        self.server.end()
        kill(pid for pid in self.killed if alive(pid))


@contextmanager
def consortium() -> Iterator[Consortium]:
    # the path of a socket is short, that of pytest's folders is not
    with tempfile.TemporaryDirectory(prefix="seal-", ignore_cleanup_errors=True) as name:
        found = Consortium(Path(name))
        try:
            found.set_up()
            yield found
        finally:
            found.end()


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


def test_a_run_outlives_its_server_and_its_ledgers_verify():
    with consortium() as found:
        server, lenders, ledgers = found.server, found.lenders, found.ledgers()
        path = make_plan(server, "demo", NAMES, **SHORT)
        demo = found.plan("demo")
        output = found.output(demo)
        bundle = str(server.home.with_name("app.fab"))
        server.type("bundle", "-o", bundle, "--plan", "demo")
        words = ("plan", "approve", str(path), "--bundle", bundle, "--yes")
        told = found.each(lambda name: lenders[name].type(*words))
        assert all("approved: demo" in said for said in told.values())

        # A node is reached by a proposal as long as a plan of this version is live at it.
        make_plan(server, "second", NAMES, **SHORT)
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
    left = [begun.log for operator in (server, *lenders.values()) for begun in operator.begun if not begun.ended]
    assert left == []


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
