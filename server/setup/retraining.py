"""From a plan that ran to one that trains the lenders' towers again, on the levels that were told under it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from sealscore.shared.plan.errors import PlanError
from sealscore.shared.plan.plan import Plan
from sealscore.shared.serving.release import ReleaseContent, ReleaseError


def retrained(
    old: Plan,
    run: Path,
    name: str,
    seed: int,
    expires: date,
    records: Mapping[str, int],
    retraining: str | None = None,
) -> dict[str, Any]:
    """The draft of a plan like `old`, as plain data for TOML, whose signals are those of its run's folder.

    `records` are new nominal records by party; the others stay. With `retraining` new persons have the levels of tokens
    whose consent names that purpose.

    Raises:
        PlanError: the plan has no platforms, or its run has not finished or is not here.
    """
    if not old.platforms:
        raise PlanError(old.name, ["has no platforms: a plan like it is made by plan new"])
    try:
        towers = ReleaseContent.read(run).towers
    except ReleaseError as error:
        raise PlanError(
            old.name, [f"its run has not finished, or is not here ({error}); finish it, or put it back"]
        ) from None
    source = old.signals_from.plan if old.signals_from else old.hash
    told = {feature for group in old.platforms for feature in old.groups_at(group)}
    data: dict[str, Any] = _without_none(old.model_dump(mode="json"))
    data |= {"name": name, "seed": seed, "expires": expires}
    data["signals_from"] = {"plan": source, "meanings": {group: tower.meaning for group, tower in towers.items()}}
    if retraining is not None:
        data["signals_from"]["retraining"] = retraining
    data["outcome"]["cutoff"] = old.outcome.cutoff
    data["privacy"].pop("label_epsilon", None)
    groups = data["evaluation"].get("groups", {})
    data["evaluation"]["groups"] = {feature: edges for feature, edges in groups.items() if feature not in told}
    if old.evaluation.split.first_test_day is not None:
        data["evaluation"]["split"]["first_test_day"] = old.evaluation.split.first_test_day
    for key in ("server_card", "bundle"):
        data.pop(key, None)
    for party in data["parties"]:
        party.pop("card", None)
        party["nominal_records"] = records.get(party["name"], party["nominal_records"])
    return data


def _without_none(value: Any) -> Any:
    """Plain data without the keys that say nothing, which TOML cannot write."""
    if isinstance(value, dict):
        return {key: _without_none(inner) for key, inner in value.items() if inner is not None}
    return [_without_none(inner) for inner in value] if isinstance(value, list) else value
