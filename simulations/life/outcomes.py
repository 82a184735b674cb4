"""What lenders know of their loans on the last day of a life.

The world draws a loan's whole path when it starts. Lenders know what fell due and what was paid up to the last day, and
what became of a loan only when its window is over: of loans whose window is open, those that are known to be bad come
first, so a rate of them would mislead. The paths themselves stay with the oracle.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import polars as pl

from sealscore.simulations.life.rows import Played
from sealscore.simulations.world.config import PERIODS
from sealscore.simulations.world.people.repayment import PERIOD_DAYS, WINDOW

BAD_KNOWN = timedelta(days=PERIOD_DAYS * WINDOW)
"""How long after the application it is known whether a loan turned bad."""
LOSS_KNOWN = timedelta(days=PERIOD_DAYS * PERIODS)
"""How long after the application it is known what of a loan is lost: late instalments are paid up to then."""
_LOANS = {
    "application_id": pl.String,
    "lender": pl.String,
    "product": pl.String,
    "applied_at": pl.Date,
    "started_at": pl.Date,
    "principal": pl.Int64,
    "term_months": pl.Int64,
    "instalment": pl.Float64,
    "bad": pl.Boolean,
    "loss": pl.Float64,
}
_REPAYMENTS = {
    "application_id": pl.String,
    "number": pl.Int64,
    "due_at": pl.Date,
    "due": pl.Float64,
    "paid_at": pl.Date,
}


_WITHDRAWALS = {
    "platform": pl.String,
    "lender": pl.String,
    "day": pl.Date,
    "application_id": pl.String,
    "status": pl.String,
}
_WARNINGS: dict[str, pl.DataType | type[pl.DataType]] = {
    "application_id": pl.String,
    "lender": pl.String,
    "day": pl.Date,
    "list": pl.String,
    "rank": pl.Float64,
    "priority": pl.Int64,
    "days_past_due": pl.Int64,
    "missed": pl.Int64,
    "reasons": pl.List(pl.String),
}
_BITS = {"application_id": pl.String, "lender": pl.String, "day": pl.Date, "value": pl.Int64}


def consent_tables(played: Played) -> dict[str, pl.DataFrame]:
    """What came of consents that ended and of those to be watched: tables that may be empty, by name."""
    return {
        "withdrawals": pl.DataFrame(played.withdrawals, schema=_WITHDRAWALS),
        "warnings": pl.DataFrame(played.warnings, schema=_WARNINGS),
        "watch": pl.DataFrame(played.bits, schema=_BITS),
    }


def loan_paths(rows: Sequence[dict[str, Any]]) -> pl.DataFrame:
    """Loans as the world knows them, one a row, whatever the day."""
    return pl.DataFrame(list(rows), schema=_LOANS)


def repayment_paths(rows: Sequence[dict[str, Any]]) -> pl.DataFrame:
    """Instalments of loans as the world knows them, one a row, whatever the day."""
    return pl.DataFrame(list(rows), schema=_REPAYMENTS)


def known_loans(paths: pl.DataFrame, last: date) -> pl.DataFrame:
    """Loans on that day: `bad` and `loss` are null until they are known."""
    applied = pl.col("applied_at")
    return paths.with_columns(
        pl.when(applied + BAD_KNOWN <= last).then("bad").alias("bad"),
        pl.when(applied + LOSS_KNOWN <= last).then("loss").alias("loss"),
    )


def known_repayments(paths: pl.DataFrame, last: date) -> pl.DataFrame:
    """The instalments that fell due up to that day; `paid_at` is null of those that were not paid by then."""
    paid = pl.col("paid_at")
    return paths.filter(pl.col("due_at") <= last).with_columns(pl.when(paid <= last).then(paid).alias("paid_at"))


def closed(column: str) -> pl.Expr:
    """Whether an outcome is known of all loans of a group, and there are any: a rate of some would mislead."""
    lent = pl.col("principal").is_not_null()
    return lent.any() & ~(lent & pl.col(column).is_null()).any()
