"""Lengths, order and number of messages do not depend on how many records a party has, or on whom it shares."""

from __future__ import annotations

import numpy as np
import pytest
from builders import RUN
from defences import Defences
from doubles import Quiet
from vertical import PLATFORM, vertical_plan, vertical_records

from sealscore.server.run.coordinator import Coordinator
from sealscore.shared.crypto.aggregation import PlainSum
from sealscore.shared.persons.records import Records
from sealscore.shared.plan.plan import Plan


def worlds(plan: Plan) -> list[dict[str, Records]]:
    """All people; every third of a lender's only; every third of the platform's only."""
    full = vertical_records(plan)
    thinned = {name: full[name].take(np.arange(len(full[name]))[::3]) for name in ("lender-2", PLATFORM)}
    return [full, *(full | {name: part} for name, part in thinned.items())]


@pytest.mark.parametrize("method", ["exact", "private"])
def test_a_run_looks_the_same_whoever_is_there(defences: Defences, method: str):
    plan = vertical_plan(training__rounds=2, alignment__method=method)
    seen = []
    for records in worlds(plan):
        scene = defences.scene(plan, records)
        Coordinator(scene.plan, RUN, scene.server, PlainSum(), Quiet(), patience=1.0).run()
        requests = [{party: len(raw) for party, raw in sent.items()} for sent in scene.wire.log]
        seen.append((requests, [len(raw) for raw in scene.answers]))
        assert scene.told == []
    assert seen[0] == seen[1] == seen[2]
