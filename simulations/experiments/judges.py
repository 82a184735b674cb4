"""On whom a run is judged: the plan's test persons, or a part of its training persons, so that tuning sees no test."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from sealscore.clients.data import load_records, read_table
from sealscore.clients.data.cells import days
from sealscore.shared.persons.records import Records
from sealscore.shared.plan.plan import Plan
from sealscore.simulations.data.scenario import Scenario
from sealscore.simulations.engine.federation import load_parties

Judge = Literal["test", "validation"]
JUDGES: dict[str, Judge] = {name: name for name in get_args(Judge)}

TEST, VALIDATION = JUDGES["test"], JUDGES["validation"]


def judged_parties(
    scenario: Scenario, judge: Judge, tell: Callable[[str], None] = lambda what: None
) -> tuple[Plan, dict[str, Records]]:
    """The plan to run, and each party's checked records, read from a file of its own as a node would.

    On validation the test persons are in neither part. `evaluation.validation` of the others take their place: by a
    hash of the person, or, where the plan splits by date, those who applied last. The plan says so, and counts on so
    many records fewer.

    Raises:
        DataError: bad data.
    """
    plan = scenario.plan
    if judge == TEST:
        return plan, load_parties(scenario, tell)
    with tempfile.TemporaryDirectory(prefix="sealscore-") as name:
        folder = Path(name)
        files = scenario.materialise(folder, tell)
        split = _split(plan, files)
        moved = plan.replace(evaluation__split=split)
        held = {}
        for party, file in files.items():
            test = load_records(file, plan, party, folder).test
            held[party] = load_records(file, moved, party, folder).take(np.flatnonzero(~test))
    return _smaller(plan, split), held


def _split(plan: Plan, files: Mapping[str, Path]) -> dict[str, Any]:
    share = plan.evaluation.validation
    if plan.evaluation.split.kind != "date":
        return {"kind": "hash", "test_fraction": share, "key": f"{plan.name} validation persons"}
    column = str(plan.groups[plan.lenders].table.date)
    applied = np.concatenate(
        [
            days(read_table(files[party.name], [column]).frame[column])[0].astype("datetime64[D]")
            for party in plan.members(plan.lenders)
        ]
    )
    earlier = np.sort(applied[applied < np.datetime64(str(plan.evaluation.split.first_test_day), "D")])
    first = earlier[int(len(earlier) * (1 - share))]
    return {"kind": "date", "test_fraction": share, "first_test_day": str(first)}


def _smaller(plan: Plan, split: dict[str, Any]) -> Plan:
    left = 1 - plan.evaluation.split.test_fraction
    parties = [party.model_dump(mode="json") for party in plan.parties]
    for party in parties:
        party["nominal_records"] = max(1, round(party["nominal_records"] * left))
    return plan.replace(
        name=f"{plan.name[:52]}-{VALIDATION}",
        parties=parties,
        evaluation__split=split,
        alignment__min_overlap=max(1, int(plan.alignment.min_overlap * left)),
    )
