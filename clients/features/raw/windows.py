"""Who is asked about and as of which day, and which events that day lets be seen.

`asked` is a frame with `at` (UInt32, a row's number), `creator_id` and `as_of` (Date). An event is seen when it lies
strictly before the as-of day, in UTC; `ago` counts whole days from it, 0 for the day before. Every feature is a
function of seen events alone, so nothing from that day or later can move one.

A feature of one person must be the same to the last bit whoever else is in the table, and a sum of floats is not: its
rounding follows the order in which threads meet the rows. So what is added up is made whole numbers first
(`hundredths`, `fine`); counts, extremes, medians and the first by a unique order are exact as they are.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

SHORT, MIDDLE, LONG = 30, 90, 180
MONTHS = LONG // SHORT
MOST_MONEY = 1e12
HUNDRED, FINE = 100.0, 2.0**20
"""Units of `hundredths` and `fine` in one."""


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


def hundredths(amount: pl.Expr) -> pl.Expr:
    """Money in whole hundredths, cut to MOST_MONEY either way."""
    return (amount.cast(pl.Float64).clip(-MOST_MONEY, MOST_MONEY) * HUNDRED).round().cast(pl.Int64)


def fine(value: pl.Expr) -> pl.Expr:
    """A share, a score or a difference of logarithms in whole parts of a FINE-th."""
    return (value.cast(pl.Float64) * FINE).round().cast(pl.Int64)


def whole(value: pl.Expr, unit: float = 1.0) -> pl.Expr:
    """The sum of whole numbers, of which `unit` make one, as float64."""
    return by(value.sum().cast(pl.Float64), unit)


def mean(value: pl.Expr, unit: float = 1.0) -> pl.Expr:
    """The mean of whole numbers or truths, of which `unit` make one; null where there is none."""
    return over(whole(value, unit), value.count().cast(pl.Float64))


def deviation(value: pl.Expr, unit: float = 1.0) -> pl.Expr:
    """The standard deviation of whole numbers, of which `unit` make one, as of a whole population."""
    middle = mean(value, unit)
    return (mean(value * value, unit * unit) - middle * middle).clip(0.0).sqrt()


def monthly(value: pl.Expr, name: str, unit: float = 1.0) -> list[pl.Expr]:
    """Sums of whole numbers over each of the six months of 30 days, the latest first, as NAME_0 to NAME_5."""
    months = pl.col("ago") // SHORT
    return [whole(value.filter(months == month), unit).alias(f"{name}_{month}") for month in range(MONTHS)]


def variation(name: str) -> pl.Expr:
    """Standard deviation over mean of six monthly sums, as of a whole population; null where they are all 0."""
    parts = [pl.col(f"{name}_{month}") for month in range(MONTHS)]
    middle = by(pl.sum_horizontal(parts), MONTHS)
    spread = by(pl.sum_horizontal([(part - middle) * (part - middle) for part in parts]), MONTHS).sqrt()
    return over(spread, middle)


def growth(name: str) -> pl.Expr:
    """Log points from a fifth of the five earlier months to the latest; null where all six are 0."""
    earlier = pl.sum_horizontal([pl.col(f"{name}_{month}") for month in range(1, MONTHS)])
    earlier = by(earlier, MONTHS - 1)
    latest = pl.col(f"{name}_0")
    return pl.when(latest + earlier > 0).then(latest.log1p() - earlier.log1p())


def total(name: str, months: int = MONTHS) -> pl.Expr:
    """The sum of the latest monthly sums."""
    return pl.sum_horizontal([pl.col(f"{name}_{month}") for month in range(months)])


def by(top: pl.Expr, bottom: pl.Expr | float) -> pl.Expr:
    """A quotient, as a product with the reciprocal.

    Polars divides by a column of one row as by a number, and rounds otherwise than in longer ones: a person asked about
    alone would have another value.
    """
    return top * (1.0 / bottom)


def over(top: pl.Expr, bottom: pl.Expr) -> pl.Expr:
    """A ratio; null where there is nothing to divide by."""
    return pl.when(bottom > 0).then(by(top, bottom))
