"""No event of the as-of day or later moves a feature: such events are thrown in at random, and nothing moves."""

from __future__ import annotations

import tempfile
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from clients.features import Sentiment, build_table

TODAY = date(2024, 12, 1)
Tables = dict[str, pl.DataFrame]
# Days from the as-of day on, and the moment of that day.
AFTER = st.tuples(st.integers(0, 30), st.times())


def features(kind: str, tables: Tables, sentiment: Sentiment | None = None) -> pl.DataFrame:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for table, frame in tables.items():
            frame.write_parquet(folder / f"{table}.parquet")
        return pl.read_parquet(build_table(folder, kind, folder / "out", TODAY, sentiment=sentiment).table)


def moment(day: date, after: tuple[int, time]) -> datetime:
    return datetime.combine(day + timedelta(days=after[0]), after[1], tzinfo=UTC)


def more(tables: Tables, **rows: list[dict]) -> Tables:
    """The tables with rows added to some of them."""
    added = {
        name: pl.concat([tables[name], pl.DataFrame(new, schema=tables[name].schema)])
        for name, new in rows.items()
        if new
    }
    return tables | added


VIDEO_EVENT = st.fixed_dictionaries(
    {
        "creator": st.integers(0, 119),
        "after": AFTER,
        "views": st.sampled_from([0, 50, 10**9]),
        "text": st.sampled_from(["非常好", "假货 退款", "terrible scam"]),
        "amount": st.sampled_from([0.0, 1e8]),
    }
)


@settings(max_examples=4, deadline=None)
@given(events=st.lists(VIDEO_EVENT, min_size=1, max_size=20), refund=AFTER)
def test_channel(drawn: dict[str, Tables], sentiment: Sentiment, events: list[dict], refund: tuple[int, time]):
    tables = drawn["short-video"]
    days = dict(tables["consents"].select("creator_id", "given_at").rows())
    new: dict[str, list[dict]] = {name: [] for name in ("videos", "comments", "followers", "audience", "orders")}
    for at, event in enumerate(events):
        creator = f"C{event['creator']:05d}"
        when, likes = moment(days[creator], event["after"]), event["views"] // 2
        own = {"creator_id": creator, "video_id": f"new{at}"}
        counts = {"views": event["views"], "likes": likes, "comments": likes, "shares": likes, "completion_rate": 0.0}
        new["videos"].append({**own, "published_at": when, "duration_s": 1.0, **counts})
        new["comments"].append({**own, "comment_id": f"new{at}", "posted_at": when, "text": event["text"]})
        shares = dict.fromkeys(("top_region_share", "top_age_share", "active_fan_share"), 1.0)
        snapshot = {"creator_id": creator, "as_of": when.date() + timedelta(days=at % 3)}
        if snapshot["as_of"] <= TODAY:
            new["followers"].append({**snapshot, "followers": event["views"]})
            new["audience"].append({**snapshot, **shares})
        order = {"order_id": f"new{at}", "creator_id": creator, "ordered_at": when, "channel": "live"}
        new["orders"].append({**order, "amount": event["amount"], "currency": "CNY", "refunded_at": when})
    taken = {name: tables[name].select("creator_id", "as_of") for name in ("followers", "audience")}
    for name, known in taken.items():
        fresh = pl.DataFrame(new[name], schema=tables[name].schema).unique(["creator_id", "as_of"], maintain_order=True)
        new[name] = fresh.join(known, on=["creator_id", "as_of"], how="anti").to_dicts()
    spoilt = more(tables, **new)
    # Orders from before the day that are refunded on it or later.
    late = pl.col("creator_id").replace_strict({name: moment(day, refund) for name, day in days.items()})
    open_before = pl.col("refunded_at").is_null() & (pl.col("ordered_at") < late)
    spoilt["orders"] = spoilt["orders"].with_columns(
        pl.when(open_before).then(late.cast(pl.Datetime("us", "UTC"))).otherwise("refunded_at").alias("refunded_at")
    )
    before, after = (features("short-video", found, sentiment) for found in (tables, spoilt))
    assert_frame_equal(after, before, rel_tol=1e-9)


def test_the_same_events_a_day_earlier_do_move_features(drawn: dict[str, Tables], sentiment: Sentiment):
    """The test above can fail: it would see such an event."""
    tables = drawn["short-video"]
    creator, day = tables["consents"].select("creator_id", "given_at").row(0)
    when = datetime.combine(day - timedelta(days=1), time(23, 59), tzinfo=UTC)
    video = {"video_id": "new", "creator_id": creator, "published_at": when, "views": 10**6, "likes": 1, "comments": 1}
    order = {"order_id": "new", "creator_id": creator, "ordered_at": when, "channel": "live", "amount": 9e5}
    spoilt = more(
        tables,
        videos=[video | {"shares": 1, "duration_s": 1.0, "completion_rate": 0.01}],
        comments=[{"comment_id": "new", "video_id": "new", "creator_id": creator, "posted_at": when, "text": "假货"}],
        followers=[{"creator_id": creator, "as_of": when.date(), "followers": 10**8}],
        orders=[order | {"currency": "CNY", "refunded_at": when}],
    )
    before, after = (features("short-video", found, sentiment) for found in (tables, spoilt))
    moved = {
        name
        for name in before.columns
        if before.filter(pl.col("creator_id") == creator)[name].item()
        != after.filter(pl.col("creator_id") == creator)[name].item()
    }
    names = {
        "posts_30d",
        "views_30d",
        "followers",
        "comments_90d",
        "turnover_30d",
        "refund_share_90d",
        "live_share_180d",
    }
    assert moved >= {*names, "traffic_anomaly_180d", "top_video_share_180d", "follower_jump_180d"}
    others = pl.col("creator_id") != creator
    assert_frame_equal(after.filter(others), before.filter(others), rel_tol=1e-9)


