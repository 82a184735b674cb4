"""A loan's months from the lender's own table of repayments, corrected or not, as a node reads them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from counted_loans import counts_plan
from homes import new_node
from hypothesis import given, settings
from hypothesis import strategies as st

from sealscore.clients.data import DataError
from sealscore.clients.features.dictionary.row_local import obstacles
from sealscore.clients.monitoring.own_passing import OwnPassing
from sealscore.clients.monitoring.passages import passages
from sealscore.clients.setup.plan_data import given_reader, loaded, loader, own_passing
from sealscore.clients.watch.months import month_number
from sealscore.shared.monitoring.counting import first_passages
from sealscore.shared.monitoring.power import power
from sealscore.shared.plan.monitoring import OPENED, PASSAGES
from sealscore.shared.plan.plan import Plan

SECTION = """
[data.repayments]
file = "paid.csv"
loan = "number"
month = "month"
days_past_due = "days"
"""


def rows(*cells: tuple[str, str, int]) -> pl.DataFrame:
    columns = {"loan": pl.String, "month": pl.Int64, "days_past_due": pl.Int64}
    return pl.DataFrame(
        [(loan, month_number(month), days) for loan, month, days in cells], schema=columns, orient="row"
    )


def test_a_loan_passes_in_the_first_month_at_whose_end_it_was_so_late():
    found = passages(
        rows(
            *[
                ("a", "2025-11", 0),
                ("a", "2025-12", 31),
                ("a", "2026-01", 62),
                ("a", "2026-02", 0),
                ("a", "2026-03", 45),
            ],
            *[("b", "2026-02", 0), ("b", "2026-03", 12)],
        )
    )
    assert found.rows() == [("a", 202511, 202512, 202601, None), ("b", 202602, None, None, None)]
    assert found.columns == ["loan", OPENED, *PASSAGES]


@given(st.lists(st.integers(0, 120), min_size=1, max_size=24), st.integers(0, 23), st.integers(0, 120))
@settings(max_examples=50, deadline=None)
def test_a_correction_moves_a_loan_and_never_counts_it_twice(days: list[int], at: int, corrected: int):
    months = [f"{2025 + place // 12}-{place % 12 + 1:02d}" for place in range(len(days))]
    plan = counts_plan()
    for version in (days, [corrected if place == at else one for place, one in enumerate(days)]):
        (found,) = passages(rows(*[("a", month, one) for month, one in zip(months, version, strict=True)])).rows()
        columns = {
            name: np.array([np.nan if cell is None else cell], dtype=np.float64)
            for name, cell in zip((OPENED, *PASSAGES), found[1:], strict=True)
        }
        counted = first_passages(plan, columns | {"sector_0": np.zeros(1)}).reshape(24, 4, 3)
        limits = (0, 30, 60, 90)
        assert counted.sum(axis=(0, 2)).tolist() == [int(max(version) >= limit) for limit in limits]


@pytest.fixture
def lender(tmp_path: Path):
    home = new_node(tmp_path / "lender-1")
    text = home.config_file.read_text(encoding="utf-8").replace('identifier = "id"', 'identifier = "person"')
    home.config_file.write_text(text + SECTION, encoding="utf-8")
    return home


def test_a_node_counts_from_its_own_tables(lender):
    plan: Plan = counts_plan()
    frame = pl.DataFrame(
        {
            "loan": ["L1", "L2", "L3"],
            "person": ["p", "p", "q"],
            "sector_0": ["food", "other", "food"],
            "consent": ["federation for monitoring", "federation", "lender-2"],
        }
    )
    frame.write_csv(lender.folder / "loans.csv")
    pl.DataFrame(
        {
            "number": ["L1", "L1", "L1", "L3", "L9"],
            "month": ["2025-03", "2025-04-30", "2025-05", "2025-03", "2025-03"],
            "days": [0, 30, 61, 0, 0],
        }
    ).write_csv(lender.folder / "paid.csv")
    records = loader(lender, lender.config())(plan)
    assert records.columns[OPENED].tolist()[0] == 202503
    assert np.isnan(records.columns[OPENED][1])  # no row in the table of repayments: in no cell
    assert [records.columns[name][0] for name in PASSAGES[:2]] == [202504, 202505]
    assert not records.test.any()
    counted = first_passages(plan, records.take(records.live("federation", "monitoring")).columns)
    assert counted.sum() == 3  # q consented to no sums
    assert loaded(lender, lender.config(), plan).rows == 3
    assert len(given_reader(lender, lender.config())(plan).records) == 3


def test_a_node_without_a_table_of_repayments_says_what_to_name(lender):
    text = lender.config_file.read_text(encoding="utf-8").replace(SECTION, "")
    lender.config_file.write_text(text, encoding="utf-8")
    pl.DataFrame({"loan": ["L1"], "person": ["p"], "sector_0": ["food"]}).write_csv(lender.folder / "loans.csv")
    with pytest.raises(DataError) as caught:
        loader(lender, lender.config())(counts_plan())
    assert "[data.repayments]" in str(caught.value)


def test_a_withdrawal_is_seen_whatever_is_wrong_with_the_repayments(lender):
    pl.DataFrame(
        {"loan": ["L1", "L2"], "person": ["p", "q"], "sector_0": ["food", "food"], "consent": ["", "federation"]}
    ).write_csv(lender.folder / "loans.csv")
    pl.DataFrame({"number": ["L2"], "month": ["2025-03"], "days": ["late"]}).write_csv(lender.folder / "paid.csv")
    with pytest.raises(DataError):
        loader(lender, lender.config())(counts_plan())
    found = given_reader(lender, lender.config())(counts_plan())
    assert found.fault is None
    assert found.records.live("federation", "monitoring").tolist() == [False, True]


@pytest.mark.parametrize("mark", ["protected", "input_only"])
def test_what_tables_are_by_is_counted_however_it_is_marked(mark: str):
    plan = counts_plan()
    features = [
        feature.model_copy(update={mark: feature.name == "sector_0"})
        for feature in plan.groups["lender"].table.features
    ]
    table = plan.groups["lender"].table.model_copy(update={"features": tuple(features)})
    marked = plan.model_copy(update={"groups": {"lender": plan.groups["lender"].model_copy(update={"table": table})}})
    assert any("sector_0" in what for what in obstacles(marked, "lender-1", declared=False))
    assert obstacles(marked, "lender-1", declared=True) == []


@pytest.mark.parametrize(
    ("passing", "late", "warned"),
    # The guess, of every so many own loans one that is late, and whether the operator is warned.
    [(0.5, 100, True), (0.5, 2, False), (0.02, 2, False)],
    ids=["talked up", "as guessed", "too low"],
)
def test_the_guess_of_a_plan_is_held_against_the_own_loans(passing: float, late: int, warned: bool):
    plan = counts_plan(monitoring__originations=False, monitoring__passing=passing, privacy__epsilon=3.0)
    cells = [(f"L{loan}", "2025-03", 0) for loan in range(400)] + [(f"old{loan}", "2019-01", 90) for loan in range(50)]
    cells += [(f"L{loan}", "2025-04", 40 if loan % late == 0 else 0) for loan in range(400)]
    found = OwnPassing.of(plan, rows(*cells))
    assert found is not None
    assert (found.loans, found.passed) == (400, 400 // late)
    assert found.chance == power(plan.replace(monitoring__passing=1 / late)).chance
    assert (found.warning is not None) == warned
    assert f"{400:,}" in found.words


def test_the_node_holds_the_guess_against_its_own_table(lender):
    plan = counts_plan(monitoring__originations=False, privacy__epsilon=3.0)
    paid = lender.folder / "paid.csv"
    cells = [(f"L{loan}", "2025-03", 40 if loan < 30 else 0) for loan in range(300)]
    pl.DataFrame(cells, schema=["number", "month", "days"], orient="row").write_csv(paid)
    ((what, said),) = own_passing(lender, plan)
    assert (what, said.split()[0]) == ("own loans", "0.1")
    talked_up = [what for what, _ in own_passing(lender, plan.replace(monitoring__passing=0.9, privacy__epsilon=0.5))]
    assert talked_up == ["own loans", "warning"]
    assert own_passing(lender, counts_plan()) == []
    paid.write_text("number\nL1\n", encoding="utf-8")
    assert own_passing(lender, plan) == []  # the approval says what is wrong with it


def test_where_the_guess_judges_nothing_nothing_is_held_against_it():
    one = rows(("a", "2025-03", 0))
    assert OwnPassing.of(counts_plan(), one) is None
    assert OwnPassing.of(counts_plan(monitoring__originations=False), rows(("a", "2019-03", 0))) is None
    none_late = OwnPassing.of(counts_plan(monitoring__originations=False, privacy__epsilon=3.0), one)
    assert none_late is not None
    assert 0 < none_late.chance < 1
