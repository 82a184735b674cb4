"""What every engine of a simulation can do, and the parties of a plan on the one of a name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from sealscore.server.run.rounds import Observer
from sealscore.shared.crypto.psi import Progress
from sealscore.shared.persons.records import Records
from sealscore.shared.plan.plan import Plan
from sealscore.simulations.engine.fast.federation import FAST, FastFederation
from sealscore.simulations.engine.federation import Engine, Federation


class Federated(Protocol):
    """A plan's parties, ready for its one run. `faults` and `shortfalls` are what they tell their own operators."""

    @property
    def faults(self) -> list[str]: ...

    @property
    def shortfalls(self) -> list[str]: ...

    def run(self, output: Path, observer: Observer | None = None) -> None:
        """Carry out the plan, once, and leave its results in `output`; PhaseFailed where it cannot be."""
        ...

    def scored_records(self) -> list[Records]:
        """The lenders' records with the signals that came to them."""
        ...


def federated(
    engine: Engine,
    plan: Plan,
    records: Mapping[str, Records],
    progress: Progress | None = None,
    ledgers: Path | None = None,
) -> Federated:
    """The parties of a plan on an engine; those of the research engine have no ledgers.

    Raises:
        NotApproved, Overdrawn: a party would not answer under the plan.
    """
    if engine == FAST:
        return FastFederation.of(plan, records, progress)
    return Federation.of(plan, records, progress, ledgers, "flower" if engine == "flower" else "in-process")
