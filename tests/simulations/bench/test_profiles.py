"""The benchmark of the deployment's profiles: the very settings of a new plan, on rows that nobody trained on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from builders import small_federation, small_plan, small_records
from homes import plan_data

from sealscore.server.setup.plan_making import PROFILES, Profile, made
from sealscore.shared.plan.plan import Plan
from sealscore.simulations.bench import profiles


def test_held_out_rows_are_training_rows():
    records = small_records(1000, seed=1)
    found = profiles._held_out(records)
    assert set(found.ids) == {one for one, test in zip(records.ids, records.test, strict=True) if not test}
    assert 0.1 < np.mean(found.test) < 0.3


@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_the_settings_are_those_of_a_new_plan(profile: str, monkeypatch: pytest.MonkeyPatch):
    data, chosen = plan_data(), PROFILES[profile]
    plan = Plan.parse(data)
    new = Plan.parse(made(data, "new", chosen, {}, {}, {}, 1, plan.expires) | {"parties": data["parties"]})
    used: list[Plan] = []

    class Stopped(Exception):
        pass

    def of(plan: Plan, records: Any) -> None:
        used.append(plan)
        raise Stopped

    monkeypatch.setattr(profiles.Federation, "of", of)
    with pytest.raises(Stopped):
        profiles._auc(plan, chosen, 1, {})
    assert used[0].training == new.training


def test_an_auc_is_that_of_the_trained_model():
    profile = Profile(4, 0.5, 2.0, 0.5, "")
    plan, records = small_plan(privacy__noise="none"), small_federation()
    found = {profiles._auc(plan, profile, seed, records) for seed in (1, 1, 2)}
    assert len(found) == 2
    assert all(0.6 < auc < 1 for auc in found)
