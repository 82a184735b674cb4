"""A rehearsal of a federation: three lenders and a platform with simulation identities, so that its models can be
compared bit for bit, wherever and however often interrupted they were trained.

All plans have one seed, from which the identities follow, so a node's ledger holds plan after plan.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from doubles import DirectExchange
from ledgers import state_of
from vertical_builders import PLAN, people, records_of

from sealscore.clients.node.plan_ledger import approve
from sealscore.clients.node.plan_router import PlanRouter
from sealscore.compliance.verify.verify import Verification, verify_ledger
from sealscore.server.run.rounds import Rounds
from sealscore.server.run.run import run_coordinator
from sealscore.server.transport.exchange import Exchange
from sealscore.server.transport.journal import Journal
from sealscore.shared.identity.identity import Identity
from sealscore.shared.identity.trust import TrustStore
from sealscore.shared.ledger.chain import read_anchors
from sealscore.shared.ledger.disclosure_store import DisclosureStore
from sealscore.shared.ledger.entries import Ceilings, Identify
from sealscore.shared.ledger.ledger import Ledger
from sealscore.shared.persons.records import Records
from sealscore.shared.phases.order import Phase
from sealscore.shared.plan.plan import SERVER, Plan
from sealscore.shared.randomness.streams import StreamSource

SEED = 11
LENDERS, PLATFORM = ("lender-1", "lender-2", "lender-3"), "video-1"
PARTIES = (*LENDERS, PLATFORM)
# Plan after plan is carried out on one data set here.
CEILINGS = Ceilings(epsilon=None, delta=1e-3, signal_bits=64)
ATTEMPTS = tuple[tuple[int, int, tuple[str, ...]], ...]


def identity_of(name: str) -> Identity:
    """The simulated identity of a party or of the server."""
    role = "server" if name == SERVER else "platform" if name == PLATFORM else "lender"
    return Identity.simulated(SEED, name, role)  # type: ignore[arg-type]


def trust() -> TrustStore:
    """A store that trusts everybody of the rehearsal."""
    return TrustStore.simulated(identity_of(name).card for name in (SERVER, *PARTIES))


def rehearsal_plan(
    name: str = "rehearsal",
    platform: bool = True,
    bundle: str | None = None,
    lenders: tuple[str, ...] = LENDERS,
    **changes: Any,
) -> Plan:
    """A plan with cards; without its platform it is plain horizontal training. `bundle` is the app bundle's hash."""
    parties = (*lenders, PLATFORM) if platform else lenders
    data = Plan.parse(PLAN).model_dump(mode="json")
    groups = {"lender": data["groups"]["lender"]} | ({"video": data["groups"]["video"]} if platform else {})
    if platform:
        groups["video"] |= {"min_parties": 1}
    data |= {
        "name": name,
        "seed": SEED,
        "bundle": bundle,
        "groups": groups,
        "parties": [
            {"name": party, "group": party.split("-")[0], "nominal_records": 300, "card": identity_of(party).card.text}
            for party in parties
        ],
        "server_card": identity_of(SERVER).card.text,
    }
    data["alignment"] |= {"method": "private"}
    data["evaluation"] |= {"groups": {"age": [40]}}
    data["privacy"] |= {"spare_attempts": 0.5, "signal_bits": 64, "max_parties_per_person": 1}
    return Plan.parse(data).replace(**changes)


def rehearsal_records(plan: Plan, party: str, n: int = 600) -> Records:
    """A party's invented records of n persons: every third person is at each lender, most are on the platform."""
    everybody = people(n, SEED)
    random = np.random.default_rng([SEED, 3])
    known = {PLATFORM: np.flatnonzero(random.random(n) < 0.8)}
    known |= {lender: np.arange(place, n, 3) for place, lender in enumerate(LENDERS)}
    return records_of(plan, party, everybody, known[party])


def begin_ledger(path: Path | None, party: str) -> Ledger:
    """A party's new ledger."""
    column = PLAN["groups"][party.split("-")[0]]["table"]
    named = Identify(column=column.get("person", column["id"]), form="exact")
    return Ledger.create(path, identity_of(party), f"records of {party}", CEILINGS, identified=named)


def host_of(
    party: str, ledger: Ledger, disclosure_store: DisclosureStore, kind: type[PlanRouter] = PlanRouter, **more: Any
) -> PlanRouter:
    """The party's node under all plans of its ledger, with secrets that follow from the seed."""
    return kind(
        identity_of(party),
        trust(),
        ledger,
        disclosure_store,
        StreamSource.seeded(SEED, f"{party} labels"),
        load=lambda plan: rehearsal_records(plan, party),
        secret=lambda plan: StreamSource.seeded(SEED, party),
        **more,
    )


class Nodes:
    """The parties' nodes in this process; a party that is restarted keeps its ledger and register, and nothing else."""

    def __init__(self, plan: Plan) -> None:
        self.plan, self.names = plan, [party.name for party in plan.parties]
        self.told: list[str] = []
        self.ledgers = {name: begin_ledger(None, name) for name in self.names}
        self.registers = {name: DisclosureStore() for name in self.names}
        for ledger in self.ledgers.values():
            approve(ledger, plan)
        self._hosts: dict[str, PlanRouter] = {}
        for name in self.names:
            self.restart(name)

    def restart(self, name: str) -> None:
        """Begin a party's node anew, as after kill -9: nothing is closed."""
        self._hosts[name] = host_of(name, self.ledgers[name], self.registers[name], tell=self.told.append)

    def __getitem__(self, name: str) -> Any:
        return _Reached(self._hosts, name)

    @property
    def responders(self) -> dict[str, Any]:
        """By name, whatever node the party has at the time."""
        return {name: self[name] for name in self.names}


