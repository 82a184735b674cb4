"""Engagement that does not fit: an anomaly score for bought views and followers, and a pre-loan flag.

Bought views come without the likes, comments and watch time that go with views; they come in bursts, often with a jump
in followers. Each channel is compared with itself first (its lifted videos with its median video), then with other
channels by an isolation forest (Liu, Ting & Zhou 2008, "Isolation Forest"; scikit-learn). All inputs are one-sided: a
channel that is liked more than others is no anomaly.

The detector is fit once, on a reference: channels as seen on one day that is no later than any as-of day. So no event
after a creator's as-of day moves the score, not even another creator's, and training and scoring use the same detector.
What is kept of it is the table of reference inputs, numbers without ids; the forest is grown from it anew, by a fixed
seed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from sklearn.ensemble import IsolationForest

FEWEST_VIDEOS, FEWEST_WEEKS, FEWEST_CHANNELS = 4, 5, 100
FLAGGED = 0.6
"""Scores above are flagged; about 0.5 is ordinary (Liu et al. 2008, section 2)."""
MOST_CHANNELS = 20_000
TREES, SAMPLE = 200, 256
REASON_EN = "Views or followers look bought: engagement does not fit them"
REASON_ZH = "疑似购买播放量或粉丝 (互动数据与播放量不符)"
# Views and likes that every video is given, so that a handful of views makes no rate.
_VIEWS, _LIKES, _COMMENTS = 200.0, 4.0, 0.6
_COLUMNS = ("like_dip", "comment_dip", "completion_dip", "misfit_views", "misfit_lift", "low_likes", "follower_jump")


def inputs(videos: pl.LazyFrame, followers: pl.LazyFrame) -> pl.LazyFrame:
    """`at` and how far each channel is from fitting: its videos where there are enough, its followers where they are.

    `videos` and `followers` are what was seen (`channel.video_window`, `channel.follower_window`). All but
    `low_likes` are zero where everything fits; `low_likes` is null of a channel with too few videos.
    """
    views, completion = pl.col("views").cast(pl.Float64), pl.col("completion_rate").cast(pl.Float64)
    lift = (views + _VIEWS).log()
    likes = ((pl.col("likes") + _LIKES) / (views + _VIEWS)).log()
    comments = ((pl.col("comments") + _COMMENTS) / (views + _VIEWS)).log()
    own = videos.select(
        "at",
        views=views,
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
        (pl.col("views").filter(misfit).sum() / (pl.col("views").sum() + 1.0)).alias("misfit_views"),
        pl.col("lift").filter(misfit).max().fill_null(0.0).alias("misfit_lift"),
        (-pl.col("rate").median()).alias("low_likes"),
        lift=pl.len(),
    )
    return (
        found.filter(pl.col("lift") >= FEWEST_VIDEOS)
        .join(_jumps(followers), on="at", how="full", coalesce=True)
        .with_columns(pl.exclude("at", "low_likes").fill_null(0.0))
        .select("at", *(pl.col(name).cast(pl.Float64) for name in _COLUMNS))
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


@dataclass(frozen=True)
class Detector:
    """Scores channels by how easily they are isolated. `reference` is float64 [channels, inputs]."""

    reference: np.ndarray

    @classmethod
    def fit(cls, reference: pl.DataFrame) -> Detector | None:
        """From the inputs of reference channels; None where there are too few of them to say what is usual."""
        if reference.height < FEWEST_CHANNELS:
            return None
        values = reference.select(_COLUMNS).to_numpy()
        order = np.lexsort(values.T)  # by value, so that neither the order nor the ids of channels matter
        step = max(1, -(-len(values) // MOST_CHANNELS))
        return cls(values[order][::step])

    @cached_property
    def _forest(self) -> IsolationForest:
        from sklearn.ensemble import IsolationForest

        forest = IsolationForest(n_estimators=TREES, max_samples=min(SAMPLE, len(self.reference)), random_state=0)
        return forest.fit(self._scaled(self.reference))

    def _scaled(self, values: np.ndarray) -> np.ndarray:
        """Inputs [n, inputs] with `low_likes` one-sided: by how many median deviations a channel is below others."""
        at = _COLUMNS.index("low_likes")
        usual = self.reference[:, at][~np.isnan(self.reference[:, at])]
        middle = np.median(usual) if len(usual) else 0.0
        deviation = max(float(np.median(np.abs(usual - middle))) if len(usual) else 1.0, 1e-9)
        scaled = values.copy()
        # Up to two deviations are common; what is beyond them counts.
        scaled[:, at] = np.nan_to_num(np.maximum(0.0, (values[:, at] - middle) / deviation - 2.0))
        return scaled

    def score(self, channels: pl.DataFrame) -> pl.DataFrame:
        """`at` and `traffic_anomaly_180d` in (0, 1) of channels with inputs."""
        if channels.height == 0:
            return channels.select("at").with_columns(traffic_anomaly_180d=pl.lit(None, dtype=pl.Float64))
        scores = -self._forest.score_samples(self._scaled(channels.select(_COLUMNS).to_numpy()))
        return channels.select("at").with_columns(traffic_anomaly_180d=pl.Series(scores))

    def save(self, path: Path) -> None:
        """Write the reference as Parquet."""
        pl.DataFrame(self.reference, schema=list(_COLUMNS)).write_parquet(path)

    @classmethod
    def load(cls, path: Path) -> Detector:
        """Read what `save` wrote.

        Raises:
            OSError: there is no such file.
            ValueError: it is another kind of file, or of an older version with other inputs.
        """
        try:
            frame = pl.read_parquet(path)
        except pl.exceptions.PolarsError as error:
            raise ValueError(f"{path.name} is no detector: {error}") from None
        if frame.columns != list(_COLUMNS) or frame.height < FEWEST_CHANNELS:
            raise ValueError(f"{path.name} is no detector of this version; build it anew")
        return cls(frame.to_numpy())
