"""Features of a channel from a short-video platform's own tables, all of them over what was seen before the as-of day.

Every function takes lazy canonical tables and `asked` (see `windows`), or what was seen of them, and gives a lazy frame
with `at` and its features; a row without events is absent from it. Counts of a video are those that the table holds: a
platform that exports old as-of days should export counts as they stood on them.
"""

from __future__ import annotations

import polars as pl

from sealscore.clients.features.raw.windows import (
    AS_ASKED,
    FINE,
    HUNDRED,
    LONG,
    MIDDLE,
    MONTHS,
    SHORT,
    by,
    deviation,
    fine,
    growth,
    hundredths,
    last_seen,
    mean,
    monthly,
    over,
    seen,
    theirs,
    total,
    variation,
    whole,
    within,
)

DAYS_A_MONTH = 30.44
WEEKS = 26
FEW_DAYS, FEW_SNAPSHOTS = 4, 5
_COUNTS = ("views", "likes", "comments", "shares")


def account_features(creators: pl.LazyFrame, asked: pl.LazyFrame | None) -> pl.LazyFrame:
    """How old the account is and what it is; an account registered on the as-of day or later has no age."""
    days = (pl.col(AS_ASKED) - pl.col("registered_at")).dt.total_days()
    return theirs(creators, asked).select(
        "at",
        "category",
        pl.when(days > 0).then(by(days, DAYS_A_MONTH)).alias("account_age_months"),
        pl.col("is_business").cast(pl.String).alias("business_account"),
    )


def video_window(videos: pl.LazyFrame, asked: pl.LazyFrame | None) -> pl.LazyFrame:
    """The videos that are seen, for `video_features` and `traffic.inputs`."""
    return seen(theirs(videos, asked), "published_at", [*_COUNTS, "completion_rate"])


def count_seen(videos: pl.LazyFrame, asked: pl.LazyFrame | None) -> pl.LazyFrame:
    """`at` and `videos`: how many videos came before the as-of day, in all the time."""
    return seen(theirs(videos, asked), "published_at", [], None).group_by("at").agg(pl.len().alias("videos"))


def follower_window(followers: pl.LazyFrame, asked: pl.LazyFrame | None) -> pl.LazyFrame:
    """The snapshots that are seen, for `follower_features` and `traffic.inputs`."""
    return seen(theirs(followers, asked), "as_of", ["followers"])


def video_features(window: pl.LazyFrame) -> pl.LazyFrame:
    """Reach, engagement, rhythm, and dependence on one hit."""
    sums = window.group_by("at").agg(
        *monthly(pl.col("views"), "views"),
        *(within(MIDDLE, pl.col(name)).sum().alias(f"{name}_middle") for name in _COUNTS),
        mean(within(MIDDLE, fine(pl.col("completion_rate"))), FINE).alias("completion_90d"),
        within(SHORT, pl.lit(1)).sum().alias("posts_30d"),
        pl.col("views").max().alias("most_views"),
    )
    views = pl.col("views_middle")
    reach = sums.select(
        "at",
        "posts_30d",
        "completion_90d",
        pl.col("views_0").alias("views_30d"),
        growth("views").alias("views_growth"),
        variation("views").alias("views_variation_180d"),
        over(pl.col("likes_middle"), views).alias("likes_per_view_90d"),
        over(pl.col("comments_middle"), views).alias("comments_per_view_90d"),
        over(pl.col("shares_middle"), views).alias("shares_per_view_90d"),
        over(pl.col("most_views"), total("views")).alias("top_video_share_180d"),
    )
    return reach.join(_rhythm(window), on="at", how="left")


