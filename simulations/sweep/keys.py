"""The keys that a sweep may change: of the plan, of its table `[simulation]`, and the number of a group's parties.

Keys are dotted, as in a plan's file. `parties.GROUP` is a count: so many parties share the records of the group
equally. All others name a value of the plan, or with `simulation.` before them one of the settings.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from sealscore.shared.plan.errors import PlanError
from sealscore.shared.plan.plan import Plan
from sealscore.shared.plan.schema import Extended
from sealscore.simulations.data.scenario import Scenario

MOST_PARTIES = 1000
Settings = Mapping[str, Any]


def applied(scenario: Scenario, settings: Settings) -> Scenario:
    """The scenario with these keys changed.

    Raises:
        PlanError: a key that there is not, or a value that is not allowed.
    """
    counts = {key: value for key, value in settings.items() if counted_group(key)}
    changed = scenario
    for key, count in counts.items():
        changed = _with_parties(changed, key, count)
    rest = {key.replace(".", "__"): value for key, value in settings.items() if key not in counts}
    return changed.replace(**rest) if rest else changed


def effective(scenario: Scenario, key: str) -> str | float | int | bool | None:
    """The value that a scenario has at a key; tables and lists as JSON, None where there is none."""
    if group := counted_group(key):
        return len(scenario.plan.members(group))
    place: Any = scenario.plan.model_dump(mode="json") | {"simulation": scenario.settings.model_dump(mode="json")}
    model: Any = scenario.plan
    for step in key.split("."):
        if isinstance(place, dict) and isinstance(model, Extended) and step in model.later:
            # What has its default is in force, though it stands in no plan.
            place = {step: to_jsonable_python(getattr(model, step))}
        place, model = _inner(place, step), _inner(model, step)
    return json.dumps(place) if isinstance(place, dict | list) else place


def _inner(place: Any, step: str) -> Any:
    """What a step of a dotted key leads to in a model, a table or a list; None where there is nothing."""
    if isinstance(place, Sequence) and not isinstance(place, str):
        return place[int(step)] if step.isdigit() and int(step) < len(place) else None
    if isinstance(place, BaseModel):
        return getattr(place, step, None)
    return place.get(step) if isinstance(place, Mapping) else None


def counted_group(key: str) -> str | None:
    """The group whose parties a key counts, None for any other key."""
    first, _, group = key.partition(".")
    return group if first == "parties" and group and not group[0].isdigit() else None


def _with_parties(scenario: Scenario, key: str, count: Any) -> Scenario:
    plan, group = scenario.plan, counted_group(key)
    if group not in plan.groups:
        raise PlanError(plan.name, [f"{key}: the plan has no such group; its groups: {', '.join(plan.groups)}"])
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MOST_PARTIES:
        raise PlanError(plan.name, [f"{key} = {count!r}: must be a whole number from 1 to {MOST_PARTIES}"])
    return scenario.replace(**_parties(plan, group, count))


def _parties(plan: Plan, group: str, count: int) -> dict[str, Any]:
    """The changes that give a group so many parties, with the plan's own limits as far as so many allow them."""
    total = sum(party.nominal_records for party in plan.members(group))
    each = [total // count + (place < total % count) for place in range(count)]
    made = [
        {"name": f"{group}-{place}", "group": group, "nominal_records": max(1, records)}
        for place, records in enumerate(each, start=1)
    ]
    others = [party.model_dump(mode="json") for party in plan.parties if party.group != group]
    least = min(plan.groups[group].min_parties, count)
    if count > 1:
        least = max(2, least)
    spread = plan.privacy.max_parties_per_person
    return {
        "parties": others + made,
        f"groups__{group}__min_parties": least,
        f"groups__{group}__max_colluding": min(plan.groups[group].max_colluding, max(0, least - 2)),
        "privacy__max_parties_per_person": spread and min(spread, len(others) + count),
    }
