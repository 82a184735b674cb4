"""The whole of creators_small without one person, and without half of them: no sum, value or message may tell more.

A smaller world than the plan's, with the plan's own alignment size, budget and rounds. One person in it uses the
numbers of many others.
"""

from __future__ import annotations

import pytest
from defences import Defences

from sealscore.simulations.data.scenario import Scenario, resolve
from sealscore.simulations.neighbours.compare import What
from sealscore.simulations.neighbours.watch import Watch, sized, watch_scenario

pytestmark = pytest.mark.slow

CREATORS, PERSONS = 500, 6
KINDS = {"bin", "train_tower", "signal_edges", "calibrate", "evaluate"}


def watched(persons: int, halves: int, rounds: int, all_features: bool = False) -> Watch:
    scenario = sized(Scenario.load(resolve("creators_small")), CREATORS)
    return watch_scenario(scenario, persons, halves, rounds, all_features)


def shares(found: Watch) -> dict[str, float]:
    """How far each phase's sum was moved, of what its event allows."""
    return {phase: moved.distance / moved.allowed for phase, (moved, _) in found.largest().items()}


def test_nobody_moves_more_than_the_plan_claims():
    found = watched(PERSONS, 1, rounds=8)
    assert [str(finding) for finding in found.findings] == []
    assert {phase.partition(":")[0] for phase in shares(found)} == KINDS
    # Persons who stand at all parties of a group move its sums nearly as far as they may.
    assert sum(share > 0.6 for share in shares(found).values()) > len(shares(found)) / 2, shares(found)
    assert all(0.2 < share <= 1 for share in shares(found).values()), shares(found)


def test_nobody_moves_another_by_any_feature_that_there_is(defences: Defences):
    """Every feature scored, also those that the plan has for baselines alone."""
    assert [str(finding) for finding in watched(2, 1, rounds=4, all_features=True).findings] == []
    with defences.without("row-local features"):
        found = watched(2, 0, rounds=4, all_features=True)
    sums = {f.where: f.found / f.allowed for f in found.findings if f.what is What.SUM}
    assert sums["bin:lender"] > 2
    assert sums["train_tower:lender"] > 2
    records = {f.where: f.found for f in found.findings if f.what is What.RECORD}
    assert records["lender-1: identity_flags"] > 10
    assert max(found for where, found in records.items() if where.endswith("traffic_anomaly_180d")) > 100
    assert What.EXAMPLE in {f.what for f in found.findings}
