"""What is well formed and yet overflows, or means two things, for some records: named with its key, by bounds alone."""

from __future__ import annotations

from typing import Any

import pytest
from builders import small_plan
from counted_loans import counts_plan
from vertical_builders import vertical_plan

from sealscore.shared.plan.hazards import LARGEST, hazards, simulated_only
from sealscore.shared.plan.monitoring import PURPOSE
from sealscore.shared.plan.plan import Plan


def with_features(*features: dict[str, Any], derived: tuple[dict[str, Any], ...] = ()) -> Plan:
    """The small plan with more columns in the lenders' table."""
    data = small_plan().model_dump(mode="json")
    table = data["groups"]["lender"]["table"]
    table["features"] = [*table["features"], *features]
    table["derived"] = list(derived)
    return Plan.parse(data)


def wide(name: str, upper: float, **more: Any) -> dict[str, Any]:
    return {"kind": "numeric", "name": name, "lower": 0.0, "upper": upper, **more}


RATIO = {"op": "ratio", "of": ["wide"], "per": ["other"], "floor": 1.0}


def test_shipped_shapes_have_none():
    assert hazards(small_plan()) == hazards(vertical_plan()) == []


@pytest.mark.parametrize(
    ("feature", "fits"),
    [
        (wide("wide", LARGEST / 2), True),
        (wide("wide", LARGEST), False),
        (wide("wide", 1e200, scale=1e-50), True),
        (wide("wide", 1e200, scale=1e-150), False),
        (wide("wide", 1.0, lower=-LARGEST), False),
    ],
)
def test_a_grid_that_overflows_for_some_value(feature: dict[str, Any], fits: bool):
    found = hazards(with_features(feature))
    assert bool(found) != fits
    assert all("groups.lender.table" in one and "'wide'" in one for one in found)


@pytest.mark.parametrize(
    ("formula", "fits"),
    [
        ({"op": "linear", "of": ["wide", "other"]}, True),
        ({"op": "linear", "of": ["wide", "other"], "weights": [1e160, 1.0]}, False),
        (RATIO, True),
        (RATIO | {"floor": 1e-160}, False),
        (RATIO | {"of": ["other"], "per": ["wide"] * 16}, True),
    ],
)
def test_a_formula_that_overflows_on_the_way(formula: dict[str, Any], fits: bool):
    derived = wide("made", 1.0, formula=formula)
    found = hazards(with_features(wide("wide", 1e145), wide("other", 1.0), derived=(derived,)))
    assert bool(found) != fits
    assert all("'made'" in one for one in found)


def test_bands_of_one_name_mean_one_thing_at_all_who_tell_of_them():
    data = vertical_plan().model_dump(mode="json")
    levels = {"lender": ["a", "b"], "video": ["b", "a"]}
    for group, order in levels.items():
        place = data["groups"][group]["table"]
        place["features"].append({"kind": "categorical", "name": "residence", "levels": order, "protected": True})
    data["evaluation"]["groups"] = {"residence": []}
    (found,) = hazards(Plan.parse(data))
    assert "residence" in found
    assert all(group in found for group in levels)


def test_what_only_a_simulation_may_answer():
    quiet = vertical_plan(privacy__noise="none", alignment__method="exact")
    assert len(simulated_only(quiet)) == 2
    assert simulated_only(small_plan()) == []


def test_consents_to_counts_train_nothing():
    assert any(PURPOSE in what for what in hazards(small_plan(purpose_code=PURPOSE)))
    assert hazards(counts_plan()) == []
