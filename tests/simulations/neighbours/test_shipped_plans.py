"""Every plan that comes with Sealscore, on its own data at its own size: minutes to an hour each."""

from __future__ import annotations

import pytest

from sealscore.simulations.data import datasets
from sealscore.simulations.data.scenario import Scenario, packaged
from sealscore.simulations.neighbours.watch import watch_scenario

pytestmark = pytest.mark.long

PERSONS, HALVES = 6, 1
INVENTED = (datasets.SYNTHETIC, datasets.WORLD)


@pytest.mark.parametrize("name", sorted(packaged()))
def test_nobody_moves_more_than_the_plan_claims(name: str):
    scenario = Scenario.load(packaged()[name])
    if scenario.settings.dataset not in INVENTED and not datasets.real_data_found(scenario.settings.dataset):
        pytest.skip(f"no data set {scenario.settings.dataset} in {datasets.data_folder()}")
    found = watch_scenario(scenario, PERSONS, HALVES)
    assert [str(finding) for finding in found.findings] == []
    assert len(found.neighbours) == PERSONS + 2 * HALVES
