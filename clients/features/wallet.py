"""Features of a payment wallet: flows by month, and bills. A month is seen when it ended before the as-of day."""

from __future__ import annotations

import polars as pl

from sealscore.clients.features.channel import DAYS_A_MONTH
from sealscore.clients.features.raw.windows import (
    AS_ASKED,
    HUNDRED,
    LONG,
    added,
    by,
    hundredths,
    mean,
    over,
    seen,
    spread,
    theirs,
    theirs_by,
    whole,
)

MONTHS, RECENT = 6, 3

# What a wallet without a flow in the six months is worth; ratios are missing.
EMPTY = {"inflow_3m": 0, "inflow_months_6m": 0, "payers_3m": 0}


def account_features(accounts: pl.LazyFrame, asked: pl.LazyFrame | None) -> pl.LazyFrame:
    """Age of the oldest account, and where its holder lives."""
    days = (pl.col(AS_ASKED) - pl.col("opened_at")).dt.total_days()
    return (
        theirs(accounts, asked)
        .filter(days > 0)
        .group_by("at")
        .agg(
            by(days.max(), DAYS_A_MONTH).alias("wallet_age_months"),
            pl.col("residence").sort_by("opened_at", "account_id").first(),
        )
    )


def flow_features(flows: pl.LazyFrame, accounts: pl.LazyFrame, asked: pl.LazyFrame | None) -> pl.LazyFrame:
    """Cash flow over the six months before the as-of day; accounts of one creator count together.

    Amounts are in one currency already. A month without a row had no flow.
    """
    first = pl.col(AS_ASKED).dt.month_start()
    months = (first.dt.year() - pl.col("month").dt.year()) * 12 + first.dt.month() - pl.col("month").dt.month()
    window = (
        theirs_by(flows, accounts, "account_id", asked)
        .with_columns(back=months.cast(pl.Int32))
        .filter(pl.col("back").is_between(1, MONTHS))
    )
    back, inflow = pl.col("back"), hundredths(pl.col("inflow"))
    recent = back <= RECENT
    by_month = [whole(inflow.filter(back == month), HUNDRED).alias(f"inflow_{month}") for month in range(1, MONTHS + 1)]
    sums = window.group_by("at").agg(
        *by_month,
        *(whole(hundredths(pl.col(name)), HUNDRED).alias(name) for name in ("inflow", "outflow", "refunds")),
        pl.col("payers").filter(recent).sum().alias("payers_3m"),
        whole(hundredths(pl.col("outflow")).filter(recent), HUNDRED).alias("recent_outflow"),
        by(whole(hundredths(pl.col("balance_mean")).filter(recent), HUNDRED), back.filter(recent).n_unique()).alias(
            "balance"
        ),
    )
    parts = [pl.col(f"inflow_{month}") for month in range(1, MONTHS + 1)]
    middle, late, early = by(added(parts), MONTHS), added(parts[:RECENT]), added(parts[RECENT:])
    return sums.select(
        "at",
        "payers_3m",
        late.alias("inflow_3m"),
        pl.when(middle > 0).then(by(late, RECENT).log1p() - by(early, RECENT).log1p()).alias("inflow_growth"),
        spread("inflow", range(1, MONTHS + 1)).alias("inflow_variation_6m"),
        added([(part > 0).cast(pl.Int32) for part in parts]).alias("inflow_months_6m"),
        over(pl.col("refunds"), pl.col("inflow")).alias("refund_share_6m"),
        over(pl.col("inflow") - pl.col("outflow"), pl.col("inflow")).alias("net_flow_share_6m"),
        over(pl.col("balance"), by(pl.col("recent_outflow"), RECENT)).alias("balance_cover_3m"),
    )


def bill_features(bills: pl.LazyFrame, accounts: pl.LazyFrame, asked: pl.LazyFrame | None) -> pl.LazyFrame:
    """How many bills that fell due were late. A payment from the as-of day on has not been seen: its bill is open."""
    owned = theirs_by(bills, accounts, "account_id", asked)
    window = seen(owned, "due_at", ["due_at", "paid_at", AS_ASKED], LONG)
    in_time = (pl.col("paid_at") <= pl.col("due_at")) & (pl.col("paid_at") < pl.col(AS_ASKED))
    return window.group_by("at").agg(mean(~in_time.fill_null(False)).alias("late_bill_share_180d"))
