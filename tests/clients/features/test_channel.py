"""Channel features on tables small enough to compute by hand."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from sealscore.clients.features import channel

AS_OF = date(2024, 7, 1)


def asked(*creators: str) -> pl.LazyFrame:
    names = creators or ("a",)
    return pl.LazyFrame({"creator_id": names, "as_of": [AS_OF] * len(names)}).with_row_index("at")


def before(days: float) -> datetime:
    """A moment so many days before the as-of day begins."""
    return datetime(2024, 7, 1, tzinfo=UTC) - timedelta(days=days)


def videos(*rows: tuple[float, int, int, float]) -> pl.LazyFrame:
    """(days before, views, likes, completion) of creator a."""
    return pl.LazyFrame(
        {
            "creator_id": ["a"] * len(rows),
            "published_at": [before(row[0]) for row in rows],
            "views": [row[1] for row in rows],
            "likes": [row[2] for row in rows],
            "comments": [row[2] // 2 for row in rows],
            "shares": [row[2] // 4 for row in rows],
            "completion_rate": [row[3] for row in rows],
        }
    )


def video_features(table: pl.LazyFrame) -> dict:
    (row,) = channel.video_features(channel.video_window(table, asked())).collect().to_dicts()
    return row


def test_reach_and_engagement():
    row = video_features(videos((0.5, 100, 8, 0.2), (29.5, 300, 32, 0.4), (60, 600, 0, 0.6), (170, 1000, 99, 0.9)))
    assert row["posts_30d"] == 2
    assert row["views_30d"] == 400
    assert row["likes_per_view_90d"] == pytest.approx(40 / 1000)
    assert row["comments_per_view_90d"] == pytest.approx(20 / 1000)
    assert row["shares_per_view_90d"] == pytest.approx(10 / 1000)
    assert row["completion_90d"] == pytest.approx(0.4)
    assert row["top_video_share_180d"] == pytest.approx(0.5)


def test_windows_end_before_the_day_and_begin_180_days_earlier():
    inside = video_features(videos((0.001, 10, 1, 0.5), (179.9, 10, 1, 0.5)))
    both = video_features(videos((0.001, 10, 1, 0.5), (179.9, 10, 1, 0.5), (0, 999, 9, 0.1), (180.1, 999, 9, 0.1)))
    assert inside == both


def test_growth_and_variation_of_views():
    row = video_features(videos(*((30 * month + 5, 100 if month else 400, 1, 0.5) for month in range(6))))
    values = [400, 100, 100, 100, 100, 100]
    mean = sum(values) / 6
    assert row["views_variation_180d"] == pytest.approx((sum((v - mean) ** 2 for v in values) / 6) ** 0.5 / mean)
    assert row["views_growth"] == pytest.approx(math.log(401 / 101))


def test_rhythm():
    row = video_features(
        videos((2.5, 1, 0, 0.5), (4.5, 1, 0, 0.5), (4.6, 1, 0, 0.5), (10.5, 1, 0, 0.5), (50.5, 1, 0, 0.5))
    )
    assert row["days_since_post"] == 2
    assert row["longest_gap_180d"] == 129  # from the window's start to the first video
    assert row["active_weeks_180d"] == 3
    gaps = [2, 6, 40]
    mean = sum(gaps) / 3
    assert row["gap_variation_180d"] == pytest.approx((sum((g - mean) ** 2 for g in gaps) / 3) ** 0.5 / mean)


def test_few_days_have_no_rhythm_and_no_views_no_rates():
    row = video_features(videos((2.5, 0, 0, 0.5), (4.5, 0, 0, 0.5)))
    for name in ("gap_variation_180d", "likes_per_view_90d", "views_growth", "views_variation_180d"):
        assert row[name] is None
    assert row["completion_90d"] == pytest.approx(0.5)


def test_followers():
    table = pl.LazyFrame(
        {
            "creator_id": ["a"] * 16,
            "as_of": [AS_OF - timedelta(days=7 * week + 1) for week in range(16)],
            "followers": [200 if week < 2 else 100 for week in range(16)],
        }
    )
    (row,) = channel.follower_features(channel.follower_window(table, asked())).collect().to_dicts()
    assert row["followers"] == 200
    assert row["follower_growth_90d"] == pytest.approx(1.0)
    jump = math.log(201 / 101)
    assert row["follower_jump_180d"] == pytest.approx(jump, abs=1e-5)
    changes = [jump] + [0.0] * 14
    mean = sum(changes) / 15
    spread = (sum((change - mean) ** 2 for change in changes) / 15) ** 0.5
    assert row["follower_volatility_180d"] == pytest.approx(spread, abs=1e-5)


def test_orders_and_refunds():
    table = pl.LazyFrame(
        {
            "creator_id": ["a"] * 4,
            "ordered_at": [before(5), before(40), before(100), before(3)],
            "channel": ["live", "shop", "shop", "shop"],
            "amount": [100.0, 300.0, 600.0, 200.0],
            # The last refund comes on the as-of day itself: nobody knew of it yet.
            "refunded_at": [before(1), None, before(90), before(0)],
        }
    )
    (row,) = channel.order_features(table, asked()).collect().to_dicts()
    assert row["orders_90d"] == 3
    assert row["turnover_30d"] == 300
    assert row["turnover_180d"] == 1200
    assert row["refund_share_90d"] == pytest.approx(100 / 600)
    assert row["live_share_180d"] == pytest.approx(100 / 1200)


def test_account_and_audience():
    creators = pl.LazyFrame(
        {
            "creator_id": ["a", "b"],
            "registered_at": [date(2023, 7, 1), AS_OF],
            "category": ["food", None],
            "is_business": [True, None],
        }
    )
    first, second = channel.account_features(creators, asked("a", "b")).sort("at").collect().to_dicts()
    assert first["account_age_months"] == pytest.approx(366 / 30.44)
    assert first["business_account"] == "true"
    assert second["account_age_months"] is None
    audience = pl.LazyFrame(
        {
            "creator_id": ["a", "a", "a"],
            "as_of": [date(2024, 5, 1), date(2024, 6, 1), AS_OF],
            "top_region_share": [0.1, 0.2, 0.9],
            "top_age_share": [0.1, 0.3, 0.9],
            "active_fan_share": [0.1, 0.4, 0.9],
        }
    )
    (row,) = channel.audience_features(audience, asked()).collect().to_dicts()
    assert (row["top_region_share"], row["top_age_share"], row["active_fan_share"]) == (0.2, 0.3, 0.4)
