"""Engagement that does not fit: an anomaly score for bought views and followers, and a pre-loan flag.

Bought views come without the likes, comments and watch time that go with views; they come in bursts, often with a jump
in followers. Each channel is compared with itself first (its lifted videos with its median video), then with the
invented channels on which the shipped detector was fitted (`detector`). All inputs are one-sided: a channel that is
liked more than others is no anomaly.
"""

from __future__ import annotations

import polars as pl

from sealscore.clients.features.detector import INPUTS, shipped
from sealscore.clients.features.raw.windows import by, whole

FEWEST_VIDEOS, FEWEST_WEEKS = 4, 5
FLAGGED = 0.6
"""Scores above are flagged; about 0.5 is ordinary (Liu et al. 2008, section 2)."""
CODE = "TR01"
REASONS = {
    CODE: {
        "code": CODE,
        "reason_en": "Views or followers look bought: engagement does not fit them",
        "reason_zh": "疑似购买播放量或粉丝 (互动数据与播放量不符)",
    }
}
"""What is told of a flagged channel."""
# Views and likes that every video is given, so that a handful of views makes no rate.
_VIEWS, _LIKES, _COMMENTS = 200.0, 4.0, 0.6


def inputs(videos: pl.LazyFrame, followers: pl.LazyFrame) -> pl.LazyFrame:
    """`at` and how far each channel is from fitting: its videos where there are enough, its followers where they are.

    `videos` and `followers` are what was seen (`channel.video_window`, `channel.follower_window`). All but
    `low_likes` are zero where everything fits; `low_likes` is null of a channel with too few videos.
    """
    views, completion = pl.col("views").cast(pl.Float64), pl.col("completion_rate").cast(pl.Float64)
    lift = (views + _VIEWS).log()
    likes = by(pl.col("likes") + _LIKES, views + _VIEWS).log()
    comments = by(pl.col("comments") + _COMMENTS, views + _VIEWS).log()
    own = videos.select(
        "at",
        "views",
        lift=lift - lift.median().over("at"),
        likes=likes - likes.median().over("at"),
        comments=comments - comments.median().over("at"),
        completion=(completion.clip(0.005).log() - completion.clip(0.005).log().median().over("at")).fill_null(0.0),
        rate=likes,
    )
    lifted = pl.col("lift") > 0
    misfit = lifted & (pl.col("likes") < -0.5) & (pl.col("completion") < -0.4)
    dips = [
        (-pl.col(name).filter(lifted).min()).clip(0.0).fill_null(0.0).alias(f"{short}_dip")
        for name, short in (("likes", "like"), ("comments", "comment"), ("completion", "completion"))
    ]
    found = own.group_by("at").agg(
        *dips,
        by(whole(pl.col("views").filter(misfit)), whole(pl.col("views")) + 1.0).alias("misfit_views"),
        pl.col("lift").filter(misfit).max().fill_null(0.0).alias("misfit_lift"),
        (-pl.col("rate").median()).alias("low_likes"),
        lift=pl.len(),
    )
    return (
        found.filter(pl.col("lift") >= FEWEST_VIDEOS)
        .join(_jumps(followers), on="at", how="full", coalesce=True)
        .with_columns(pl.exclude("at", "low_likes").fill_null(0.0))
        .select("at", *(pl.col(name).cast(pl.Float64) for name in INPUTS))
    )


def anomaly(channels: pl.LazyFrame) -> pl.LazyFrame:
    """`at` and `traffic_anomaly_180d` of what `inputs` gives, by the shipped detector."""
    return channels.map_batches(
        shipped().score,
        predicate_pushdown=False,
        projection_pushdown=False,
        schema={"at": pl.UInt32, "traffic_anomaly_180d": pl.Float64},
    )


def _jumps(followers: pl.LazyFrame) -> pl.LazyFrame:
    """The largest weekly rise of the logarithm of followers above the channel's median rise."""
    change = pl.col("followers").cast(pl.Float64).log1p().sort_by("ago", descending=True).diff().drop_nulls()
    jump = (change.max() - change.median()).clip(0.0)
    return (
        followers.group_by("at")
        .agg(jump.alias("follower_jump"), weeks=pl.len())
        .filter(pl.col("weeks") >= FEWEST_WEEKS)
    )


def burst_features(videos: pl.LazyFrame) -> pl.LazyFrame:
    """How far the most viewed video stands above the median one."""
    views = pl.col("views").cast(pl.Float64).log1p()
    burst = pl.when(pl.len() >= FEWEST_VIDEOS).then(views.max() - views.median())
    return videos.group_by("at").agg(burst.alias("view_burst_180d"))
