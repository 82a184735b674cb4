"""What lenders know of their loans on a day: what fell due, what was paid, and what became of loans that are over."""

from __future__ import annotations

from datetime import date, timedelta

import polars as pl
import pytest

from sealscore.simulations.life.life import happened, months, tables_of
from sealscore.simulations.life.outcomes import known_loans, known_repayments, loan_paths, repayment_paths
from sealscore.simulations.life.play import Played, Row
from sealscore.simulations.life.report import excess

LAST = date(2026, 6, 30)


def loan(name: str, applied: date, bad: bool, loss: float = 0.0) -> Row:
    """A loan of 1,000 at one lender."""
    return {
        "application_id": name,
        "lender": "lender-1",
        "product": "starter",
        "applied_at": applied,
        "started_at": applied,
        "principal": 1000,
        "term_months": 6,
        "instalment": 180.0,
        "bad": bad,
        "loss": loss,
    }


def days_before(days: int) -> date:
    """A day before the last."""
    return LAST - timedelta(days=days)


@pytest.mark.parametrize(("days", "bad", "loss"), [(359, None, None), (360, True, None), (450, True, 640.0)])
def test_an_outcome_is_known_when_its_window_is_over(days: int, bad: bool | None, loss: float | None):
    known = known_loans(loan_paths([loan("A", days_before(days), True, 640.0)]), LAST)
    assert known.select("bad", "loss").rows() == [(bad, loss)]


def test_instalments_and_payments_of_later_days_are_not_known():
    due = (days_before(30), LAST, LAST + timedelta(days=30))
    paid = (days_before(29), LAST + timedelta(days=1), None)
    rows = [
        {"application_id": "A", "number": at + 1, "due_at": due[at], "due": 180.0, "paid_at": paid[at]}
        for at in range(3)
    ]
    known = known_repayments(repayment_paths(rows), LAST)
    assert known.select("number", "paid_at").rows() == [(1, days_before(29)), (2, None)]


def played(*loans: Row) -> Played:
    """A life in which each of these loans was approved on the day of its application, and one application declined."""
    found = Played(last=LAST, loans=list(loans))
    declined = loan("declined", LAST, False)
    for row in (*loans, declined):
        identity = {"application_id": row["application_id"], "lender": row["lender"]}
        day = {"day": row["applied_at"], "decided_at": row["applied_at"]}
        said = {"proposal": "approve", "queue": None, "approved": row is not declined}
        found.applications.append(identity | dict.fromkeys(("video-1", "video-2", "wallet"), "unknown"))
        found.scores.append(identity | {"levels": 0, "role": "champion"})
        found.decisions.append(identity | day | said)
    return found


def test_a_vintage_has_a_rate_when_the_windows_of_all_its_loans_are_over():
    # March 2025 is over, and lost is known of its first loan alone; of July 2025 only the first loan is over.
    life = played(
        loan("A", days_before(480), True, 500.0),
        loan("B", days_before(460), False),
        loan("C", days_before(362), True, 500.0),
        loan("D", days_before(340), False),
    )
    rows = months(tables_of(life)).select("month", "loans", "bad_rate", "lost").rows()
    assert [row[1:] for row in rows] == [(2, 0.5, 500.0), (2, None, None), (0, None, None)]
    counted = happened(life, tables_of(life)["loans"])
    assert (counted["loans"], counted["bad_known"], counted["loss_known"]) == (4, 3, 2)
    assert counted["bad_rate"] == pytest.approx(2 / 3)
    assert counted["loss_rate"] == pytest.approx(0.25)


def test_a_life_without_a_loan_has_its_months():
    life = played()
    assert months(tables_of(life)).select("loans", "bad_rate", "lost").rows() == [(0, None, None)]
    assert happened(life, tables_of(life)["loans"])["bad_rate"] is None
    assert tables_of(life)["repayments"].schema["paid_at"] == pl.Date


def test_frauds_are_stopped_by_more_than_chance_alone():
    # Who declines 40 % of all, whoever they are, stops 40 % of frauds.
    assert excess({"approved": 0.6, "frauds_stopped": 0.4}) == pytest.approx(0.0)
    assert excess({"approved": 0.6, "frauds_stopped": 0.7}) == pytest.approx(0.3)
    assert excess({"approved": 0.6, "frauds_stopped": None}) is None