def _rhythm(window: pl.LazyFrame) -> pl.LazyFrame:
    """When videos came, by days: two videos of a day are one."""
    day, days = pl.col("ago").unique().sort().cast(pl.Int64), pl.col("ago").n_unique()
    between = day.diff().drop_nulls()
    runs = pl.max_horizontal(pl.col("ago").min(), (between - 1).max().fill_null(0), LONG - 1 - pl.col("ago").max())
    return window.group_by("at").agg(
        (pl.col("ago") // 7).filter(pl.col("ago") < 7 * WEEKS).n_unique().clip(0, WEEKS).alias("active_weeks_180d"),
        runs.alias("longest_gap_180d"),
        pl.when(days >= FEW_DAYS).then(by(deviation(between), mean(between))).alias("gap_variation_180d"),
        pl.col("ago").min().alias("days_since_post"),
    )


def follower_features(window: pl.LazyFrame) -> pl.LazyFrame:
    """Size, growth and its volatility, from weekly snapshots."""
    window = window.with_columns(log=pl.col("followers").cast(pl.Float64).log1p())
    ago, count = pl.col("ago"), pl.col("followers")
    latest, earlier = ago < 60, ago.is_between(MIDDLE, MIDDLE + 59)
    change = pl.col("log").sort_by("ago", descending=True).diff()
    # A missing week would count twice what a week brings.
    weeks = by(ago.sort(descending=True).diff().abs(), 7.0).clip(1.0)
    weekly = by(change, weeks).drop_nulls()
    enough = pl.len() >= FEW_SNAPSHOTS
    return (
        window.group_by("at")
        .agg(
            count.filter(latest).sort_by(ago.filter(latest)).first().alias("followers"),
            count.filter(earlier).sort_by(ago.filter(earlier)).first().alias("earlier"),
            pl.when(enough).then(deviation(fine(weekly), FINE)).alias("follower_volatility_180d"),
            pl.when(enough).then(change.max().clip(0.0)).alias("follower_jump_180d"),
        )
        .select(
            pl.exclude("earlier"),
            over(pl.col("followers") - pl.col("earlier"), pl.col("earlier")).alias("follower_growth_90d"),
        )
    )


def audience_features(audience: pl.LazyFrame, asked: pl.LazyFrame | None) -> pl.LazyFrame:
    """How concentrated the audience is, from the last monthly snapshot."""
    return last_seen(theirs(audience, asked), "as_of", ["top_region_share", "top_age_share", "active_fan_share"], 92)


def order_features(orders: pl.LazyFrame, asked: pl.LazyFrame | None) -> pl.LazyFrame:
    """Turnover, refunds and livestreams. A refund is seen when it, too, came before the as-of day.

    `amount` is in one currency already.
    """
    window = seen(theirs(orders, asked), "ordered_at", ["amount", "channel", "refunded_at", AS_ASKED])
    amount, recent = hundredths(pl.col("amount")), pl.col("ago") < MIDDLE
    refunded = pl.col("refunded_at").dt.date() < pl.col(AS_ASKED)
    sums = window.group_by("at").agg(
        *monthly(amount, "turnover", HUNDRED),
        recent.sum().alias("orders_90d"),
        whole(amount.filter(recent & refunded), HUNDRED).alias("refunded"),
        whole(amount.filter(pl.col("channel") == "live"), HUNDRED).alias("live"),
    )
    return sums.select(
        "at",
        "orders_90d",
        pl.col("turnover_0").alias("turnover_30d"),
        total("turnover").alias("turnover_180d"),
        growth("turnover").alias("turnover_growth"),
        variation("turnover").alias("turnover_variation_180d"),
        over(pl.col("refunded"), total("turnover", MONTHS // 2)).alias("refund_share_90d"),
        over(pl.col("live"), total("turnover")).alias("live_share_180d"),
    )


# What a channel without a single event of a kind is worth: counts are 0 and pauses are whole windows, ratios missing.
EMPTY = {
    "posts_30d": 0,
    "active_weeks_180d": 0,
    "longest_gap_180d": LONG,
    "views_30d": 0,
    "turnover_30d": 0,
    "turnover_180d": 0,
    "orders_90d": 0,
    "comments_90d": 0,
}
