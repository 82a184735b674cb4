"""What lenders are told between applications, and how early that is: by hand, without a life."""

from __future__ import annotations

import dataclasses
from datetime import date, timedelta
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from sealscore.clients.warning.borrowers import ARREARS, SCORED, WATCHED
from sealscore.shared.persons.consent import FEDERATION
from sealscore.shared.persons.records import Records
from sealscore.shared.plan.schema import TableSchema
from sealscore.simulations.life.events.ceiling import Caught, ever, listed, world_rows
from sealscore.simulations.life.events.early import days_past_30, early_figures
from sealscore.simulations.life.events.warnings import LISTS, POINTS
from sealscore.simulations.life.parties.retraining import closed_loans, joined

APPLIED = date(2030, 1, 1)
LAST = APPLIED + timedelta(days=400)


def day(number: int) -> date:
    """So many days after the application."""
    return APPLIED + timedelta(days=number)


def instalments(loan: str, *paid: int | None) -> list[dict[str, Any]]:
    """An instalment a period, and the day on which each is paid."""
    return [
        {"application_id": loan, "due_at": day(30 * (place + 1)), "paid_at": None if one is None else day(one)}
        for place, one in enumerate(paid)
    ]


REPAYMENTS = pl.DataFrame(
    instalments("bad", 30, 60, None, None)
    + instalments("sudden", None, None)
    + instalments("slow", 30, 90)
    + instalments("good", 30, 60)
    + instalments("young", 30, None)
)
LOANS = pl.DataFrame(
    [
        {"application_id": name, "applied_at": APPLIED, "bad": name in ("bad", "sudden")}
        for name in ("bad", "sudden", "slow", "good")
    ]
    + [{"application_id": "young", "applied_at": day(60), "bad": True}]
)
WARNED = {"application_id": pl.String, "day": pl.Date, "list": pl.String, "rank": pl.Float64, "priority": pl.Int64}
BITS = {"application_id": pl.String, "day": pl.Date, "value": pl.Int64}


def test_thirty_days_past_due_is_of_the_first_instalment_that_is_open_so_long():
    found = dict(days_past_30(REPAYMENTS).iter_rows())
    # What is paid on the thirtieth day never was past it.
    assert found == {"bad": day(120), "sudden": day(60), "young": day(90)}


def figures(warnings: list[tuple[Any, ...]], bits: list[tuple[Any, ...]]) -> dict[str, Any]:
    listed = pl.DataFrame(warnings, schema=WARNED, orient="row")
    told = pl.DataFrame(bits, schema=BITS, orient="row")
    return early_figures(LOANS, REPAYMENTS, listed, told, LAST)


def test_a_warning_is_in_time_a_month_before_and_counts_once_a_loan():
    found = figures(
        [
            ("bad", day(80), LISTS, 0.2, WATCHED),
            ("bad", day(100), LISTS, 0.01, WATCHED),
            ("sudden", day(40), LISTS, 0.1, SCORED),
            ("sudden", day(10), POINTS, 0.15, SCORED),
            ("slow", day(65), LISTS, None, ARREARS),
            ("good", day(20), LISTS, 0.15, SCORED),
            ("good", day(20), POINTS, 0.19, SCORED),
            ("young", day(70), LISTS, 0.1, WATCHED),
        ],
        [("bad", day(80), 1), ("bad", day(170), 1), ("good", day(80), 0)],
    )
    # The window of the young one is open; what is in arrears the lender knows.
    assert found["rule"]["loans"] == 4
    assert found["rule"]["flagged"] == 3 / 4
    # The second was flagged 20 days ahead only.
    assert (found["rule"]["caught"], found["rule"]["lead"]) == (1 / 2, 40.0)
    assert (found["score"]["flagged"], found["score"]["caught"]) == (2 / 4, 1 / 2)
    # Beginnings: the bad one came too low at first, and too late then.
    assert (found["rule_ever"]["flagged"], found["rule_ever"]["caught"]) == (2 / 4, 0.0)
    assert (found["score_ever"]["flagged"], found["score_ever"]["caught"]) == (1 / 4, 1 / 2)
    assert (found["bit"]["flagged"], found["bit"]["caught"]) == (1 / 4, 1 / 2)
    assert found["bit"]["bad_rate_flagged"] == 1.0
    # Of those of whom a bit was told, and bits from before 30 days past due.
    assert (found["watched"]["bit"]["loans"], found["watched"]["bit"]["caught"]) == (2, 1.0)
    assert found["bits"] == {"told": 2, "ones": 1 / 2}


