"""Plans that are made from one that ran: for the head alone, for the calibration alone, and for new towers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from sealscore.shared.plan.errors import PlanError
from sealscore.shared.plan.plan import Plan

RECALIBRATED = 0.25
"""The part of the earlier plan's epsilon that a plan has which calibrates alone, unless it says another: at it the
calibration's sums have about the noise that they had when they shared the budget with training."""


@dataclass(frozen=True)
class NewPlan:
    """What a derived plan has of its own. `records` are nominal records by party; those of others stay."""

    name: str
    seed: int
    expires: date
    records: Mapping[str, int] = field(default_factory=dict)


def head_plan(old: Plan, new: NewPlan, meanings: Mapping[str, str], retraining: str | None = None) -> dict[str, Any]:
    """The draft of a plan like `old` that trains the lenders' towers again, as plain data for TOML.

    `meanings` are those of the levels that were told, by group of platforms. With `retraining` new persons have the
    levels of tokens whose consent names that purpose.

    Raises:
        PlanError: the plan has no platforms.
    """
    if not old.platforms:
        raise PlanError(old.name, ["has no platforms: a plan like it is made by plan new"])
    return _on_levels(_derived(old, new), old, meanings, retraining)


def calibration_plan(
    old: Plan,
    new: NewPlan,
    meanings: Mapping[str, str],
    scores: Mapping[str, str],
    epsilon: float | None = None,
    retraining: str | None = None,
) -> dict[str, Any]:
    """The draft of a plan that keeps the scores of `old`, whose digests by tower are `scores`, and calibrates them.

    `epsilon` is by default `RECALIBRATED` of the earlier plan's.
    """
    data = _derived(old, new)
    if old.platforms:
        data = _on_levels(data, old, meanings, retraining)
    data["scores_from"] = {"plan": old.hash, "towers": dict(scores)}
    data["privacy"]["epsilon"] = old.privacy.epsilon * RECALIBRATED if epsilon is None else epsilon
    return data


def towers_plan(old: Plan, new: NewPlan, label_epsilon: float | None) -> dict[str, Any]:
    """The draft of a plan that trains everything again: platforms get labels under `label_epsilon` and tell levels."""
    data = _derived(old, new)
    for key in ("signals_from", "scores_from"):
        data.pop(key, None)
    if label_epsilon is not None:
        data["privacy"]["label_epsilon"] = label_epsilon
    return data


def _derived(old: Plan, new: NewPlan) -> dict[str, Any]:
    data: dict[str, Any] = _without_none(old.model_dump(mode="json"))
    data |= {"name": new.name, "seed": new.seed, "expires": new.expires}
    data["outcome"]["cutoff"] = old.outcome.cutoff
    if old.evaluation.split.first_test_day is not None:
        data["evaluation"]["split"]["first_test_day"] = old.evaluation.split.first_test_day
    for key in ("server_card", "bundle"):
        data.pop(key, None)
    for party in data["parties"]:
        party.pop("card", None)
        party["nominal_records"] = new.records.get(party["name"], party["nominal_records"])
    return data


def _on_levels(data: dict[str, Any], old: Plan, meanings: Mapping[str, str], retraining: str | None) -> dict[str, Any]:
    """With the levels that were told, and without what platforms would tell for it."""
    told = {feature for group in old.platforms for feature in old.groups_at(group)}
    data.pop("scores_from", None)
    data["signals_from"] = {
        "plan": old.signals_from.plan if old.signals_from else old.hash,
        "meanings": dict(meanings),
        **({} if retraining is None else {"retraining": retraining}),
    }
    data["privacy"].pop("label_epsilon", None)
    groups = data["evaluation"].get("groups", {})
    data["evaluation"]["groups"] = {feature: edges for feature, edges in groups.items() if feature not in told}
    return data


def _without_none(value: Any) -> Any:
    """Plain data without the keys that say nothing, which TOML cannot write."""
    if isinstance(value, dict):
        return {key: _without_none(inner) for key, inner in value.items() if inner is not None}
    return [_without_none(inner) for inner in value] if isinstance(value, list) else value
