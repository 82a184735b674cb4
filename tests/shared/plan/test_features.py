"""What a tower reads: its own columns, and at lenders the signal of each kind of platform."""

from __future__ import annotations

from vertical_builders import vertical_plan

from sealscore.shared.plan.features import signal_feature, tower_features


def names(plan, group: str) -> list[str]:
    return [feature.name for feature in tower_features(plan, group)]


def test_platforms_read_their_own_columns_without_protected_ones():
    plan = vertical_plan()
    assert names(plan, "video") == ["views", "shop"]
    assert names(plan, "wallet") == ["inflow", "refunds"]


def test_lenders_read_their_own_columns_and_a_signal_for_each_kind_of_platform():
    plan = vertical_plan()
    assert names(plan, "lender") == ["income", "late", "signal.video", "signal.wallet"]
    # Two platforms of a kind have one tower and one signal.
    assert len(plan.members("video")) == 2


def test_the_signal_is_an_ordered_feature_of_levels_that_may_be_missing():
    plan = vertical_plan(model__signal_levels=6, model__signal_weight=1.5)
    feature = signal_feature(plan, "video")
    assert feature.levels == ("0", "1", "2", "3", "4", "5")
    assert feature.ordered
    assert feature.missing
    assert feature.weight == 1.5
    assert not feature.protected


def test_without_platforms_there_is_no_signal():
    plan = vertical_plan()
    data = plan.model_dump(mode="json")
    data["groups"] = {"lender": data["groups"]["lender"]}
    data["parties"] = [party for party in data["parties"] if party["group"] == "lender"]
    data["evaluation"]["groups"] = {"age": [40]}
    assert names(type(plan).parse(data), "lender") == ["income", "late"]
