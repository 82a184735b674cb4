"""Nodes that are started anew in the middle of a run, from the ledger and the register on their disks alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import TRAIN, small_federation, small_plan
from doubles import DirectExchange, Quiet
from ledgers import identified, own_epsilon
from vertical_builders import PARTIES, federation_of, vertical_plan

from sealscore.clients.node.node import Node
from sealscore.clients.node.plan_ledger import approve
from sealscore.clients.node.sealed import LedgerBehind, SealedNode, masks_of
from sealscore.clients.roles.lifetime import Lifetime
from sealscore.server.run.coordinator import Coordinator, RunOutcome
from sealscore.server.transport.sealed import SealedExchange
from sealscore.shared.crypto.aggregation import PlainSum
from sealscore.shared.identity.trust import TrustStore
from sealscore.shared.ledger.disclosure_store import DisclosureStore
from sealscore.shared.ledger.entries import Ceilings
from sealscore.shared.ledger.ledger import Ledger
from sealscore.shared.messages.messages import Hello, Ready
from sealscore.shared.persons.records import Records
from sealscore.shared.phases.order import Phase
from sealscore.shared.plan.plan import SERVER, Plan
from sealscore.shared.plan.towers import towers
from sealscore.shared.randomness.streams import StreamSource
from sealscore.simulations.engine.enrolment import enrolled, identities

RUN = "run-1"
PLAN = enrolled(vertical_plan(training__rounds=3, privacy__spare_attempts=1.0, model__fallback=True))


class Site:
    """What a party has on its disk, and the node that runs on it; starting anew forgets everything else."""

    def __init__(self, plan: Plan, name: str, folder: Path, records: Records) -> None:
        self.plan, self.name, self.folder, self.records = plan, name, folder, records
        self.identity = identities(plan)[name]
        folder.mkdir()
        ceilings = Ceilings(epsilon=plan.privacy.epsilon, delta=plan.privacy.delta)
        ledger = Ledger.create(
            folder / "ledger.db", self.identity, "records", ceilings, identified=identified(plan, name)
        )
        approve(ledger, plan)
        ledger.close()
        self.told: list[str] = []
        self.start()

    def start(self) -> None:
        """As after a crash: nothing was closed in order."""
        plan, name = self.plan, self.name
        self.ledger = Ledger(self.folder / "ledger.db", self.identity)
        disclosure_store = DisclosureStore(self.folder / "register.db")
        lifetime = Lifetime.of(StreamSource.seeded(plan.seed, f"{name} labels"), disclosure_store)
        masks = masks_of(plan, name)
        secret = StreamSource.seeded(plan.seed, name)
        self.node = Node(plan, name, self.records, secret, masks, lifetime, self.ledger, self.told.append)
        self.door = SealedNode(self.node, masks, self.identity, TrustStore.simulated(plan.cards.values()))

    def answer(self, request: bytes) -> bytes:
        return self.door.answer(request)


class Restarting(Quiet):
    """Starts parties anew before phases, and before rounds of training, that `which` names them for."""

    def __init__(self, run: Run, which: Callable[[str, int], Iterable[str]]) -> None:
        super().__init__()
        self._run, self._which = run, which

    def phase(self, phase: Phase) -> None:
        super().phase(phase)
        self._run.restart(phase, self._which(phase.name, 1))

    def round(self, row: dict[str, Any]) -> None:
        super().round(row)
        if row["round"] < row["rounds"]:
            phase = next(p for p in self._run.coordinator._mechanisms.phases if p.name == row["phase"])
            self._run.restart(phase, self._which(row["phase"], row["round"] + 1))


class Run:
    """A whole plan over sites."""

    def __init__(
        self,
        plan: Plan,
        folder: Path,
        which: Callable[[str, int], Iterable[str]] = lambda *_: (),
        records: dict[str, Records] | None = None,
    ) -> None:
        self.plan = plan
        held = records or federation_of(plan)
        self.sites = {name: Site(plan, name, folder / name, part) for name, part in held.items()}
        self.exchange = SealedExchange(DirectExchange(self.sites), plan, RUN, identities(plan)[SERVER])
        self.observer = Restarting(self, which)
        self.coordinator = Coordinator(plan, RUN, self.exchange, PlainSum(), self.observer, patience=1.0)
        self.restarts = 0

    def restart(self, phase: Phase, names: Iterable[str]) -> None:
        """Start parties anew, and greet them as the server does before it asks one that was away."""
        names = [*names]
        for name in names:
            self.sites[name].start()
            self.restarts += 1
            # The server learns that keys are lost from the answer to its greeting, and all join again.
            for _ in range(2):
                header = self.coordinator._asker.header(phase, 0, 0, name)
                reply = self.exchange.ask({name: Hello(header)})[name]
            assert isinstance(reply, Ready)
        if names:
            for tower in towers(self.plan):
                again = [name for name in names if self.plan.party(name).group == tower.group]
                of_tower = next(p for p in self.coordinator._mechanisms.phases if p.tower == tower.name)
                self.coordinator._asker.publish_again(of_tower, again)

    def carry_out(self) -> RunOutcome:
        return self.coordinator.run()


def same(one: RunOutcome, other: RunOutcome) -> bool:
    """Whether two runs gave the same models and tables, bit for bit."""
    tables = [
        [
            {name: table.tobytes() for name, table in of.tables.items()}
            for of in (outcome.tables, outcome.fallback_tables)
        ]
        for outcome in (one, other)
    ]
    models = [[outcome.model, outcome.fallback, *outcome.towers.values()] for outcome in (one, other)]
    return (tables[0], one.signals) == (tables[1], other.signals) and all(
        np.array_equal(a.weights.vector, b.weights.vector) and (a.binning, a.calibration) == (b.binning, b.calibration)
        for a, b in zip(*models, strict=True)
    )


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, RunOutcome]:
    run = Run(PLAN, tmp_path_factory.mktemp("unbroken"))
    return run, run.carry_out()


@pytest.mark.parametrize(
    "which",
    [
        lambda phase, round: PARTIES if round == 1 else (),
        lambda phase, round: ["lender-1", "video-2"] if round > 1 else (),
        lambda phase, round: ["wallet"] if phase.startswith(("train_tower:wallet", "disclose")) else (),
    ],
    ids=["all before each phase", "two before each round", "a platform while it trains"],
)
def test_a_restart_between_rounds_changes_no_bit_of_the_model(unbroken: Any, tmp_path: Path, which: Any):
    """Alignments, labels and levels are there again; streams follow from the same secrets, and masks cancel."""
    whole, outcome = unbroken
    run = Run(PLAN, tmp_path, which)
    assert same(run.carry_out(), outcome)
    assert run.restarts > 2
    for name, site in run.sites.items():
        assert site.told == []
        spent = site.ledger.state.plans[PLAN.hash].spent
        assert spent == whole.sites[name].ledger.state.plans[PLAN.hash].spent
        assert own_epsilon(site.ledger.state, PLAN) <= PLAN.privacy.epsilon


def test_what_the_comparison_sees(unbroken: Any, tmp_path: Path):
    """Teeth: of another seed the models differ."""
    other = PLAN.replace(seed=8)
    plain = other.model_dump(mode="json")
    plain["server_card"] = None
    plain["parties"] = [party | {"card": None} for party in plain["parties"]]
    assert not same(Run(enrolled(Plan.parse(plain)), tmp_path).carry_out(), unbroken[1])


def test_without_the_register_a_node_does_not_start_again(tmp_path: Path):
    """Its ledger says that labels and levels were told; which ones, only the register knows."""
    stopped: list[str] = []

    def which(phase: str, round: int) -> Iterable[str]:
        if phase != "bin:lender":
            return ()
        for name in ("lender-1", "wallet"):
            site = run.sites[name]
            for path in site.folder.glob("register.db*"):
                path.unlink()
            with pytest.raises(LedgerBehind, match="older than the ledger"):
                site.start()
            stopped.append(name)
        return ()

    run = Run(PLAN, tmp_path, which)
    run.carry_out()
    assert stopped == ["lender-1", "wallet"]


def test_in_a_block_a_crash_costs_its_rounds_and_the_others_go_on(tmp_path: Path):
    """What was reserved counts as answered; the party is back in the round after its block."""
    plan = enrolled(small_plan(training__rounds=8, privacy__spare_attempts=1.0, privacy__reserve_block=3))

    def which(phase: str, round: int) -> Iterable[str]:
        return ["lender-2"] if (phase, round) == (TRAIN, 2) else ()

    run = Run(plan, tmp_path, which, small_federation())
    run.carry_out()
    rows = {row["round"]: row for row in run.observer.rows if row["phase"] == TRAIN}
    assert rows[2]["failures"] == {"lender-2": "refused: out-of-order"}
    assert (rows[2]["cohort"], rows[2]["attempts"]) == (2, 2)
    assert rows[8]["cohort"] == 3
    spent = {name: site.ledger.state.plans[plan.hash].spent[TRAIN] for name, site in run.sites.items()}
    # The block of rounds 1 to 3 is spent whole, of which one was answered.
    asked = run.coordinator._rounds.answered(next(p for p in run.coordinator._mechanisms.phases if p.name == TRAIN))
    assert spent["lender-1"] == asked["lender-1"]
    refusals = run.sites["lender-2"].ledger.state.plans[plan.hash].refusals
    assert spent["lender-2"] == asked["lender-2"] - refusals + 2
