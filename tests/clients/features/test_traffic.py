"""The anomaly score: what raises it, what does not, and that it does not depend on the order or names of channels."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from clients.features.traffic import FEWEST_CHANNELS, FEWEST_VIDEOS, FLAGGED, Detector, burst_features, inputs


def windows(channels: int = 300, seed: int = 0) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Videos and snapshots of channels where everything fits: each has its own level, viral videos among them."""
    random = np.random.default_rng(seed)
    who = np.repeat(np.arange(channels), 30)
    views = np.exp(random.normal(7, 1, channels)[who] + random.standard_t(6, len(who)))
    likes = views * 0.028 * np.exp(random.normal(0, 0.3, channels)[who] + random.normal(0, 0.2, len(who)))
    videos = pl.DataFrame(
        {
            "at": who.astype(np.uint32),
            "ago": random.integers(0, 180, len(who)).astype(np.int32),
            "views": views.astype(np.int64),
            "likes": likes.astype(np.int64),
            "comments": (likes / 8).astype(np.int64),
            "shares": (likes / 9).astype(np.int64),
            "completion_rate": random.beta(14, 24, len(who)).astype(np.float32),
        }
    )
    growth = np.cumsum(random.normal(0.01, 0.02, (channels, 25)), axis=1)
    followers = pl.DataFrame(
        {
            "at": np.repeat(np.arange(channels), 25).astype(np.uint32),
            "ago": np.tile(7 * np.arange(24, -1, -1), channels).astype(np.int32),
            "followers": (3000 * np.exp(growth)).astype(np.int64).ravel(),
        }
    )
    return videos, followers


def inputs_of(videos: pl.DataFrame, followers: pl.DataFrame) -> pl.DataFrame:
    return inputs(videos.lazy(), followers.lazy()).collect().sort("at")


@pytest.fixture(scope="module")
def detector() -> Detector:
    found = Detector.fit(inputs_of(*windows()))
    assert found is not None
    return found


def score_of_first(detector: Detector, videos: pl.DataFrame, followers: pl.DataFrame) -> float:
    return detector.score(inputs_of(videos, followers)).filter(pl.col("at") == 0)["traffic_anomaly_180d"].item()


def changed(frame: pl.DataFrame, where: pl.Expr, **cells: pl.Expr) -> pl.DataFrame:
    """The first channel's rows for which a condition holds, with some cells replaced."""
    here = (pl.col("at") == 0) & where
    return frame.with_columns(
        pl.when(here).then(value).otherwise(pl.col(name)).cast(frame.schema[name]).alias(name)
        for name, value in cells.items()
    )


def test_bought_views_and_followers_raise_the_score(detector: Detector):
    videos, followers = windows(seed=1)
    usual = score_of_first(detector, videos, followers)
    # 20,000 bought views each on the videos of a month: hardly anybody likes them, comments or watches on.
    bought = changed(
        videos,
        pl.col("ago") < 30,
        views=pl.col("views") + 20_000,
        likes=pl.col("likes") + 20,
        completion_rate=pl.col("completion_rate") / 5,
    )
    assert score_of_first(detector, bought, followers) > max(FLAGGED, usual + 0.1)
    jump = changed(followers, pl.col("ago") < 60, followers=pl.col("followers") * 2)
    assert score_of_first(detector, videos, jump) > usual + 0.02
    assert score_of_first(detector, bought, jump) > FLAGGED


def test_a_hit_that_people_like_raises_nothing(detector: Detector):
    videos, followers = windows(seed=1)
    usual = score_of_first(detector, videos, followers)
    hit = changed(
        videos, pl.col("ago") < 30, **{name: pl.col(name) * 50 for name in ("views", "likes", "comments", "shares")}
    )
    assert score_of_first(detector, hit, followers) < max(usual + 0.05, FLAGGED)


def test_order_and_names_of_channels_change_nothing(detector: Detector):
    videos, followers = windows(seed=2)
    again = Detector.fit(inputs_of(videos, followers).sample(fraction=1.0, shuffle=True, seed=3))
    first = Detector.fit(inputs_of(videos, followers))
    assert first is not None
    assert again is not None
    found = inputs_of(*windows(seed=4))
    assert_frame_equal(first.score(found), again.score(found))
    alone = first.score(found.head(1))
    assert_frame_equal(alone, first.score(found).head(1))


def test_a_detector_is_kept_in_a_file(detector: Detector, tmp_path):
    detector.save(tmp_path / "detector.parquet")
    found = inputs_of(*windows(seed=5))
    assert_frame_equal(Detector.load(tmp_path / "detector.parquet").score(found), detector.score(found))
    found.write_parquet(tmp_path / "other.parquet")
    with pytest.raises(ValueError, match="no detector of this version"):
        Detector.load(tmp_path / "other.parquet")
    (tmp_path / "text.parquet").write_text("x")
    with pytest.raises(ValueError, match="is no detector"):
        Detector.load(tmp_path / "text.parquet")


def test_too_few_channels_videos_and_snapshots():
    videos, followers = windows(FEWEST_CHANNELS - 1)
    assert Detector.fit(inputs_of(videos, followers)) is None
    few = videos.filter((pl.col("at") > 0) | (pl.int_range(pl.len()) < FEWEST_VIDEOS - 1))
    only_followers = inputs_of(few, followers).filter(pl.col("at") == 0)
    assert only_followers["low_likes"].null_count() == 1
    assert only_followers["like_dip"].item() == 0
    assert inputs_of(few, followers.filter(pl.col("at") > 0)).filter(pl.col("at") == 0).is_empty()


def test_bursts():
    rows = pl.LazyFrame({"at": [0] * 5 + [1], "views": [10, 10, 10, 10, 1000, 5]})
    found = dict(burst_features(rows).collect().sort("at").rows())
    assert found[0] == pytest.approx(np.log(1001 / 11))
    assert found[1] is None
