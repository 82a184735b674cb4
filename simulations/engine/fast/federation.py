"""A plan's run by the research engine, with the same folder of results."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import torch

from sealscore.clients.node.admission import admit
from sealscore.clients.roles.lender import Lender
from sealscore.server.run.coordinator import Coordinator
from sealscore.server.run.progress.file import FileObserver
from sealscore.server.run.rounds import Observer
from sealscore.server.run.run import Carriage, leave_results, protection, run_name
from sealscore.server.run.run_files import PROGRESS
from sealscore.server.transport.journal import Journal
from sealscore.shared.crypto.aggregation import PlainSum
from sealscore.shared.crypto.psi import Progress
from sealscore.shared.persons.records import Records
from sealscore.shared.plan.plan import Plan
from sealscore.simulations.engine.enrolment import enrolled, identities
from sealscore.simulations.engine.fast.parties import CallingMessenger, Parties
from sealscore.simulations.engine.fast.sums import PlainSums
from sealscore.simulations.engine.federation import opened

FAST = "fast"


class FastFederation:
    """The roles of a plan in this process. Nothing is sealed, masked or written into a ledger.

    Sums and model are those of the in-process engine, to the bit: the plan is enrolled as there, since its hash keys
    every stream.
    """

    def __init__(self, plan: Plan, parties: Parties) -> None:
        self.plan, self._parties = plan, parties
        self.faults: list[str] = []

    @classmethod
    def of(cls, plan: Plan, records: Mapping[str, Records], progress: Progress | None = None) -> FastFederation:
        """From each party's records.

        Raises:
            NotApproved, Overdrawn: a node would not answer under the plan.
        """
        plan = enrolled(plan)
        members = identities(plan)
        # What a party checks before it approves follows from plan and group: one of each group stands for all.
        for party in {party.group: party for party in plan.parties}.values():
            admit(plan, party.name, members[party.name], "seeded")
            opened(plan, members[party.name]).close()
        return cls(plan, Parties(plan, records, progress))

    def run(self, output: Path, observer: Observer | None = None) -> None:
        """Carry out the plan, once, and leave its results in `output`.

        Raises:
            PhaseFailed: a party's work failed.
        """
        # One thread, as in the in-process engine: float sums must not depend on how work was split.
        torch.set_num_threads(1)
        output.mkdir(parents=True, exist_ok=True)
        started, name = time.time(), run_name(self.plan)
        observer = observer or FileObserver(output / PROGRESS)
        with closing(Journal(self.plan.hash, name)) as journal:
            outcome = Coordinator(
                self.plan,
                name,
                CallingMessenger(self._parties),
                PlainSum(),
                observer,
                journal=journal,
                sums=PlainSums(self._parties),
            ).carry_out()
        leave_results(self.plan, name, outcome, output, started, Carriage(FAST, protection(self.plan, False), None))

    @property
    def shortfalls(self) -> list[str]:
        """What parties told their operators of pairs below the plan's minimum."""
        return [words for party in self._parties.of.values() for words in party.role.shortfalls]

    def scored_records(self) -> list[Records]:
        """The lenders' records with the signals that came to them."""
        lenders = (self._parties.of[party.name].role for party in self.plan.members(self.plan.lenders))
        return [role.scored_records() for role in lenders if isinstance(role, Lender)]
