"""What became of loans: outcomes within closed windows, vintages, and how loans roll from month to month."""

from __future__ import annotations

from itertools import pairwise

import polars as pl

from sealscore.clients.watch.months import closing_month

BUCKETS = ("0", "1-29", "30-59", "60-89", "90+")
_EDGES = (1, 30, 60, 90)
ROLLS = tuple(pairwise(BUCKETS))


def outcomes(loans: pl.DataFrame, repayments: pl.DataFrame, month: int, window: int, bad_days: int) -> pl.DataFrame:
    """Loans whose window of so many days was over by the end of a month, with `bad` and the month that closed it.

    A loan is bad that was so many days past due at the end of a month until the one that closed its window. Loans whose
    window is open, or that have no row at all, are not in it: nothing is known of them yet.
    """
    begun = loans.drop_nulls("start")
    closing = {start: closing_month(start, window) for start in begun["start"].unique().to_list()}
    closes = pl.col("start").replace_strict(closing, default=None, return_dtype=pl.Int64)
    closed = begun.with_columns(closes=closes).filter(pl.col("closes") <= month)
    rows = closed.select("loan", "closes").join(repayments, on="loan").filter(pl.col("month") <= pl.col("closes"))
    worst = rows.group_by("loan").agg(pl.col("days_past_due").max().alias("worst"))
    return closed.join(worst, on="loan").with_columns(bad=pl.col("worst") >= bad_days).sort("loan")


def vintages(loans: pl.DataFrame, repayments: pl.DataFrame, month: int, days: int) -> pl.DataFrame:
    """By start and age in months how many loans there are, and how many were ever so many days past due by that age.

    An age stands only where all of the vintage have it: no month later than this one is read.
    """
    begun = loans.drop_nulls("start").filter(pl.col("start") < month)
    seen = begun.select("loan", "start").join(repayments, on="loan")
    seen = seen.filter(pl.col("month") <= month).with_columns(age=pl.col("month") - pl.col("start"))
    late = seen.filter(pl.col("days_past_due") >= days).group_by("loan").agg(pl.col("age").min().alias("late_at"))
    known = seen.select("loan", "start").unique().join(late, on="loan", how="left")
    ages = known.select("start").unique().with_columns(
        age=pl.int_ranges(1, month - pl.col("start") + 1, dtype=pl.Int64)
    ).explode("age")  # fmt: skip
    grown = known.join(ages, on="start").with_columns(late=(pl.col("late_at") <= pl.col("age")).fill_null(False))
    counted = grown.group_by("start", "age").agg(pl.len().alias("loans"), pl.col("late").sum().alias("late"))
    return counted.with_columns(pl.col("loans", "late").cast(pl.Int64)).sort("start", "age")


def rolls(repayments: pl.DataFrame) -> pl.DataFrame:
    """By month and bucket in which loans were a month before, how many there are and how many rolled to a worse one."""
    bucket = sum((pl.col("days_past_due") >= edge).cast(pl.Int64) for edge in _EDGES)
    rows = repayments.with_columns(bucket=bucket)
    before = rows.select("loan", pl.col("month") + 1, pl.col("bucket").alias("before"))
    moved = rows.join(before, on=["loan", "month"]).filter(pl.col("before") < len(_EDGES))
    counted = moved.group_by("month", "before").agg(
        pl.len().alias("loans"), (pl.col("bucket") > pl.col("before")).sum().alias("worse")
    )
    return counted.with_columns(pl.col("loans", "worse").cast(pl.Int64)).sort("month", "before")
