"""The evaluation's tables: what one record moves in them, under any weights, and how the budget is shared."""

from __future__ import annotations

import math

import numpy as np
import pytest
from builders import EVALUATE, small_plan, small_records, weights_of, with_columns
from doubles import Talk

from sealscore.shared.dp.mechanisms import Mechanisms
from sealscore.shared.persons.records import Records
from sealscore.shared.phases.evaluate import WEIGHT_UNIT, entry_weights, table_weights
from sealscore.shared.phases.kind import Kind
from sealscore.shared.phases.order import KINDS, phases
from sealscore.shared.plan.plan import Plan

SHARES = (None, 0.01, 0.2, 1 / 3, 0.6, 0.9, 0.99)
GROUPS = len(small_plan().evaluation.groups)


def answering(plan: Plan, records: Records) -> Talk:
    talk = Talk(plan, records=records)
    talk.publish()
    return talk


def weighted(share: float | None, **changes: object) -> Plan:
    return small_plan(evaluation__overall_share=share, **changes)


@pytest.mark.parametrize("share", SHARES)
def test_weights_are_whole_units_up_to_one(share: float | None):
    weights = table_weights(weighted(share), "lender")
    assert max(weights) == 1
    for weight in weights:
        assert 0 < weight <= 1
        assert (weight / WEIGHT_UNIT).is_integer()


@pytest.mark.parametrize("share", [0.1, 0.2, 0.6, 0.9])
def test_the_overall_table_has_its_share_of_the_squared_signal(share: float):
    overall, band = table_weights(weighted(share), "lender")
    assert overall**2 / (overall**2 + GROUPS * band**2) == pytest.approx(share, abs=0.02)


def test_without_a_share_or_without_groups_all_weights_are_one():
    assert table_weights(weighted(None), "lender") == (1.0, 1.0)
    assert table_weights(weighted(0.6, evaluation__groups={}), "lender") == (1.0, 1.0)
    assert (entry_weights(weighted(None), "lender") == 1).all()


@pytest.mark.parametrize("share", SHARES)
def test_one_record_moves_the_sum_by_the_sensitivity_that_is_charged(share: float | None):
    """Exactly, whichever band and cell the record is in: the event's claim on the vector that a lender really sends."""
    plan = weighted(share, privacy__noise="none", evaluation__table_cells=9)
    records = small_records(seed=3)
    talk = answering(plan, records)
    weights = weights_of(plan, talk.binning)
    whole = talk.vector(EVALUATE, parameters=weights)
    mechanism = talk.mechanism(EVALUATE)
    claimed = KINDS[Kind.EVALUATE].sensitivity(plan, plan.lenders)
    moved = []
    for place in np.flatnonzero(records.test)[:12]:
        kept = np.arange(len(records)) != place
        one_less = answering(plan, records.take(kept))
        difference = whole - one_less.vector(EVALUATE, parameters=weights)
        moved.append(float(np.linalg.norm(difference)) * mechanism.grid)
    assert moved == pytest.approx([claimed] * len(moved), rel=1e-12)


@pytest.mark.parametrize("share", SHARES)
def test_the_event_states_that_sensitivity_and_the_bound_holds(share: float | None):
    plan = weighted(share)
    found = Mechanisms(plan)
    phase = next(phase for phase in phases(plan) if phase.kind is Kind.EVALUATE)
    mechanism = found.mechanism(phase, found.longest(phase))
    overall, band = table_weights(plan, plan.lenders)
    expected = math.sqrt(overall**2 + GROUPS * band**2) * plan.multiplicity(plan.lenders)
    assert mechanism.event.sensitivity == pytest.approx(expected)
    # Of two plans that differ in weights alone each adds noise in proportion to what a person moves.
    same = Mechanisms(weighted(None))
    even = same.mechanism(phase, found.longest(phase))
    assert mechanism.noise_std / even.noise_std == pytest.approx(
        mechanism.event.sensitivity / even.event.sensitivity, rel=2e-3
    )
    assert (WEIGHT_UNIT / mechanism.grid).is_integer()
    # As many records as a party may have in one cell: nothing is cut off, whatever the table's weight.
    most = np.full(mechanism.length, mechanism.bound * mechanism.grid).astype(np.int64)
    assert np.array_equal(
        mechanism.counts(most, entry_weights(plan, plan.lenders)) * mechanism.grid,
        most * entry_weights(plan, plan.lenders),
    )


def test_cells_of_the_evaluation_are_its_own():
    plan = weighted(0.6, evaluation__table_cells=9)
    lengths = {phase.kind: Mechanisms(plan).longest(phase) for phase in phases(plan) if not phase.paired}
    bands = sum(len(plan.bands(name)) for name in plan.evaluation.groups)
    assert lengths[Kind.CALIBRATE] == 2 * plan.evaluation.cells
    assert lengths[Kind.EVALUATE] == 2 * 9 * (1 + bands)


def test_bands_do_not_move_a_weighted_overall_table():
    records = small_records(seed=3)
    turned = with_columns(records, age=records.columns["age"][::-1].copy())
    plan = weighted(0.6, privacy__noise="none")
    first = answering(plan, records)
    weights, cells = weights_of(plan, first.binning), 2 * plan.evaluation.cells
    before = first.vector(EVALUATE, parameters=weights)
    after = answering(plan, turned).vector(EVALUATE, parameters=weights)
    assert np.array_equal(before[:cells], after[:cells])
    assert not np.array_equal(before[cells:], after[cells:])