class _Reached:
    def __init__(self, hosts: Mapping[str, PlanRouter], name: str) -> None:
        self._hosts, self.name = hosts, name

    def answer(self, request: bytes) -> bytes:
        return self._hosts[self.name].answer(request)


def carry_out(plan: Plan, exchange: Exchange, folder: Path, **more: Any) -> None:
    """Carry a plan out as the server of the rehearsal, with a journal and receipts in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    values: dict[str, Any] = {
        "patience": 0.0,
        "timeout": None,
        "identity": identity_of(SERVER),
        "receipts": folder / "receipts.jsonl",
        "journal": folder / "journal.db",
    }
    run_coordinator(plan.canonical(), exchange, folder, **(values | more))


def model_of(folder: Path) -> dict[str, bytes]:
    """The files of a run's models, the platform's tower among them."""
    files = [path for part in ("model", "towers") for path in (folder / part).rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(files)}


def history_of(folder: Path, plan: Plan) -> dict[str, ATTEMPTS]:
    """(round, attempt, cohort) of every attempt of a run, by phase, as its journal has them."""
    from sealscore.shared.dp.mechanisms import Mechanisms

    journal = Journal(plan.hash, f"run-{plan.hash[:16]}", folder / "journal.db")
    try:
        return {phase.name: tuple(journal.attempts(phase.name)) for phase in Mechanisms(plan).phases}
    finally:
        journal.close()


def progress_of(folder: Path) -> list[dict[str, Any]]:
    """The rounds of a run that are done, as who follows it sees them."""
    path = folder / "progress.jsonl"
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    return [row for line in lines if line.endswith("}") and "round" in (row := json.loads(line))]


def answers_of(folder: Path, plan: Plan, ledgers: Mapping[str, Path]) -> dict[str, dict[str, int]]:
    """How many answers each party's ledger has of each phase with a sum, by party, after a run that was carried out.

    Every ledger must hold no less than what came about and no more than what was asked for, and the server must know
    of no less.
    """
    history, lost = history_of(folder, plan), set(lost_attempts(history_of(folder, plan)))
    known = json.loads((folder / "run.json").read_text("utf-8"))["answered"]
    found: dict[str, dict[str, int]] = {}
    for party, ledger in ledgers.items():
        state = state_of(ledger).plans[plan.hash]
        found[party] = {}
        for phase, attempts in history.items():
            mine = [(phase, round, attempt) for round, attempt, cohort in attempts if party in cohort]
            if mine:
                found[party][phase] = spent = state.spent[phase]
                assert len(set(mine) - lost) <= spent <= len(mine), (party, phase)
                assert known[phase][party] == len(mine)
    return found


def lost_attempts(history: Mapping[str, ATTEMPTS]) -> list[tuple[str, int, int]]:
    """(phase, round, attempt) of every attempt but the last of its round."""
    last = {(phase, round): attempt for phase, attempts in history.items() for round, attempt, _ in attempts}
    found = [(phase, round, attempt) for phase, attempts in history.items() for round, attempt, _ in attempts]
    return [(phase, round, attempt) for phase, round, attempt in found if attempt < last[phase, round]]


def replayed(plan: Plan, history: Mapping[str, ATTEMPTS], folder: Path, monkeypatch: Any) -> dict[str, bytes]:
    """The model of a run in this process whose rounds had these attempts and cohorts, and which nothing interrupted.

    Attempts that came to nothing are not asked for: what a party draws depends on the attempt, on nothing before it.
    """
    folder.mkdir(parents=True)
    cohorts: dict[str, list[tuple[str, ...]]] = defaultdict(list)
    lost = set(lost_attempts(history))
    journal = Journal(plan.hash, f"run-{plan.hash[:16]}", folder / "journal.db")
    for phase, attempts in history.items():
        for round, attempt, cohort in attempts:
            if (phase, round, attempt) in lost:
                journal.attempt(phase, round, attempt, cohort)
            else:
                cohorts[phase].append(cohort)
    journal.close()

    def cohort(rounds: Rounds, phase: Phase, failures: dict[str, str]) -> tuple[str, ...]:
        return cohorts[phase.name].pop(0)

    with monkeypatch.context() as patch:
        patch.setattr(Rounds, "_cohort", cohort)
        carry_out(plan, DirectExchange(Nodes(plan).responders), folder)
    assert not any(cohorts.values())
    return model_of(folder)


def verified(path: Path, receipts: Path) -> Verification:
    """The check of a ledger, with the server's receipts as anchors; fails where it finds anything."""
    found = verify_ledger(path, read_anchors(receipts), identity_of(SERVER).card, simulation=True)
    assert not found.findings, [(finding.code, finding.seq, finding.what) for finding in found.findings]
    return found


@contextmanager
def ledger_at(path: Path, party: str) -> Iterator[Ledger]:
    """A party's ledger in a file."""
    ledger = Ledger(path, identity_of(party))
    try:
        yield ledger
    finally:
        ledger.close()
