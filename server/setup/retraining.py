"""From a plan that ran to one that trains the lenders' towers again, or calibrates them, on levels told under it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sealscore.shared.plan.derived import NewPlan, calibration_plan, head_plan
from sealscore.shared.plan.errors import PlanError
from sealscore.shared.plan.plan import Plan
from sealscore.shared.serving.release import ReleaseContent, ReleaseError


def retrained(old: Plan, run: Path, new: NewPlan, retraining: str | None = None) -> dict[str, Any]:
    """The draft of a plan like `old`, as plain data for TOML, whose signals are those of its run's folder.

    Raises:
        PlanError: the plan has no platforms, or its run has not finished or is not here.
    """
    return head_plan(old, new, _meanings(old, run), retraining)


def recalibrated(
    old: Plan,
    run: Path,
    new: NewPlan,
    scores: Mapping[str, str],
    epsilon: float | None = None,
    retraining: str | None = None,
) -> dict[str, Any]:
    """The draft of a plan that keeps the scores of its run's folder, whose digests these are, and calibrates them.

    Raises:
        PlanError: its run has not finished or is not here.
    """
    return calibration_plan(old, new, _meanings(old, run), scores, epsilon, retraining)


def _meanings(old: Plan, run: Path) -> dict[str, str]:
    try:
        return {group: tower.meaning for group, tower in ReleaseContent.read(run).towers.items()}
    except ReleaseError as error:
        raise PlanError(
            old.name, [f"its run has not finished, or is not here ({error}); finish it, or put it back"]
        ) from None
