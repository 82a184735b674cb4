"""No event of the as-of day or later moves a feature: such events are thrown in at random, and nothing moves."""

from __future__ import annotations

import tempfile
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from sealscore.clients.features import Sentiment, build, build_table

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
    assert_frame_equal(after, before, check_exact=True)


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
    assert_frame_equal(after.filter(others), before.filter(others))


def posted(tables: Tables, creator: str, day: date, many: int) -> Tables:
    """The tables with that many more videos of a creator on that day."""
    when = datetime.combine(day, time(), tzinfo=UTC)
    counts = {"views": 10**6, "likes": 1, "comments": 1, "shares": 1, "duration_s": 1.0, "completion_rate": 0.01}
    own = {"creator_id": creator, "published_at": when} | counts
    return more(tables, videos=[own | {"video_id": f"new{at}"} for at in range(many)])


def most_seen(tables: Tables) -> int:
    """The most videos that a creator had posted by the as-of day."""
    days = tables["consents"].select("creator_id", "given_at")
    known = tables["videos"].join(days, on="creator_id").filter(pl.col("published_at").dt.date() < pl.col("given_at"))
    return known["creator_id"].value_counts()["count"].max()


def test_videos_from_the_day_on_do_not_crowd_a_creator_out(
    drawn: dict[str, Tables], sentiment: Sentiment, monkeypatch: pytest.MonkeyPatch
):
    tables = drawn["short-video"]
    most = most_seen(tables)
    monkeypatch.setattr(build, "MOST_VIDEOS", most)
    creator, day = tables["consents"].select("creator_id", "given_at").row(0)
    before = features("short-video", tables, sentiment)
    after = features("short-video", posted(tables, creator, day, most + 1), sentiment)
    assert_frame_equal(after, before, check_exact=True)
    crowded = features("short-video", posted(tables, creator, day - timedelta(days=1), most + 1), sentiment)
    assert creator in set(before["creator_id"])
    assert creator not in set(crowded["creator_id"])


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
    assert_frame_equal(features("wallet", spoilt), features("wallet", tables))


def paid_into(tables: Tables, shift: int | None) -> Tables:
    """A wallet with a bill of everybody that is due the day before the as-of day and open.

    With `shift`, that many days from the as-of day the bill is paid and another falls due, and flows are those of as
    many months from its month.
    """
    days = tables["accounts"].join(tables["consents"], on="creator_id").select("account_id", day="given_at")
    bill = days.select("account_id", due_at=pl.col("day") - timedelta(days=1), paid_at=None, amount=100.0)
    flows = tables["flows"]
    if shift is not None:
        then = pl.col("day") + timedelta(days=shift)
        bill = pl.concat(
            [
                bill.with_columns(paid_at=days.select(then).to_series()),
                days.select("account_id", due_at=then, paid_at=None, amount=100.0),
            ],
            how="vertical_relaxed",
        )
        month = pl.col("day").dt.month_start().dt.offset_by(f"{shift}mo")
        money = {name: pl.lit(7e5) for name in ("inflow", "outflow", "refunds", "balance_mean")}
        new = days.select("account_id", month=month, payers=999, currency=pl.lit("CNY"), **money)
        known = flows.join(new, on=["account_id", "month"], how="anti")
        flows = pl.concat([known, new.select(flows.columns)], how="vertical_relaxed")
    bills = pl.concat([tables["bills"], bill.select(tables["bills"].columns)], how="vertical_relaxed")
    return tables | {"flows": flows, "bills": bills}


def test_what_a_wallet_sees_ends_with_the_day_before(drawn: dict[str, Tables]):
    """Of everybody: a bill paid and one due on the very day, and flows of the month that has not ended."""
    before = features("wallet", paid_into(drawn["wallet"], None))
    assert_frame_equal(features("wallet", paid_into(drawn["wallet"], 0)), before)


def test_the_same_bills_a_day_earlier_and_flows_a_month_earlier_do_move_a_wallet(drawn: dict[str, Tables]):
    before, after = (features("wallet", paid_into(drawn["wallet"], shift)) for shift in (None, -1))
    for name in ("inflow_3m", "inflow_growth", "payers_3m", "net_flow_share_6m", "balance_cover_3m", "refund_share_6m"):
        assert (after[name] != before[name]).all(), name
    assert (after["late_bill_share_180d"] < before["late_bill_share_180d"]).all()


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
    assert_frame_equal(after, before, check_exact=True)


def come_back(tables: Tables, shift: int | None) -> Tables:
    """A lender where everybody filed two more applications two months before the last one, one with an instalment that
    is due the day before the last one and open.

    With `shift`, that many days from the last application the first of the two is approved, the instalment is paid and
    one of the other falls due, the bureau reports, and somebody else comes with the same papers.
    """
    last = tables["applications"].sort("applied_at", "application_id").group_by("creator_id").last()
    last = last.select(tables["applications"].columns).sort("creator_id")
    day, creator = pl.col("applied_at"), pl.col("creator_id")
    then = day + timedelta(days=shift or 0)
    filed = [last.with_columns(application_id=which + creator, applied_at=day - timedelta(days=60)) for which in "EF"]
    due = last.select(
        application_id="E" + creator,
        due_at=day - timedelta(days=1),
        paid_at=pl.lit(None, pl.Date) if shift is None else then,
        due_amount=1.0,
        paid_amount=1.0,
    )
    if shift is None:
        new = {"applications": filed, "repayments": [due]}
    else:
        stranger = last.with_columns(application_id="N" + creator, creator_id="A" + creator, applied_at=then)
        papers = tables["identity"].join(last.select("application_id", "creator_id"), on="application_id")
        counts = dict.fromkeys(("months_on_file", "open_accounts", "late_24m", "inquiries_6m"), pl.lit(999))
        new = {
            "applications": [*filed, stranger],
            "repayments": [
                due,
                due.with_columns(
                    application_id="F" + last["creator_id"], due_at=last.select(then).to_series(), paid_at=None
                ),
            ],
            "decisions": [last.select(application_id="E" + creator, decision=pl.lit("approved"), decided_at=then)],
            "bureau": [last.select("creator_id", as_of=then, score=301, utilisation=4.0, **counts)],
            "identity": [papers.with_columns(application_id="N" + creator)],
        }
    known = tables["bureau"]
    if "bureau" in new:
        known = known.join(new["bureau"][0], on=["creator_id", "as_of"], how="anti")
    tables = tables | {"bureau": known}
    return tables | {
        name: pl.concat(
            [tables[name], *(frame.select(tables[name].columns).cast(dict(tables[name].schema)) for frame in frames)]
        )
        for name, frames in new.items()
    }


def test_what_a_lender_sees_ends_with_the_day_before(drawn: dict[str, Tables]):
    """Of everybody: an earlier loan approved, an instalment paid and one due, and a report, on the very day."""
    before = features("lender", come_back(drawn["lender"], None))
    assert_frame_equal(features("lender", come_back(drawn["lender"], 0)), before)


def test_the_same_events_a_day_earlier_do_move_the_last_application_alone(drawn: dict[str, Tables]):
    before, after = (features("lender", come_back(drawn["lender"], shift)) for shift in (None, -1))
    last = before["as_of"] == before.select(pl.col("as_of").max().over("creator_id")).to_series()
    assert 0 < last.sum() < before.height
    for name in ("earlier_loans", "late_instalment_share", "bureau_score", "months_on_file"):
        assert after[name].ne_missing(before[name]).to_list() == last.to_list(), name
    assert_frame_equal(after.filter(~last), before.filter(~last))
