"""The anomaly score: what raises it and what does not, and the detector that is shipped."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from sealscore.clients.features import detector as shipped_one
from sealscore.clients.features.detector import INPUTS, Detector, shipped
from sealscore.clients.features.traffic import FEWEST_VIDEOS, FLAGGED, burst_features, inputs
from sealscore.simulations.world.fits import detector as fit_detector


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
    return shipped()


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


def test_a_channel_alone_scores_as_among_others(detector: Detector):
    found = inputs_of(*windows(seed=4))
    whole = detector.score(found)
    assert_frame_equal(detector.score(found.head(1)), whole.head(1), check_exact=True)
    assert_frame_equal(detector.score(found.reverse()).reverse(), whole, check_exact=True)
    assert detector.score(found.clear()).is_empty()


def test_the_arrays_score_as_the_forest_from_which_they_come():
    """scikit-learn's own scores, at the fit and of channels that it has not seen."""
    first = inputs_of(*windows(seed=2))
    grown, forest = fit_detector.grow(first)
    again, _ = fit_detector.grow(first.sample(fraction=1.0, shuffle=True, seed=3))
    for seed in (2, 4):
        values = grown.scaled(inputs_of(*windows(seed=seed)).select(INPUTS).to_numpy())
        np.testing.assert_allclose(grown.scores(values), -forest.score_samples(values), rtol=0, atol=1e-12)
        np.testing.assert_array_equal(again.scores(values), grown.scores(values))


def test_the_shipped_file_is_plain_and_small(monkeypatch: pytest.MonkeyPatch):
    path = Path(shipped_one.__file__).with_name(shipped_one.FILE)
    assert path.stat().st_size < 300_000
    with np.load(path, allow_pickle=False) as stored:
        assert all(stored[name].dtype.kind in "if" for name in stored.files)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == shipped_one.digest()
    monkeypatch.setattr(shipped_one, "VERSION", shipped_one.VERSION + 1)
    with pytest.raises(ValueError, match="install one release"):
        shipped.__wrapped__()


@pytest.mark.long
def test_the_shipped_file_is_grown_again_from_invented_channels():
    """Bit for bit: the world of a fixed config and seed, and scikit-learn's forest of it."""
    found, known = fit_detector.grow(fit_detector.reference())[0], shipped()
    for name in ("roots", "feature", "threshold", "left", "right", "length", "usual", "scale"):
        np.testing.assert_array_equal(getattr(found, name), getattr(known, name), err_msg=name)


def test_too_few_videos_and_snapshots():
    videos, followers = windows(20)
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
