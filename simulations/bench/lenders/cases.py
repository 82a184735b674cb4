"""The cases of the benchmark of lenders: how the rows of one draft are dealt out, and who stays to the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from sealscore.shared.phases.kind import Kind
from sealscore.shared.phases.order import Phase
from sealscore.shared.plan.plan import Plan
from sealscore.simulations.data.scenario import Scenario
from sealscore.simulations.engine.grid import Faults
from sealscore.simulations.experiments.baselines import trained
from sealscore.simulations.experiments.oracle import Oracle
from sealscore.simulations.sweep.keys import applied

SPLIT_BY = "LIMIT_BAL"
# Of all persons, at each lender: 94 in 100 are at one of three lenders, 65 at two or more.
KNOWN = 0.6
GONE, LAST_ROUND = "lender-4", 10
"""Who drops out, and after which round of the first phase."""


def _as_drafted(scenario: Scenario, frame: pl.DataFrame) -> Scenario:
    return scenario


def _unlike(scenario: Scenario, frame: pl.DataFrame) -> Scenario:
    """Each lender has the third of all persons whose `SPLIT_BY` is lowest, in the middle, or highest."""
    lenders = scenario.plan.members(scenario.plan.lenders)
    ordered = frame.sort(SPLIT_BY, maintain_order=True)
    tables = {}
    for at, lender in enumerate(lenders):
        begin, end = (ordered.height * place // len(lenders) for place in (at, at + 1))
        tables[lender.name] = f"{lender.name}.csv"
        ordered[begin:end].write_csv(scenario.path.parent / tables[lender.name])
    return scenario.replace(simulation__tables=tables)


def _unsaid(scenario: Scenario, frame: pl.DataFrame) -> Scenario:
    """The plan does not say that a person is at one lender, though each is."""
    return scenario.replace(privacy__max_parties_per_person=None)


def _shared(scenario: Scenario, frame: pl.DataFrame) -> Scenario:
    """Each lender knows `KNOWN` of all persons, whoever else does."""
    parties = scenario.plan.model_dump(mode="json")["parties"]
    for party in parties:
        party["nominal_records"] = round(frame.height * KNOWN)
    return scenario.replace(
        privacy__max_parties_per_person=None,
        parties=parties,
        simulation__coverage={scenario.plan.lenders: KNOWN},
    )


def _one_more(scenario: Scenario, frame: pl.DataFrame) -> Scenario:
    """Four lenders share the rows; three are enough to go on."""
    return applied(
        scenario, {f"parties.{scenario.plan.lenders}": len(scenario.plan.members(scenario.plan.lenders)) + 1}
    )


class _Leaving:
    """An observer at whose word a party is gone."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    def phase(self, phase: Phase) -> None:
        """A phase begins."""

    def round(self, row: Mapping[str, Any]) -> None:
        """A round is done."""
        if row["phase"].startswith(f"{Kind.FIRST.value}:") and row["round"] == LAST_ROUND:
            self._faults.offline.add(GONE)


def _loses_one(plan: Plan, oracle: Oracle) -> float:
    faults = Faults()
    return trained(plan, oracle, _Leaving(faults), faults)


@dataclass(frozen=True)
class Case:
    """`scenario` makes it of a draft and the draft's rows, `trained` gives the exact AUC of its federation."""

    name: str
    scenario: Callable[[Scenario, pl.DataFrame], Scenario]
    trained: Callable[[Plan, Oracle], float] = trained


CASES = (
    Case("alike", _as_drafted),
    Case("unlike", _unlike),
    Case("unsaid", _unsaid),
    Case("shared", _shared),
    Case("four", _one_more),
    Case("gone", _one_more, _loses_one),
)
