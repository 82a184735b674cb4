"""The settings of a run by their dotted names, as they stand in a plan's file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from sealscore.shared.plan.errors import PlanError
from sealscore.shared.plan.plan import Plan
from sealscore.simulations.experiments.runs import NoSuchRun, Run

# They follow from the seed, and tell nothing of a setting.
_CARDS = ("card", "server_card")


def flat(table: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and values of nested tables; a table without keys is a value."""
    for name, value in table.items():
        key = f"{before}{name}"
        if isinstance(value, Mapping) and value:
            yield from flat(value, f"{key}.")
        else:
            yield key, value


def settings_of(run: Run) -> dict[str, Any]:
    """What a run was made with: the keys of its plan, after `simulation.` those of its data, and `judge`.

    Lists are JSON.

    Raises:
        NoSuchRun: the run's folder has no plan that can be read.
    """
    try:
        plan = Plan.from_canonical((run.folder / "plan.json").read_bytes()).model_dump(mode="json")
    except (OSError, PlanError) as error:
        raise NoSuchRun(f"{run.folder.name} has no plan.json that can be read: {error}; make the run again") from error
    plan["parties"] = [_bare(party) for party in plan["parties"]]
    data = {"simulation": run.oracle.get("data", {}), "judge": run.oracle.get("judge", "test")}
    found = flat(_bare(plan) | data)
    return {name: json.dumps(value) if isinstance(value, list | dict) else value for name, value in found}


def _bare(table: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in table.items() if name not in _CARDS}
