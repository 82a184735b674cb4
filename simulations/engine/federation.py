"""Build the nodes of a plan from their records and run the plan over them, on either engine."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import torch

from sealscore.clients.data import load_records
from sealscore.clients.node.node import Node
from sealscore.clients.node.plan_ledger import approve
from sealscore.clients.node.sealed import SealedNode, masks_of
from sealscore.clients.roles.bands import told_bits
from sealscore.clients.roles.lender import Lender
from sealscore.clients.roles.lifetime import Lifetime
from sealscore.server.run.rounds import Observer
from sealscore.server.run.run import run_coordinator
from sealscore.server.transport.exchange import Exchange
from sealscore.shared.crypto.psi import Progress
from sealscore.shared.identity.identity import Identity
from sealscore.shared.identity.trust import TrustStore
from sealscore.shared.ledger.entries import Ceilings, Identify
from sealscore.shared.ledger.ledger import Ledger
from sealscore.shared.persons.records import Records
from sealscore.shared.plan.plan import Plan
from sealscore.shared.randomness.streams import StreamSource
from sealscore.simulations.data.scenario import Scenario
from sealscore.simulations.engine.enrolment import enrolled, identities
from sealscore.simulations.engine.grid import Faults, run_in_process

SealedEngine = Literal["in-process", "flower"]
Engine = Literal[SealedEngine, "fast"]
ENGINES: dict[str, Engine] = {name: name for name in get_args(Engine)}


@dataclass(frozen=True)
class Federation:
    """The nodes of a plan in this process, each behind its seals, with its own ledger.

    `plan` is the enrolled one. `doors` are what the server reaches: the nodes behind seals and masks. `faults` is what
    nodes told their own operators, which the server never learns. `lifetimes` are what parties remember of their data
    sets beyond the plan; `earlier` is the folder of the run from which the plan takes its signals, if it does.
    """

    plan: Plan
    nodes: Mapping[str, Node]
    doors: Mapping[str, SealedNode]
    ledgers: Mapping[str, Ledger]
    faults: list[str]
    lifetimes: Mapping[str, Lifetime]
    earlier: Path | None = None
    engine: SealedEngine = "in-process"

    @classmethod
    def of(
        cls,
        plan: Plan,
        records: Mapping[str, Records],
        progress: Progress | None = None,
        ledgers: Path | None = None,
        engine: SealedEngine = "in-process",
        ceilings: Ceilings | None = None,
    ) -> Federation:
        """Nodes with simulation identities: their secrets follow from the plan's seed, so they protect nobody.

        Each party's ledger is a new file under `ledgers`, or in memory; its ceiling is the plan's own epsilon, or what
        `ceilings` say.
        """
        plan, members = enrolled(plan), identities(plan)
        kept = {party.name: opened(plan, members[party.name], ledgers, ceilings) for party in plan.parties}
        lifetimes = {
            party.name: Lifetime.fresh(
                StreamSource.seeded(plan.seed, f"{party.name} labels"),
                plan.privacy.signal_bits,
                told_bits(plan, plan.party(party.name).group),
            )
            for party in plan.parties
        }
        return cls._of(plan, records, kept, lifetimes, progress, engine=engine)

    @classmethod
    def again(
        cls,
        plan: Plan,
        records: Mapping[str, Records],
        ledgers: Mapping[str, Ledger],
        lifetimes: Mapping[str, Lifetime],
        earlier: Path,
    ) -> Federation:
        """Nodes of the same parties under a plan that takes its signals from one they ran, in the folder `earlier`.

        The plan has the seed of that one, from which identities follow; noise follows from the plan's hash, too, so it
        is other noise.

        Raises:
            LedgerFault: a ledger does not bear out that the plan takes its signals from there, or has no room for it.
        """
        plan = enrolled(plan)
        for ledger in ledgers.values():
            approve(ledger, plan)
        return cls._of(plan, records, ledgers, lifetimes, None, earlier)

    @classmethod
    def _of(
        cls,
        plan: Plan,
        records: Mapping[str, Records],
        kept: Mapping[str, Ledger],
        lifetimes: Mapping[str, Lifetime],
        progress: Progress | None,
        earlier: Path | None = None,
        engine: SealedEngine = "in-process",
    ) -> Federation:
        members = identities(plan)
        trust = TrustStore.simulated(identity.card for identity in members.values())
        masks = {party.name: masks_of(plan, party.name) for party in plan.parties}
        faults: list[str] = []
        nodes = {
            name: Node(
                plan,
                name,
                records[name],
                StreamSource.seeded(plan.seed, name),
                masks[name],
                lifetimes[name],
                ledger,
                faults.append,
                progress,
            )
            for name, ledger in kept.items()
        }
        doors = {name: SealedNode(node, masks[name], members[name], trust) for name, node in nodes.items()}
        return cls(plan, nodes, doors, kept, faults, lifetimes, earlier, engine)

    def run(self, output: Path, observer: Observer | None = None, faults: Faults | None = None) -> None:
        """Carry out the plan, once, and leave its results in `output`; then the keys of all parties are destroyed."""
        # One thread, one party at a time: float sums must not depend on how work was split.
        torch.set_num_threads(1)
        try:
            self._run(output, observer, faults)
        finally:
            for name, door in self.doors.items():
                door.close()
                self.ledgers[name].close()

    def _run(self, output: Path, observer: Observer | None, faults: Faults | None) -> None:
        if self.engine == "flower":
            from sealscore.simulations.engine.flower_engine import run_with_flower

            if self.earlier is not None:
                raise ValueError("the flower engine of simulations carries out no plan with signals_from")
            run_with_flower(self.doors, self.plan.canonical(), output, observer=observer)
            return

        def main(exchange: Exchange) -> None:
            run_coordinator(
                self.plan.canonical(),
                exchange,
                output,
                observer=observer,
                timeout=10.0,
                earlier=self.earlier,
                engine=self.engine,
            )

        run_in_process(self.doors, main, faults)

    @property
    def shortfalls(self) -> list[str]:
        """What parties told their operators of pairs below the plan's minimum."""
        return [words for node in self.nodes.values() for words in node.role.shortfalls]

    def scored_records(self) -> list[Records]:
        """The lenders' records with the signals that came to them, for a simulation's own figures."""
        lenders = (self.nodes[party.name].role for party in self.plan.members(self.plan.lenders))
        return [role.scored_records() for role in lenders if isinstance(role, Lender)]


def opened(plan: Plan, identity: Identity, folder: Path | None = None, ceilings: Ceilings | None = None) -> Ledger:
    """A simulated party's new ledger, in which the plan is approved; a file of that folder, or in memory.

    By default its ceiling is the plan's own epsilon.
    """
    private = plan.privacy.noise != "none"
    ceilings = ceilings or Ceilings(epsilon=plan.privacy.epsilon if private else None, delta=plan.privacy.delta)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{identity.name}.db" if folder is not None else None
    table = plan.groups[plan.party(identity.name).group].table
    identified = Identify(column=table.person_column, form=plan.alignment.identifier)
    ledger = Ledger.create(path, identity, f"simulated records of {identity.name}", ceilings, identified=identified)
    approve(ledger, plan)
    return ledger


def load_parties(scenario: Scenario, tell: Callable[[str], None] = lambda what: None) -> dict[str, Records]:
    """Each party's checked records, read from a file of its own as a node would; DataError on bad data."""
    with tempfile.TemporaryDirectory(prefix="sealscore-") as folder:
        files = scenario.materialise(Path(folder), tell)
        return {name: load_records(file, scenario.plan, name, Path(folder)) for name, file in files.items()}
