"""The ledger: appends a second, the time to reopen and to verify a large one, the time to compose a year of plans.

An append here is an entry of a real node: a reservation that is held against all ceilings, or its answer, signed and
committed with synchronous=FULL. Rows of like size, committed one by one into a bare SQLite file with the same settings,
take turns with them, since the disk decides most of both. The large ledger is that of weekly plans of 300 rounds;
plans of one year differ in sample rate and so in noise, and nothing can be merged over its weeks. A year is composed
twice: with the noise of plans of epsilon 0.2, which a data set can afford, and with that of epsilon 2, which takes
longer to compose.
"""

from __future__ import annotations

import math
import os
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from sealscore.compliance.verify.verify import verify_ledger
from sealscore.shared.dp.accountant import PldAccountant
from sealscore.shared.dp.events import Event, SampledGaussian
from sealscore.shared.dp.mechanisms import Mechanisms
from sealscore.shared.identity.identity import Identity
from sealscore.shared.ledger.budget_check import BudgetCheck
from sealscore.shared.ledger.chain import body_of, entry_hash
from sealscore.shared.ledger.entries import Answer, Approve, Ceilings, Entry, Identify, Reserve, Settle
from sealscore.shared.ledger.ledger import SIGNED, Ledger
from sealscore.shared.ledger.state import LedgerState, PlanState
from sealscore.shared.plan.plan import SERVER, Plan
from sealscore.simulations.data.scenario import PLANS, Scenario

ENTRIES, WEEKS, ROUNDS = 100_000, 52, 300
TURNS, ANSWERS, WARM_UP, ROW_BYTES = 15, 20, 10, 700
DATA_SET, RUN, REQUEST, AT = "bench", "run-5e5e5e5e5e5e5e5e", "5e" * 32, "2031-01-06T00:00:00Z"
CEILINGS = Ceilings(epsilon=5.0, delta=1e-5, purposes={"credit-scoring": 5.0})
PERSONS = Identify(column="id", form="exact")
# Of the packaged plan.
COHORT, COLLUDING = 3, 1


class _LedgerFederation:
    """Real identities, and a plan a week under their cards."""

    def __init__(self) -> None:
        self._plan = Scenario.load(PLANS / "synthetic_horizontal_eps2.toml").plan
        names = [party.name for party in self._plan.parties]
        self.own = Identity.generate(names[0], "lender")
        others = [Identity.generate(name, "lender") for name in names[1:]] + [Identity.generate(SERVER, "server")]
        self._cards = {identity.name: identity.card.text for identity in [self.own, *others]}

    def plan(self, week: int, epsilon: float = 0.2) -> Plan:
        """The plan of a week, counted from 0; weeks of one year differ in their noise."""
        data = self._plan.model_dump(mode="json")
        data["seed"], data["server_card"] = week, self._cards[SERVER]
        data["parties"] = [party | {"card": self._cards[party["name"]]} for party in data["parties"]]
        data["privacy"] |= {"epsilon": epsilon}
        data["training"] |= {"rounds": ROUNDS, "sample_rate": round(0.05 + week % WEEKS * 1e-4, 4)}
        return Plan.parse(data)


def _reserve(state: PlanState, phase: str, round: int) -> Reserve:
    mechanisms, (_, found) = state.mechanisms, state.phases[phase]
    return Reserve(
        plan=state.plan.hash,
        run=RUN,
        phase=phase,
        round=round,
        attempt=1,
        event=mechanisms.event(found),
        part=state.part(found),
        own_noise=1 / math.sqrt(COHORT - COLLUDING),
        cohort=COHORT,
        max_colluding=COLLUDING,
        source="system",
    )


def _answer(state: PlanState, phase: str, round: int, reserve: int) -> Answer:
    place = {"plan": state.plan.hash, "run": RUN, "phase": phase, "round": round, "attempt": 1}
    return Answer(**place, reserve=reserve, request=REQUEST)


def _week(plan: Plan, seq: int) -> Iterator[Entry]:
    """All entries of a plan that ran without a fault; the first of them gets the number `seq`."""
    yield Approve(plan=plan.hash, text=plan.canonical().decode("ascii"))
    state = PlanState(plan, seq, plan.hash, plan.parties[0].name)
    for name, (_, phase) in state.phases.items():
        first = _reserve(state, name, 1)
        for round in range(1, phase.rounds + 1):
            seq += 1
            yield first.model_copy(update={"round": round})
            yield _answer(state, name, round, seq)
            seq += 1
    yield Settle(plan=plan.hash, why="finished")