def test_a_life_without_a_list_has_figures_all_the_same():
    found = figures([], [])
    assert (found["rule"]["flagged"], found["rule"]["caught"], found["rule"]["lead"]) == (0.0, 0.0, None)
    assert found["watched"]["rule"]["flagged"] is None
    assert found["bits"] == {"told": 0, "ones": None}


def test_a_ceiling_counts_loans_ever_flagged_or_those_of_each_day():
    rows = pl.DataFrame(
        [
            {"application_id": loan, "lender": "lender-1", "day": day(number), "bad": bad}
            for loan, number, bad in (
                *((loan, 0, bad) for loan, bad in (("a", True), ("b", False), ("c", False), ("d", None))),
                *((loan, 30, bad) for loan, bad in (("a", True), ("b", False), ("e", True), ("f", False))),
            )
        ]
    )
    worse = np.array([1.0, 4.0, 2.0, 9.0, 8.0, 3.0, 5.0, 4.0])
    # Of five loans whose outcome is known two may be flagged: the worst rows are of two that turn bad.
    assert ever(rows, worse, 0.4) == Caught(0.4, 1.0)
    # Of each day the worst: one whose outcome is open, and "a".
    assert listed(rows, worse, 0.25) == Caught(1 / 5, 1 / 2)
    assert listed(rows, worse, 0.5) == Caught(3 / 5, 1.0)


def test_a_world_s_rows_are_of_loans_with_nothing_open():
    rows = world_rows(5, creators=300)
    first = rows.filter(pl.col("fell_due") == 0)
    assert first["application_id"].n_unique() == len(first) > 100
    assert (first["paid_late"] == 0).all()
    assert (rows["left"] > 0).all()
    # Who pays late turns bad more often, and who is to turn bad leaves the rows before.
    late = rows.filter(pl.col("fell_due") >= 3).group_by(pl.col("paid_late") > 0).agg(pl.col("bad").mean())
    rates = dict(late.iter_rows())
    assert rates[True] > rates[False]
    assert rows.filter(pl.col("fell_due") == 9)["bad"].mean() < first["bad"].mean()


@pytest.fixture
def records() -> Records:
    """A lender's records of four applications of three persons."""
    schema = TableSchema.model_validate(
        {"id": "loan", "person": "who", "label": "bad", "features": [{"name": "income", "lower": 0, "upper": 9}]}
    )
    columns = {"income": np.array([1.0, 2.0, 3.0, 4.0])}
    return Records(
        schema, ("L0", "L1", "L2", "L3"), ("ann", "bob", "ann", "eve"), columns, None, np.zeros(4, dtype=bool)
    )


def test_only_loans_whose_window_is_over_are_trained_on_and_one_of_a_person(records: Records):
    features: Any = SimpleNamespace(ids=list(records.ids), own=records)
    rows = [
        {"application_id": "L2", "applied_at": day(20), "bad": True},
        {"application_id": "L0", "applied_at": day(5), "bad": False},
        {"application_id": "L1", "applied_at": day(10), "bad": True},
        {"application_id": "L3", "applied_at": day(36), "bad": True},
    ]
    tokens = {"L0": ["wallet"], "L1": [], "L2": ["video-1"], "L3": []}
    found = closed_loans(features, rows, tokens, day(400), 365)
    assert found.ids == ("L0", "L1")
    assert found.label is not None
    assert found.label.tolist() == [0, 1]
    assert [[one.recipient for one in cell] for cell in found.consent or ()] == [[FEDERATION, "wallet"], [FEDERATION]]
    old = dataclasses.replace(found, ids=("O1", "O2"), person=("before1", "before2"))
    both = joined(old, found)
    assert both.ids == ("O1", "O2", "L0", "L1")
    assert both.columns["income"].tolist() == [1.0, 2.0, 1.0, 2.0]
    with pytest.raises(ValueError, match="label"):
        joined(records, found)
