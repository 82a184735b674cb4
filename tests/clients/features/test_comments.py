"""Comments become aggregates; the slices in which they are read change nothing."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from sealscore.clients.features.comments import FEWEST, comment_features
from sealscore.clients.features.sentiment import Sentiment

AS_OF = date(2024, 7, 1)
GOOD, BAD = "非常好用 很喜欢", "质量太差了 要求退款"


def table(*rows: tuple[float, str]) -> pl.LazyFrame:
    end = datetime(2024, 7, 1, tzinfo=UTC)
    return pl.LazyFrame(
        {
            "creator_id": ["a"] * len(rows),
            "posted_at": [end - timedelta(days=row[0]) for row in rows],
            "text": [row[1] for row in rows],
        }
    )


def asked() -> pl.LazyFrame:
    return pl.LazyFrame({"creator_id": ["a"], "as_of": [AS_OF]}).with_row_index("at")


def test_aggregates(sentiment: Sentiment):
    comments = table(*[(5, BAD)] * 4, *[(50, GOOD)] * 6, *[(120, GOOD)] * 3, (10, "спасибо"))
    (row,) = comment_features(comments, asked(), sentiment).collect().to_dicts()
    bad, good = sentiment.score(pl.Series([BAD, GOOD])).to_list()
    assert row["comments_90d"] == 11
    assert row["sentiment_mean_90d"] == pytest.approx((4 * bad + 6 * good) / 10, abs=1e-6)
    assert row["sentiment_trend"] == pytest.approx(bad - good, abs=1e-6)
    assert row["negative_share_90d"] == pytest.approx(0.4)
    assert row["complaint_share_90d"] == pytest.approx(0.4)


def test_a_friendly_mention_is_no_complaint(sentiment: Sentiment):
    friendly = "客服很好 非常喜欢 很满意"
    assert sentiment.score(pl.Series([friendly])).to_list()[0] > 0.3
    (row,) = comment_features(table(*[(5, friendly)] * FEWEST), asked(), sentiment).collect().to_dicts()
    assert row["complaint_share_90d"] == 0


def test_too_few_comments_have_no_tone(sentiment: Sentiment):
    (row,) = comment_features(table(*[(5, BAD)] * (FEWEST - 1)), asked(), sentiment).collect().to_dicts()
    assert row["comments_90d"] == FEWEST - 1
    assert row["sentiment_mean_90d"] is row["negative_share_90d"] is row["complaint_share_90d"] is None


def test_no_comments_at_all(sentiment: Sentiment):
    assert comment_features(table((-1, BAD)), asked(), sentiment).collect().is_empty()


def test_slices_change_nothing(sentiment: Sentiment):
    comments = table(*((day * 1.7, (GOOD, BAD, "love it", "x")[day % 4]) for day in range(100)))
    whole = comment_features(comments, asked(), sentiment).collect()
    assert_frame_equal(comment_features(comments, asked(), sentiment, slice_rows=7).collect(), whole, rel_tol=1e-6)
