"""The fallback in a plan: when it has one, what it reads, and what a plan with one may not say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from vertical_builders import PLAN, auto_vertical_plan, only, vertical_plan

from sealscore.shared.plan.errors import PlanError
from sealscore.shared.plan.features import tower_crosses, tower_features
from sealscore.shared.plan.hazards import hazards
from sealscore.shared.plan.plan import FALLBACK, Plan, as_authored
from sealscore.shared.plan.towers import group_of, planned_tower, towers

CROSSES = {"groups__lender__crosses": [["income", "late"], ["signal.video", "income"]]}


def written(**model: Any) -> str:
    return tomli_w.dumps(PLAN | {"model": PLAN["model"] | model})


class TestKey:
    def test_a_plan_that_an_author_writes_has_one_unless_it_says_no(self, tmp_path: Path):
        (tmp_path / "plan.toml").write_text(written())
        for plan in (Plan.loads(written()), Plan.load(tmp_path / "plan.toml")):
            assert plan.model.fallback
            assert json.loads(plan.canonical())["model"]["fallback"] is True
            assert Plan.from_canonical(plan.canonical()) == plan
        assert not Plan.loads(written(fallback=False)).model.fallback

    def test_canonical_bytes_without_it_mean_what_they_meant(self):
        plan = Plan.loads(written(fallback=False))
        assert b"fallback" not in plan.canonical()
        assert Plan.from_canonical(plan.canonical()).hash == plan.hash == vertical_plan().hash
        assert Plan.from_canonical(plan.canonical()).replace(seed=3).model.fallback is False

    def test_without_platforms_there_is_none(self):
        plan = only(vertical_plan(), "lender-1", "lender-2")
        assert not Plan.loads(tomli_w.dumps(_without_none(plan.model_dump(mode="json")))).model.fallback
        with pytest.raises(PlanError, match=r"model\.fallback"):
            plan.replace(model__fallback=True)

    @pytest.mark.parametrize("data", [{}, {"groups": 3}, {"groups": {"a": 3}}, {"groups": PLAN["groups"], "model": 3}])
    def test_what_is_no_plan_is_left_to_its_validation(self, data: dict[str, Any]):
        assert as_authored(data) == data
        with pytest.raises(PlanError):
            Plan.parse(as_authored(data))

    def test_no_group_has_its_name(self):
        data = vertical_plan().model_dump(mode="json")
        data["groups"][FALLBACK] = data["groups"].pop("wallet")
        data["parties"] = [
            party | ({"group": FALLBACK} if party["name"] == "wallet" else {}) for party in data["parties"]
        ]
        with pytest.raises(PlanError, match=r"groups\.fallback"):
            Plan.parse(as_authored(data))
        # One that was approved before there were fallbacks can still be read, and nobody answers under it.
        plan = Plan.parse(data)
        assert planned_tower(plan, FALLBACK).group == FALLBACK
        assert [line.partition(":")[0] for line in hazards(plan)] == ["groups.fallback"]
        assert not hazards(vertical_plan())

    def test_it_leaves_a_share_for_the_other_towers(self):
        with pytest.raises(PlanError, match=r"privacy\.shares\.fallback = 0\.95"):
            vertical_plan(model__fallback=True, privacy__shares__fallback=0.95)
        assert vertical_plan(privacy__shares__fallback=0.95).privacy.shares.fallback == 0.95

    @pytest.mark.parametrize(
        ("key", "default", "other"), [("privacy__shares__fallback", 0.2, 0.3), ("evaluation__fallback_share", 0.1, 0.2)]
    )
    def test_its_shares_are_hashed_only_where_they_are_no_defaults(self, key: str, default: float, other: float):
        plan = vertical_plan()
        assert plan.replace(**{key: default}).hash == plan.hash
        assert plan.replace(**{key: other}).hash != plan.hash

    def test_the_recipe_takes_it_and_its_share(self):
        plan = auto_vertical_plan(model__fallback=True, privacy__shares__fallback=0.3)
        assert planned_tower(plan, FALLBACK).part == 0.3


class TestTower:
    def test_it_is_trained_by_lenders_on_their_own_features(self):
        plan = vertical_plan(model__fallback=True, **CROSSES)
        assert [tower.name for tower in towers(plan)] == ["video", "wallet", "lender", FALLBACK]
        assert group_of(plan, FALLBACK) == "lender"
        assert [feature.name for feature in tower_features(plan, FALLBACK)] == ["income", "late"]
        assert tower_crosses(plan, FALLBACK) == (("income", "late"),)
        assert tower_crosses(plan, "lender") == plan.groups["lender"].crosses

    def test_a_plan_without_one_has_no_such_tower(self):
        with pytest.raises(KeyError):
            planned_tower(vertical_plan(), FALLBACK)

    def test_it_moves_no_share_of_a_plan_without_one(self):
        plan = vertical_plan()
        lender, other = planned_tower(plan, "lender"), planned_tower(plan.replace(model__fallback=True), "lender")
        assert lender.part == (1 - 0.01) / 3 > other.part
        assert lender.training == (1 - 0.05 - 0.05 - 0.01) / 3 > other.training
        assert lender.evaluation == 1.0 > other.evaluation


def _without_none(data: Any) -> Any:
    """Plain data without what TOML cannot write."""
    if isinstance(data, dict):
        return {key: _without_none(value) for key, value in data.items() if value is not None}
    return [_without_none(value) for value in data] if isinstance(data, list) else data