@settings(max_examples=12, deadline=None)
@given(
    events=st.lists(st.tuples(st.integers(0, 39), AFTER, st.sampled_from([0.0, 1e7])), min_size=1, max_size=20),
    paid=AFTER,
)
def test_wallet(drawn: dict[str, Tables], events: list[tuple], paid: tuple[int, time]):
    tables = drawn["wallet"]
    days = dict(tables["consents"].select("creator_id", "given_at").rows())
    flows, bills = {}, []
    for who, after, amount in events:
        when = moment(days[f"C{who:05d}"], after).date()
        month = when.replace(day=1)  # the month in which the day lies has not ended
        money = dict.fromkeys(("inflow", "outflow", "refunds", "balance_mean"), amount)
        flows[who, month] = {"account_id": f"W{who:05d}", "month": month, "payers": 99, "currency": "CNY", **money}
        bills.append({"account_id": f"W{who:05d}", "due_at": when, "paid_at": None, "amount": 1.0})
    replaced = pl.DataFrame(list(flows.values()), schema=tables["flows"].schema)
    known = tables["flows"].join(replaced, on=["account_id", "month"], how="anti")
    spoilt = more(tables | {"flows": pl.concat([known, replaced])}, bills=bills)
    # Bills that were open on the day and are paid on it or later.
    owner = tables["accounts"].select("account_id", "creator_id")
    late = (
        spoilt["bills"]
        .join(owner, on="account_id", maintain_order="left")
        .select(day=pl.col("creator_id").replace_strict(days))["day"]
    )
    open_then = pl.col("paid_at").is_null() | (pl.col("paid_at") >= late)
    then = (late + timedelta(days=paid[0])).cast(pl.Date)
    spoilt["bills"] = spoilt["bills"].with_columns(
        pl.when(open_then).then(pl.lit(then)).otherwise("paid_at").alias("paid_at")
    )
    assert_frame_equal(features("wallet", spoilt), features("wallet", tables), rel_tol=1e-9)


@settings(max_examples=12, deadline=None)
@given(
    events=st.lists(st.tuples(st.integers(0, 59), st.integers(0, 90), st.integers(300, 900)), min_size=1, max_size=20),
    paid=st.integers(0, 90),
)
def test_lender(drawn: dict[str, Tables], events: list[tuple], paid: int):
    """Reports, instalments and others who use the same papers, from the day of the last application on."""
    tables = drawn["lender"]
    applications = tables["applications"]
    last = applications.group_by("creator_id").agg(pl.col("applied_at").max())
    days = dict(last.rows())
    reports, repayments, filed, papers, decisions = {}, [], [], [], []
    for at, (row, after, score) in enumerate(events):
        application, creator = applications.row(row, named=True)["application_id"], f"C{row % 40:05d}"
        when = days[creator] + timedelta(days=after)
        counts = {"months_on_file": 1, "open_accounts": 99, "utilisation": 2.0, "late_24m": 99, "inquiries_6m": 99}
        reports[creator, when] = {"creator_id": creator, "as_of": when, "score": score, **counts}
        due = {"application_id": application, "due_at": when + timedelta(days=200 + at), "due_amount": 1.0}
        repayments.append({**due, "paid_at": None, "paid_amount": 0.0})
        # Somebody else comes with the same papers, on the very day or later.
        own = {**applications.row(row, named=True), "application_id": f"N{at}", "creator_id": f"N{at}"}
        filed.append(own | {"applied_at": when})
        papers.append({**tables["identity"].row(row, named=True), "application_id": f"N{at}"})
        decisions.append({"application_id": f"N{at}", "decision": "declined", "decided_at": when})
    reports = {key: value for key, value in reports.items() if key[1] <= TODAY}
    known = tables["bureau"].join(
        pl.DataFrame(list(reports.values()), schema=tables["bureau"].schema), on=["creator_id", "as_of"], how="anti"
    )
    spoilt = more(
        tables | {"bureau": known},
        bureau=list(reports.values()),
        repayments=repayments,
        applications=filed,
        identity=papers,
        decisions=decisions,
    )
    # Instalments that were open on the day of the last application and are paid on it or later.
    owner = applications.select("application_id", "creator_id")
    late = (
        spoilt["repayments"]
        .join(owner, on="application_id", how="left", maintain_order="left")
        .select(day=pl.col("creator_id").replace_strict(days))["day"]
    )
    open_then = pl.col("paid_at").is_null() | (pl.col("paid_at") >= late)
    then = pl.lit((late + timedelta(days=paid)).cast(pl.Date))
    spoilt["repayments"] = spoilt["repayments"].with_columns(
        pl.when(open_then).then(then).otherwise("paid_at").alias("paid_at")
    )
    before, after = (features("lender", found) for found in (tables, spoilt))
    assert_frame_equal(after, before, rel_tol=1e-9)
