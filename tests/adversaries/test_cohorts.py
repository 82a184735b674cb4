"""Who may be counted as one of a cohort: a party of the same group, with a card and a key of its own."""

from __future__ import annotations

import pytest
from builders import BIN, small_plan
from defences import Defences, free, refused
from vertical import PLATFORM, vertical_plan, vertical_records

from sealscore.shared.identity.identity import Identity
from sealscore.shared.plan.errors import PlanError
from sealscore.shared.plan.plan import Plan
from sealscore.simulations.engine.enrolment import enrolled, identities


def with_a_platform(defences: Defences) -> set[str]:
    """Count the platform among the lenders, so that each of these adds less noise than two need."""
    plan = vertical_plan()
    scene = defences.scene(plan, vertical_records(plan))
    codes = refused(scene.ask(BIN, ("lender-1", "lender-2", PLATFORM), parties=["lender-1"]))
    assert free(scene)
    return codes


def test_a_party_of_another_group_is_no_part_of_a_cohort(defences: Defences):
    assert with_a_platform(defences) == {"bad-cohort"}
    # Masks are a second bar: seeds are exchanged within a group only.
    with defences.without("cohort rule") as weak:
        assert with_a_platform(weak) == {"no-seeds"}
    # Without both, the cohort is as good as any, and what is asked for next is what a lender's bins build on.
    with defences.without("cohort rule", "masks") as weak:
        assert with_a_platform(weak) == {"no-signals"}


def test_a_plan_in_which_one_key_stands_for_two_parties_is_none():
    plan = enrolled(small_plan())
    key = identities(plan)["lender-1"]._key
    data = plan.model_dump(mode="json")
    data["parties"][1]["card"] = Identity("lender-2", "lender", key, simulation=True).card.text
    with pytest.raises(PlanError, match="same key"):
        Plan.parse(data)