def _large(path: Path, federation: _LedgerFederation) -> int:
    """Write a valid ledger of at least `ENTRIES` entries in one transaction; how many plans it holds."""
    ledger = Ledger.create(path, federation.own, DATA_SET, CEILINGS, identified=PERSONS)
    seq, head, weeks, rows = ledger.head.seq, ledger.head.hash, 0, []
    ledger.close()
    while seq < ENTRIES:
        for entry in _week(federation.plan(weeks), seq + 1):
            seq, previous, nonce, body = seq + 1, head, os.urandom(32), body_of(entry)
            head = entry_hash(seq, previous, AT, nonce, body)
            rows.append((seq, AT, body, nonce, previous, head, federation.own.sign(SIGNED, head)))
        weeks += 1
    with sqlite3.connect(path) as database:
        database.executemany("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    database.close()
    return weeks


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


def _appends(folder: Path, federation: _LedgerFederation) -> dict[str, float]:
    """Entries a second of a node and of a bare file, and what it takes to hold a reservation against the ceilings."""
    ledger = Ledger.create(folder / "node.db", federation.own, DATA_SET, CEILINGS, identified=PERSONS)
    budget_check = BudgetCheck()
    plan = federation.plan(0)
    ledger.append(lambda state: Approve(plan=plan.hash, text=plan.canonical().decode("ascii")))
    bare = sqlite3.connect(folder / "bare.db", isolation_level=None)
    bare.execute("PRAGMA journal_mode=WAL")
    bare.execute("PRAGMA synchronous=FULL")
    bare.execute("CREATE TABLE entries (seq INTEGER PRIMARY KEY, body BLOB NOT NULL)")
    row = os.urandom(ROW_BYTES)
    spent: dict[str, list[float]] = {"node": [], "bare": []}
    phase = next(name for name in ledger.state.plans[plan.hash].phases if name.startswith("train_tower"))

    def answered(round: int) -> None:
        def reservation(state: LedgerState) -> Reserve:
            entry = _reserve(state.plans[plan.hash], phase, round)
            budget_check.check(state, plan.hash, entry)
            return entry

        seq = ledger.append(reservation)
        ledger.append(lambda state: _answer(state.plans[plan.hash], phase, round, seq))

    def committed(round: int) -> None:
        bare.execute("INSERT INTO entries (body) VALUES (?)", (row,))
        bare.execute("INSERT INTO entries (body) VALUES (?)", (row,))

    for turn in range(TURNS):
        for name, work in (("node", answered), ("bare", committed)):
            for round in range(turn * ANSWERS + 1, (turn + 1) * ANSWERS + 1):
                seconds, _ = _timed(partial(work, round))
                spent[name].append(seconds)
    ledger.close()
    bare.close()
    node, alone = (median(times[WARM_UP:]) / 2 for times in spent.values())
    return {"appends_per_second": 1 / node, "bare_commits_per_second": 1 / alone, "append_ratio": node / alone}


def _year(federation: _LedgerFederation, epsilon: float) -> list[Event]:
    """Events of the training rounds of a year of weekly plans, each with the noise of the first."""
    first = Mechanisms(federation.plan(0, epsilon))
    phase = next(phase for phase in first.phases if phase.name.startswith("train_tower"))
    noise = first.noise_multipliers[phase.name]
    rates = [federation.plan(week).training.sample_rate for week in range(WEEKS)]
    return [SampledGaussian(noise_multiplier=noise, sample_rate=rate, count=ROUNDS) for rate in rates]


def run() -> dict[str, Any]:
    """Entries a second, and seconds to reopen, verify and compose beside their limits."""
    federation, accountant = _LedgerFederation(), PldAccountant(1e-3)
    result: dict[str, Any] = {"accountant": f"pld at {accountant.discretisation:g}, {accountant.version}"}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        result |= _appends(folder, federation)
        # The libraries of the accountant are loaded by now, and what is composed next is in no cache.
        for epsilon, label in ((0.2, "compose_year"), (2.0, "compose_year_of_epsilon_2")):
            events = _year(federation, epsilon)
            result[f"{label}_seconds"], result[f"{label}_epsilon"] = _timed(
                partial(accountant.epsilon, events, CEILINGS.delta)
            )
        path = folder / "large.db"
        weeks = _large(path, federation)
        result |= {"plans": weeks, "megabytes": path.stat().st_size / 1e6}
        result["reopen_seconds"], ledger = _timed(lambda: Ledger(path, federation.own))
        result["entries"] = ledger.head.seq
        result["epsilon_of_all"] = BudgetCheck().epsilon(ledger.state)
        ledger.close()
        result["verify_seconds"], found = _timed(lambda: verify_ledger(path))
        if not found.ok:
            raise AssertionError(f"the ledger does not verify: {found.findings[0]}")
    return result | {"compose_year_limit_seconds": 5, "verify_limit_seconds": 20}
