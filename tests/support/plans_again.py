"""A first plan, and what a plan that comes after it needs of its run."""

from __future__ import annotations

from typing import Any

from vertical_builders import LENDERS, VIDEOS, Wire, auto_vertical_plan, vertical_plan

from sealscore.server.run.coordinator import RunOutcome
from sealscore.shared.phases.kind import Kind
from sealscore.shared.phases.signal.meaning import signal_meaning
from sealscore.shared.plan.plan import Plan

PLATFORMS = (*VIDEOS, "wallet")
OWN_BANDS: dict[str, Any] = {"evaluation__groups": {"age": [40]}}
FIRST = vertical_plan(privacy__epsilon=3.0, **OWN_BANDS)
FIRST_AUTO = auto_vertical_plan(privacy__epsilon=3.0, **OWN_BANDS)


def meanings(plan: Plan, outcome: RunOutcome) -> dict[str, str]:
    """What the levels of a run mean."""
    return {group: signal_meaning(plan, group, parts) for group, parts in outcome.signals.items()}


def agreed(wire: Wire) -> None:
    """Every platform has agreed with every lender."""
    for lender in LENDERS:
        for platform in PLATFORMS:
            wire.give(Kind.REUSE, lender, platform, 2, wire.give(Kind.REUSE, platform, lender, 1))
