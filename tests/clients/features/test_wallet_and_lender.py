"""Wallet, bureau and repayment features on tables small enough to compute by hand."""

from __future__ import annotations

from datetime import date, timedelta

import polars as pl
import pytest

from sealscore.clients.features import bureau, wallet

AS_OF = date(2024, 7, 15)


def asked() -> pl.LazyFrame:
    frame = {"application_id": ["new"], "creator_id": ["a"], "as_of": [AS_OF]}
    return pl.LazyFrame(frame).with_row_index("at")


def accounts() -> pl.LazyFrame:
    return pl.LazyFrame(
        {
            "account_id": ["w1", "w2"],
            "creator_id": ["a", "a"],
            "opened_at": [date(2023, 7, 15), date(2022, 7, 15)],
            "residence": ["urban", "rural"],
        }
    )


def flows(*rows: tuple[str, int, float]) -> pl.LazyFrame:
    """(account, month of 2024, inflow): outflow is half, refunds a tenth, balance the inflow, ten payers."""
    return pl.LazyFrame(
        {
            "account_id": [row[0] for row in rows],
            "month": [date(2024, row[1], 1) for row in rows],
            "inflow": [row[2] for row in rows],
            "outflow": [row[2] / 2 for row in rows],
            "payers": [10] * len(rows),
            "refunds": [row[2] / 10 for row in rows],
            "balance_mean": [row[2] for row in rows],
        }
    )


def test_flows_of_whole_months_of_all_accounts():
    # July has not ended; December of the year before is out of the window.
    table = flows(("w1", 7, 9999.0), ("w1", 6, 300.0), ("w2", 6, 100.0), ("w1", 4, 200.0), ("w1", 2, 600.0))
    (row,) = wallet.flow_features(table, accounts(), asked()).collect().to_dicts()
    assert row["inflow_3m"] == 600
    assert row["inflow_months_6m"] == 3
    assert row["payers_3m"] == 30
    assert row["refund_share_6m"] == pytest.approx(0.1)
    assert row["net_flow_share_6m"] == pytest.approx(0.5)
    assert row["inflow_growth"] == pytest.approx(0.0)
    # Balances of a month are those of all accounts: (400 + 200) / 2 months over an outflow of 300 / 3.
    assert row["balance_cover_3m"] == pytest.approx(3.0)


def test_the_month_of_the_day_before_counts_from_the_first_on():
    table = flows(("w1", 6, 300.0))
    first = asked().with_columns(as_of=pl.lit(date(2024, 7, 1)))
    last = asked().with_columns(as_of=pl.lit(date(2024, 6, 30)))
    assert wallet.flow_features(table, accounts(), first).collect().height == 1
    assert wallet.flow_features(table, accounts(), last).collect().height == 0


def test_the_oldest_account_counts():
    (row,) = wallet.account_features(accounts(), asked()).collect().to_dicts()
    assert row["wallet_age_months"] == pytest.approx(731 / 30.44)
    assert row["residence"] == "rural"


def test_a_bill_that_is_open_is_late():
    day = AS_OF - timedelta(days=10)
    bills = pl.LazyFrame(
        {
            "account_id": ["w1"] * 4,
            "due_at": [day] * 4,
            "paid_at": [day, day + timedelta(days=1), None, AS_OF],
        }
    )
    (row,) = wallet.bill_features(bills, accounts(), asked()).collect().to_dicts()
    assert row["late_bill_share_180d"] == pytest.approx(3 / 4)


def test_the_last_report_before_the_application():
    reports = pl.LazyFrame(
        {
            "creator_id": ["a"] * 3,
            "as_of": [date(2024, 1, 1), date(2024, 7, 14), AS_OF],
            "score": [600, None, 800],
            **{name: [1, 2, 3] for name in bureau.REPORT[1:]},
        }
    )
    (row,) = bureau.report_features(reports, asked()).collect().to_dicts()
    assert row["bureau_score"] is None
    assert row["months_on_file"] == 2


def test_repayments_as_they_were_known():
    applications = pl.LazyFrame({"application_id": ["old", "new"], "creator_id": ["a", "a"]})
    decisions = pl.LazyFrame(
        {
            "application_id": ["old", "new"],
            "decision": ["approved", "approved"],
            "decided_at": [date(2024, 1, 1), AS_OF],
        }
    )
    due = [AS_OF - timedelta(days=days) for days in (90, 60, 30, 1, 0)]
    paid = [due[0], due[1] + timedelta(days=7), AS_OF, None, due[4]]
    repayments = pl.LazyFrame({"application_id": ["old"] * 5, "due_at": due, "paid_at": paid})
    (loans,) = bureau.loan_features(decisions, applications, asked()).collect().to_dicts()
    assert loans["earlier_loans"] == 1
    (row,) = bureau.repayment_features(repayments, applications, asked()).collect().to_dicts()
    # In time, seven days late, 29 days late and unpaid as far as known, unpaid since yesterday; today's is not seen.
    assert row["late_instalment_share"] == pytest.approx(3 / 4)
    assert row["worst_days_late"] == 29


def test_the_instalment_against_the_income():
    applications = pl.LazyFrame(
        {
            "application_id": ["new", "other"],
            "product": ["traffic", "starter"],
            "amount": [1200.0, 1.0],
            "term_months": [6, 3],
            "declared_income": [1000.0, 0.0],
            "age": [30, 31],
            "gender": ["female", "male"],
        }
    )
    both = pl.concat([asked(), asked().with_columns(at=pl.lit(1, dtype=pl.UInt32), application_id=pl.lit("other"))])
    first, second = bureau.application_features(applications, both).sort("at").collect().to_dicts()
    assert first["instalment_to_income"] == pytest.approx(0.2)
    assert second["instalment_to_income"] is None
