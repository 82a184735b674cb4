"""First-passage tables move by no more than is claimed, whoever leaves, whatever the loans."""

from __future__ import annotations

import math

import numpy as np
import pytest
from counted_loans import MONTHS, SECTORS, counts_plan, loans
from hypothesis import given, settings
from hypothesis import strategies as st

from sealscore.shared.dp.mechanisms import Mechanisms
from sealscore.shared.monitoring.counting import first_passages, tables_of
from sealscore.shared.phases.order import KINDS, phases
from sealscore.shared.plan.monitoring import OPENED, PASSAGES
from sealscore.shared.plan.plan import Plan

PLANS = {
    (rows, opened, columns): counts_plan(columns, monitoring__rows=rows, monitoring__originations=opened)
    for rows in ("month", "vintage")
    for opened in (False, True)
    for columns in (1, 3)
}
# Months before and after those of the plan are no fault: such loans are in no cell.
MONTH = st.sampled_from([202412, *MONTHS, 202701])
PASSED = st.one_of(st.none(), MONTH)
LOAN = st.tuples(MONTH, PASSED, PASSED, PASSED, *[st.integers(0, len(SECTORS) - 1)] * 3)


def columns_of(plan: Plan, rows: list[tuple]) -> dict[str, np.ndarray]:
    table = np.array([[np.nan if cell is None else cell for cell in row] for row in rows], dtype=np.float64)
    table = table.reshape(-1, 7)
    names = (OPENED, *PASSAGES, *plan.counted.by)
    return {name: table[:, place] for place, name in enumerate(names)}


def per_loan(plan: Plan) -> float:
    (phase,) = phases(plan)
    return KINDS[phase.kind].sensitivity(plan, phase.tower)  # type: ignore[attr-defined]


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(sorted(PLANS)),
    st.lists(st.lists(LOAN, max_size=6), min_size=3, max_size=3),
    st.lists(st.lists(LOAN, max_size=2), min_size=3, max_size=3),
)
def test_a_person_with_several_loans_moves_the_sum_by_no_more_than_is_claimed(key, others, own):
    """`own` are the person's loans at each of three lenders: with them or without, so leaving and coming alike."""
    plan = PLANS[key]
    without = sum(first_passages(plan, columns_of(plan, rows)) for rows in others)
    whole = sum(first_passages(plan, columns_of(plan, rows + more)) for rows, more in zip(others, own, strict=True))
    moved = float(np.linalg.norm(whole - without))
    counted = sum(len(rows) for rows in own)
    assert moved <= per_loan(plan) * counted + 1e-9
    assert counted <= plan.multiplicity("lender") == 6


@pytest.mark.parametrize("key", sorted(PLANS))
def test_loans_that_fall_into_one_cell_reach_the_claim(key):
    """So the claim is the number of loans times that of one, and not its root."""
    plan = PLANS[key]
    loan = (202501, 202502, 202503, 202504, 1, 1, 1)
    six = first_passages(plan, columns_of(plan, [loan] * 6))
    (phase,) = phases(plan)
    event = Mechanisms(plan).event(phase)
    assert float(np.linalg.norm(six)) == pytest.approx(event.sensitivity)  # type: ignore[union-attr]
    events, tables = 3 + key[1], key[2]
    assert event.sensitivity == pytest.approx(6 * math.sqrt(events * tables))  # type: ignore[union-attr]


@given(st.lists(LOAN, min_size=1, max_size=8), st.lists(PASSED, min_size=3, max_size=3))
@settings(max_examples=40, deadline=None)
def test_a_loan_that_is_corrected_is_in_one_cell_of_each_event_still(rows, corrected):
    """A later export moves a loan to another month: it is counted there and no more where it was."""
    for key in (("month", True, 1), ("vintage", True, 1)):
        plan = PLANS[key]
        again = [*rows[:-1], (rows[-1][0], *corrected, *rows[-1][4:])]
        for version in (rows, again):
            (table,) = tables_of(plan, first_passages(plan, columns_of(plan, version))).values()
            most = table.sum(axis=(0, 2))
            assert (most <= len(version)).all()
            if key[0] == "month":
                inside = [sum(row[place] in MONTHS for row in version) for place in range(4)]
                assert most.tolist() == inside


def test_a_cell_is_found_by_its_month_event_and_band():
    plan = counts_plan()
    (table,) = tables_of(plan, first_passages(plan, columns_of(plan, [(202501, 202503, None, None, 2, 0, 0)]))).values()
    assert table.shape == (24, 4, 3)
    assert {tuple(map(int, place)) for place in np.argwhere(table)} == {(0, 0, 2), (2, 1, 2)}
    vintage = counts_plan(monitoring__rows="vintage")
    (table,) = tables_of(
        vintage, first_passages(vintage, columns_of(vintage, [(202501, 202503, None, None, 2, 0, 0)]))
    ).values()
    assert {tuple(map(int, place)) for place in np.argwhere(table)} == {(0, 0, 2), (0, 1, 2)}


@pytest.mark.parametrize(
    ("cutoff", "counted"),
    [("2026-01-31", [1, 1]), ("2026-02-27", [1, 1]), ("2026-02-28", [1, 1, 1]), ("2026-03-01", [1, 1, 1])],
)
def test_by_vintage_a_passage_counts_of_months_that_are_over_on_the_cut_off_day(cutoff: str, counted: list[int]):
    """The last day of a month belongs to one that is over."""
    months = {"monitoring__first_month": "2025-01", "monitoring__last_month": "2025-12"}
    plan = counts_plan(monitoring__rows="vintage", outcome__cutoff=cutoff, **months)
    loan = (202512, 202601, 202602, 202603, 1, 0, 0)
    (table,) = tables_of(plan, first_passages(plan, columns_of(plan, [loan]))).values()
    found = table[11, :, 1].tolist()
    assert found == counted + [0] * (4 - len(counted))
    assert table.sum() == sum(counted)


def test_bands_of_numbers_have_the_edges_of_the_plan():
    plan = counts_plan()
    table = plan.groups["lender"].table.model_dump(mode="json")
    table["features"][0] = {"name": "sector_0", "lower": 0, "upper": 10, "missing": True}
    plan = plan.replace(groups__lender__table=table, monitoring__by={"sector_0": [2, 5]})
    assert plan.counted.band_keys(plan.groups["lender"].table, "sector_0") == ("up to 2", "2-5", "above 5", "missing")
    columns = {name: np.full(5, np.nan) for name in PASSAGES}
    columns |= {OPENED: np.full(5, 202501.0), "sector_0": np.array([2.0, 2.5, 5.0, 9.0, np.nan])}
    (counted,) = tables_of(plan, first_passages(plan, columns)).values()
    assert counted[0, 0].tolist() == [1, 2, 1, 1]


def test_a_sum_of_another_length_is_no_sum_of_the_plan():
    plan = counts_plan()
    with pytest.raises(ValueError, match="cells"):
        tables_of(plan, np.zeros(5))
    assert len(first_passages(plan, loans(plan, 0).columns)) == 24 * 4 * 3
