"""What holds in every table, whatever the draw."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from sealscore.simulations.world.config import WorldConfig
from sealscore.simulations.world.parties.papers import id_numbers, licence_numbers

Read = Callable[[str, str], pl.DataFrame]
VIDEO = ("video-1", "video-2")
CALENDAR = WorldConfig().calendar


@pytest.mark.parametrize("party", VIDEO)
def test_videos_are_possible(read: Read, party: str):
    videos = read(party, "videos")
    assert videos["video_id"].is_unique().all()
    for name in ("likes", "comments", "shares"):
        assert (videos[name] <= videos["views"]).all()
        assert videos[name].min() >= 0
    assert videos["completion_rate"].is_between(0, 1).all()
    assert videos["duration_s"].min() > 0
    creators = read(party, "creators")
    joined = videos.join(creators, on="creator_id")
    assert len(joined) == len(videos)
    assert (joined["published_at"].dt.date() >= joined["registered_at"]).all()


@pytest.mark.parametrize("party", VIDEO)
def test_comments_are_a_sample_of_what_their_videos_count(read: Read, party: str):
    comments, videos = read(party, "comments"), read(party, "videos")
    assert comments["comment_id"].is_unique().all()
    joined = comments.join(videos, on=["video_id", "creator_id"], suffix="_counted")
    assert len(joined) == len(comments)
    assert (joined["posted_at"] > joined["published_at"]).all()
    kept = comments.group_by("video_id").len().join(videos, on="video_id")
    assert (kept["len"] <= kept["comments"]).all()
    assert comments["text"].str.len_chars().min() > 0


@pytest.mark.parametrize("party", VIDEO)
def test_snapshots_are_weekly_and_monthly_and_follow_registration(read: Read, party: str):
    followers, audience = read(party, "followers"), read(party, "audience")
    assert set(followers["as_of"].dt.weekday()) == {1}
    assert set(audience["as_of"].dt.day()) == {1}
    registered = read(party, "creators").select("creator_id", "registered_at")
    for frame in (followers, audience):
        joined = frame.join(registered, on="creator_id")
        assert (joined["as_of"] >= joined["registered_at"]).all()
        assert not frame.select("creator_id", "as_of").is_duplicated().any()
    shares = audience.select("top_region_share", "top_age_share", "active_fan_share")
    assert shares.min().row(0) > (0, 0, 0)
    assert max(shares.max().row(0)) < 1


@pytest.mark.parametrize("party", VIDEO)
def test_orders_are_possible(read: Read, party: str):
    orders = read(party, "orders")
    assert orders["amount"].min() > 0
    assert set(orders["channel"]) == {"shop", "live"}
    assert set(orders["currency"]) == {"CNY"}
    assert (orders["refunded_at"] > orders["ordered_at"]).all()
    assert 0.03 < orders["refunded_at"].is_not_null().mean() < 0.12


def test_wallet_tables_belong_to_accounts(read: Read):
    accounts, flows, bills = (read("wallet", name) for name in ("accounts", "flows", "bills"))
    assert accounts["account_id"].is_unique().all()
    assert set(flows["account_id"]) <= set(accounts["account_id"])
    assert set(bills["account_id"]) <= set(accounts["account_id"])
    assert set(flows["month"].dt.day()) == {1}
    assert flows.select("inflow", "outflow", "payers", "refunds", "balance_mean").min().min_horizontal()[0] >= 0
    assert (flows["refunds"] <= flows["inflow"]).all()


def test_applications_fill_all_vintages_and_have_features_behind_them(
    read: Read, all_lenders: Callable[[str], pl.DataFrame]
):
    applications = all_lenders("applications")
    assert applications["application_id"].is_unique().all()
    assert set(applications["application_id"]) == set(read("truth", "applications")["application_id"])
    months = applications["applied_at"].dt.truncate("1mo").unique()
    assert len(months) == CALENDAR.vintages >= 18
    first = pl.Series([CALENDAR.start]).dt.offset_by(f"{CALENDAR.history_months}mo")[0]
    assert (applications["applied_at"] >= first).all()
    assert applications["amount"].min() >= 500
    assert applications["age"].is_between(18, 78).all()
    videos = read("video-1", "videos")
    assert videos["published_at"].min().date() >= CALENDAR.start


def test_a_person_comes_back_to_a_lender_that_granted_the_loan_before_and_to_no_other(read: Read):
    loans = read("truth", "applications").sort("creator_id", "applied_at")
    assert loans.group_by("creator_id").len()["len"].max() == 3
    before = loans.select(pl.col("creator_id", "lender", "approved").shift()).rename(lambda name: f"{name}_before")
    both = pl.concat([loans, before], how="horizontal").filter(pl.col("creator_id") == pl.col("creator_id_before"))
    back = both.filter(pl.col("lender") == pl.col("lender_before"))
    assert back["approved_before"].all()
    assert 0.35 < len(back) / both["approved_before"].sum() < 0.65
    assert (back["applied_at"] > loans["applied_at"].min()).all()


def test_outcomes_follow_from_repayments(all_lenders: Callable[[str], pl.DataFrame]):
    """Bad is what the schedule says: an instalment open for 90 days, at most 360 days after the application."""
    repayments, outcomes = all_lenders("repayments"), all_lenders("outcomes")
    applications = all_lenders("applications").select("application_id", "applied_at")
    open_long = repayments.join(applications, on="application_id").with_columns(
        past=pl.col("due_at").dt.offset_by("90d")
    )
    late = open_long.filter(
        (pl.col("paid_at").is_null() | (pl.col("paid_at") >= pl.col("past")))
        & (pl.col("past") <= pl.col("applied_at").dt.offset_by("360d"))
    )
    bad = outcomes.filter(pl.col("bad") == 1)
    assert set(late["application_id"]) == set(bad["application_id"])
    assert 0.08 < len(bad) / len(outcomes) < 0.3
    first = late.group_by("application_id").agg(pl.col("past").min())
    assert (bad.join(first, on="application_id").select(pl.col("closed_at") == pl.col("past")).to_series()).all()
    paid = repayments.filter(pl.col("paid_at").is_not_null())
    assert (paid["paid_at"] >= paid["due_at"]).all()
    assert (paid["paid_amount"] == paid["due_amount"]).all()


def test_only_the_approved_have_repayments_and_outcomes(read: Read):
    truth = read("truth", "applications")
    for number in (1, 2, 3):
        party = f"lender-{number}"
        decisions = read(party, "decisions")
        approved = set(decisions.filter(pl.col("decision") == "approved")["application_id"])
        assert set(read(party, "outcomes")["application_id"]) == approved
        assert set(read(party, "repayments")["application_id"]) == approved
        assert approved == set(truth.filter(pl.col("approved") & (pl.col("lender") == party))["application_id"])
        joined = read(party, "outcomes").join(truth, on="application_id")
        assert (joined["bad"] == joined["bad_if_granted"]).all()


def test_a_consent_starts_with_the_application_at_both_sides(read: Read):
    given = ["creator_id", "given_at", "expires", "withdrawn_at"]
    for lender in ("lender-1", "lender-2", "lender-3"):
        held, asked = read(lender, "consents"), read(lender, "applications")
        assert set(held["purpose"]) == {"credit-scoring"}
        joined = held.join(asked, left_on=["creator_id", "given_at"], right_on=["creator_id", "applied_at"])
        assert len(joined) == len(held)
        assert 0.95 < (held["recipient"] == "federation").sum() / len(asked) < 1
        for platform in (*VIDEO, "wallet"):
            there = read(platform, "consents").filter(
                (pl.col("recipient") == lender) & (pl.col("purpose") == "credit-scoring")
            )
            mine = held.filter(pl.col("recipient") == platform)
            assert there.select(given).sort(given).equals(mine.select(given).sort(given))
    others = read("wallet", "consents").filter(pl.col("purpose") != "credit-scoring")
    assert 0 < len(others) < 0.3 * len(read("wallet", "consents"))


def test_papers_of_the_honest_are_in_order(read: Read, all_lenders: Callable[[str], pl.DataFrame]):
    truth = read("truth", "creators")
    papers = all_lenders("identity").join(all_lenders("applications"), on="application_id").join(truth, on="creator_id")
    honest = papers.filter(~pl.col("false_identity") & ~pl.col("false_licence"))
    assert (honest["name_on_id"] != honest["name_on_account"]).mean() < 0.03
    assert (honest["id_expires"] < honest["applied_at"]).mean() < 0.03
    born = honest["id_number"].str.slice(6, 8).str.to_date("%Y%m%d")
    years = (honest["applied_at"] - born).dt.total_days() / 365.25
    assert (years.floor() == honest["age"]).all()
    assert set(honest["licence_status"]) == {"active", "none"}
    assert (papers["licence_number"].is_null() == ~papers["is_business"]).all()


def test_half_of_thin_files_have_no_row_and_the_others_no_score(read: Read, all_lenders: Callable[[str], pl.DataFrame]):
    loans = all_lenders("applications").join(
        read("truth", "creators").select("creator_id", "thin_file"), on="creator_id"
    )
    bureau = all_lenders("bureau")
    loans = loans.with_columns(as_of=pl.col("applied_at").dt.offset_by("-1d"))
    known = loans.join(bureau, on=["creator_id", "as_of"], how="left")
    thin, full = known.filter("thin_file"), known.filter(~pl.col("thin_file"))
    assert thin["score"].null_count() == len(thin)
    assert full["score"].null_count() == 0
    assert full["score"].is_between(300, 850).all()
    assert abs(thin["months_on_file"].is_null().mean() - 0.5) < 0.06


def test_check_characters_are_those_of_the_standards():
    """A number of ISO 7064 MOD 11-2 has weighted sum 1 modulo 11; one of GB 32100 has 0 modulo 31."""
    random = np.random.default_rng(0)
    born = np.datetime64("1990-05-17") + random.integers(0, 3000, 500)
    numbers = id_numbers(born, random.integers(0, 7, 500), random.integers(0, 1000, 500), np.zeros(500, dtype=bool))
    for number in numbers:
        values = [10 if letter == "X" else int(letter) for letter in number]
        assert sum(value * 2 ** (17 - place) for place, value in enumerate(values)) % 11 == 1
    letters = "0123456789ABCDEFGHJKLMNPQRTUWXY"
    wrong = np.arange(500) % 2 == 1
    for code, spoilt in zip(licence_numbers(random.integers(0, 31**9, 500), wrong), wrong, strict=True):
        total = sum(letters.index(letter) * pow(3, place, 31) for place, letter in enumerate(code[:17]))
        assert len(code) == 18
        assert ((total + letters.index(code[17])) % 31 == 0) == (not spoilt)
