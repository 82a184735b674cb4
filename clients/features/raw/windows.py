"""Who is asked about and as of which day, and which events that day lets be seen.

`asked` is a frame with `at` (UInt32, a row's number), `creator_id` and `as_of` (Date). It is None where the tables hold
one person's rows alone, each with `at` and AS_ASKED in it: there is nobody to look for. An event is seen when it lies
strictly before the as-of day, in UTC; `ago` counts whole days from it, 0 for the day before. Every feature is a
function of seen events alone, so nothing from that day or later can move one.

A feature of one person must be the same to the last bit whoever else is in the table, and a sum of floats is not: its
rounding follows the order in which threads meet the rows. So what is added up is made whole numbers first
(`hundredths`, `fine`); counts, extremes, medians and the first by a unique order are exact as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import add

import polars as pl

SHORT, MIDDLE, LONG = 30, 90, 180
MONTHS = LONG // SHORT
MOST_MONEY = 1e12
HUNDRED, FINE = 100.0, 2.0**20
"""Units of `hundredths` and `fine` in one."""
AS_ASKED = "_as_of"
"""The as-of day of who is asked about, in rows of theirs."""


def theirs(rows: pl.LazyFrame, asked: pl.LazyFrame | None, key: str = "creator_id") -> pl.LazyFrame:
    """The rows of who is asked about, by a key that `asked` has, with `at` and AS_ASKED."""
    if asked is None:
        return rows
    return rows.join(asked.select("at", key, pl.col("as_of").alias(AS_ASKED)), on=key)


def theirs_by(rows: pl.LazyFrame, owners: pl.LazyFrame, key: str, asked: pl.LazyFrame | None) -> pl.LazyFrame:
    """As `theirs`, of rows that name a person by the key of `owners`."""
    if asked is None:
        return rows
    return theirs(rows.join(owners.select(key, "creator_id"), on=key), asked)


def seen(rows: pl.LazyFrame, moment: str, columns: Sequence[str], days: int | None = LONG) -> pl.LazyFrame:
    """`at`, `ago` (Int32) and columns of the events of the last `days` days before each as-of day (None: all days).

    `rows` are those of `theirs`, `moment` their column of days or moments; events without one are not seen.
    """
    ago = (pl.col(AS_ASKED) - pl.col(moment).cast(pl.Date)).dt.total_days().cast(pl.Int32) - 1
    inside = pl.col("ago") >= 0 if days is None else pl.col("ago").is_between(0, days - 1)
    return rows.select("at", *columns, ago=ago).filter(inside)


def last_seen(rows: pl.LazyFrame, moment: str, columns: Sequence[str], days: int | None) -> pl.LazyFrame:
    """`at` and columns of the last event of each row asked for, where there is one within `days`."""
    # No person has two events of a day here, so the latest is one.
    latest = [pl.col(column).get(pl.col("ago").arg_min()) for column in columns]
    return seen(rows, moment, columns, days).group_by("at").agg(latest)


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
    return spread(name, range(MONTHS))


def growth(name: str) -> pl.Expr:
    """Log points from a fifth of the five earlier months to the latest; null where all six are 0."""
    earlier = by(added([pl.col(f"{name}_{month}") for month in range(1, MONTHS)]), MONTHS - 1)
    latest = pl.col(f"{name}_0")
    return pl.when(latest + earlier > 0).then(latest.log1p() - earlier.log1p())


def total(name: str, months: int = MONTHS) -> pl.Expr:
    """The sum of the latest monthly sums."""
    return added([pl.col(f"{name}_{month}") for month in range(months)])


def spread(name: str, months: Sequence[int]) -> pl.Expr:
    """Standard deviation over mean of monthly sums, as of a whole population; null where they are all 0."""
    parts = [pl.col(f"{name}_{month}") for month in months]
    middle = by(added(parts), len(parts))
    return over(by(added([(part - middle) * (part - middle) for part in parts]), len(parts)).sqrt(), middle)


def added(parts: Sequence[pl.Expr]) -> pl.Expr:
    """The sum of columns of one row, without nulls: the halves of them first, each from its first on.

    `pl.sum_horizontal` adds floats in an order of its engine and its threads; so is that of whole tables until now.
    """
    half = len(parts) // 2
    return reduce(add, parts[half:]) if half == 0 else reduce(add, parts[:half]) + reduce(add, parts[half:])


def by(top: pl.Expr, bottom: pl.Expr | float) -> pl.Expr:
    """A quotient, as a product with the reciprocal.

    Polars divides by a column of one row as by a number, and rounds otherwise than in longer ones: a person asked about
    alone would have another value.
    """
    return top * (1.0 / bottom)


def over(top: pl.Expr, bottom: pl.Expr) -> pl.Expr:
    """A ratio; null where there is nothing to divide by."""
    return pl.when(bottom > 0).then(by(top, bottom))
