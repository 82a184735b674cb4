"""Who is asked about and as of which day, and which events that day lets be seen.

`asked` is a frame with `at` (UInt32, a row's number), `creator_id` and `as_of` (Date). An event is seen when it lies
strictly before the as-of day, in UTC; `ago` counts whole days from it, 0 for the day before. Every feature is a
function of seen events alone, so nothing from that day or later can move one.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

SHORT, MIDDLE, LONG = 30, 90, 180
MONTHS = LONG // SHORT


def seen(
    events: pl.LazyFrame, asked: pl.LazyFrame, moment: str, columns: Sequence[str], days: int | None = LONG
) -> pl.LazyFrame:
    """`at`, `ago` (Int32) and columns of the events of the last `days` days before each as-of day (None: all days).

    `moment` is the events' column of days or moments; events without one are not seen.
    """
    ago = (pl.col("_as_of") - pl.col("_day")).dt.total_days().cast(pl.Int32) - 1
    inside = pl.col("ago") >= 0 if days is None else pl.col("ago").is_between(0, days - 1)
    return (
        events.select("creator_id", pl.col(moment).cast(pl.Date).alias("_day"), *columns)
        .join(asked.select("at", "creator_id", pl.col("as_of").alias("_as_of")), on="creator_id")
        .with_columns(ago=ago)
        .filter(inside)
        .drop("creator_id", "_day", "_as_of")
    )


def last_seen(
    events: pl.LazyFrame, asked: pl.LazyFrame, moment: str, columns: Sequence[str], days: int | None
) -> pl.LazyFrame:
    """`at` and columns of the last event of each row asked for, where there is one within `days`."""
    latest = [pl.col(column).sort_by("ago").first() for column in columns]
    return seen(events, asked, moment, columns, days).group_by("at").agg(latest)


def within(days: int, value: pl.Expr) -> pl.Expr:
    """The value of events of the last `days` days, null of others."""
    return pl.when(pl.col("ago") < days).then(value)


def monthly(value: pl.Expr, name: str) -> list[pl.Expr]:
    """Sums of a value over each of the six months of 30 days, the latest first, as NAME_0 to NAME_5."""
    months = pl.col("ago") // SHORT
    return [value.filter(months == month).sum().cast(pl.Float64).alias(f"{name}_{month}") for month in range(MONTHS)]


def variation(name: str) -> pl.Expr:
    """Standard deviation over mean of six monthly sums, as of a whole population; null where they are all 0."""
    parts = [pl.col(f"{name}_{month}") for month in range(MONTHS)]
    mean = pl.sum_horizontal(parts) / MONTHS
    spread = (pl.sum_horizontal([(part - mean) ** 2 for part in parts]) / MONTHS).sqrt()
    return pl.when(mean > 0).then(spread / mean)


def growth(name: str) -> pl.Expr:
    """Log points from a fifth of the five earlier months to the latest; null where all six are 0."""
    earlier = pl.sum_horizontal([pl.col(f"{name}_{month}") for month in range(1, MONTHS)]) / (MONTHS - 1)
    latest = pl.col(f"{name}_0")
    return pl.when(latest + earlier > 0).then(latest.log1p() - earlier.log1p())


def total(name: str, months: int = MONTHS) -> pl.Expr:
    """The sum of the latest monthly sums."""
    return pl.sum_horizontal([pl.col(f"{name}_{month}") for month in range(months)])


def over(top: pl.Expr, bottom: pl.Expr) -> pl.Expr:
    """A ratio; null where there is nothing to divide by."""
    return pl.when(bottom > 0).then(top / bottom)
