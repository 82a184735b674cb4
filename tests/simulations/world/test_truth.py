"""What was planted is there: signs of effects, shares near their knobs, and what knobs do when they are turned."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from sealscore.simulations.world import describe
from sealscore.simulations.world.config import WorldConfig
from sealscore.simulations.world.parties.bureau import bureau_rows
from sealscore.simulations.world.parties.channel import creator_ids, draw_channels, draw_videos
from sealscore.simulations.world.parties.followers import audience_rows
from sealscore.simulations.world.people.agents import Agents, draw_agents
from sealscore.simulations.world.people.business import seasons
from sealscore.simulations.world.people.lending import Loans, draw_loans
from sealscore.simulations.world.people.repayment import NEVER, borrowers, lived

Read = Callable[[str, str], pl.DataFrame]
MANY = {"creators": 12_000, "lending": {"pd_rollouts": 0}}


def drawn(**changed: object) -> tuple[Agents, Loans]:
    merged = dict(MANY)
    for key, value in changed.items():
        merged[key] = {**merged.get(key, {}), **value} if isinstance(value, dict) else value  # type: ignore[dict-item]
    agents = draw_agents(WorldConfig.model_validate(merged))
    return agents, draw_loans(agents)


@pytest.fixture(scope="module")
def plain() -> tuple[Agents, Loans]:
    return drawn()


def correlation(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.corrcoef(first, second)[0, 1])


def test_latents_are_standard_and_correlated_as_the_knobs_say(plain: tuple[Agents, Loans]):
    creators, knobs = plain[0].creators, plain[0].config.latents
    for name in ("quality", "stability", "leverage", "honesty", "size", "service"):
        values = getattr(creators, name)
        assert abs(values.mean()) < 0.05
        assert abs(values.std() - 1) < 0.05
    found = np.corrcoef([creators.quality, creators.stability, creators.leverage, creators.honesty])
    assert np.abs(found - knobs.matrix()).max() < 0.04
    assert abs(correlation(creators.size, creators.quality) - knobs.size_quality) < 0.04


@pytest.mark.parametrize(
    ("latent", "sign"), [("quality", -1), ("stability", -1), ("leverage", 1), ("honesty", -1), ("service", -1)]
)
def test_bad_loans_follow_the_latents(plain: tuple[Agents, Loans], latent: str, sign: int):
    agents, loans = plain
    assert sign * correlation(getattr(agents.creators, latent)[loans.who], loans.bad) > 0.08


def test_shares_are_near_their_knobs(plain: tuple[Agents, Loans]):
    agents, loans = plain
    config, creators, frauds = agents.config, agents.creators, agents.frauds
    assert creators.thin_file.mean() == pytest.approx(config.bureau.thin_share, abs=1e-3)
    assert abs(creators.thin_file[loans.who].mean() - config.bureau.thin_share) < 0.02
    assert creators.is_business.mean() == pytest.approx(config.latents.business_share, abs=1e-3)
    on_video = creators.member[:, :2].any(axis=1)
    assert not frauds.buys_traffic[~on_video].any()
    assert frauds.buys_traffic[on_video].mean() == pytest.approx(config.fraud.traffic_share, abs=1e-3)
    assert frauds.false_identity.mean() == pytest.approx(config.fraud.identity_share, abs=1e-3)
    assert frauds.false_licence[creators.is_business].mean() == pytest.approx(config.fraud.licence_share, abs=1e-3)
    assert not frauds.false_licence[~creators.is_business].any()
    assert correlation(creators.honesty, frauds.buys_traffic) < -0.1
    assert len(np.unique(loans.who)) / len(creators) == pytest.approx(config.lending.applicants, abs=0.02)
    for place, lender in enumerate(config.lending.lenders):
        assert loans.approved[loans.lender == place].mean() == pytest.approx(lender.approval_rate, abs=0.05)


def test_platforms_overlap_in_part_and_nobody_is_nowhere(plain: tuple[Agents, Loans]):
    member, knobs = plain[0].creators.member, plain[0].config.platforms
    assert member.any(axis=1).all()
    nowhere = (1 - knobs.video_1) * (1 - knobs.video_2) * (1 - knobs.wallet)
    total = knobs.video_1 + knobs.video_2 + knobs.wallet
    for place, share in enumerate((knobs.video_1, knobs.video_2, knobs.wallet)):
        assert abs(member[:, place].mean() - (share + nowhere * share / total)) < 0.02
    both = (member[:, 0] & member[:, 1]).mean()
    assert abs(both - knobs.video_1 * knobs.video_2) < 0.02


def test_lenders_take_the_better_part(plain: tuple[Agents, Loans]):
    """Reject bias: the declined would have done worse, and the bureau likes them less."""
    agents, loans = plain
    assert loans.bad[~loans.approved].mean() > 1.3 * loans.bad[loans.approved].mean()
    credit = agents.credit[loans.who]
    assert credit[loans.approved].mean() > credit[~loans.approved].mean() + 0.3


def test_a_shock_turns_loans_bad_that_are_running_then(plain: tuple[Agents, Loans]):
    _, before = plain
    agents, after = drawn(economy={"shock_month": 20, "shock_size": 0.6})
    month = agents.timeline.month_of(after.applied)
    running = (month >= 14) & (month < 20)
    later = month > 24
    assert after.bad[running].mean() > before.bad[running].mean() + 0.1
    assert abs(after.bad[later].mean() - before.bad[later].mean()) < 0.08


def test_the_correlation_of_channel_and_bureau_is_a_knob():
    for knob in (0.0, 0.4):
        agents, _ = drawn(latents={"channel_bureau": knob})
        assert abs(correlation(agents.creators.quality, -agents.creators.leverage) - knob) < 0.04
        assert abs(correlation(agents.creators.stability, agents.creators.honesty) - knob) < 0.04


def test_older_debts_drift(plain: tuple[Agents, Loans]):
    _, still = drawn(economy={"drift_debt": 0.0, "drift_turnover": 0.0})
    agents, moving = drawn(economy={"drift_debt": 0.3, "drift_turnover": 0.0})
    late = agents.timeline.month_of(moving.applied) > 20
    assert moving.bad[late].mean() > still.bad[late].mean() + 0.02


def test_loans_granted_before_weigh_on_later_ones(plain: tuple[Agents, Loans]):
    """The same loans of the same people, with and without instalments owed elsewhere."""
    agents, loans = plain
    free = np.zeros((len(agents.creators), agents.config.calendar.months))
    owing = free + 0.05 * agents.business.typical[:, None]
    bad = []
    for service in (free, owing):
        run = borrowers(agents, loans.who, loans.applied, loans.instalment, loans.term, service)
        bad.append(lived(agents, run, np.random.default_rng(0))[1])
    assert bad[1].mean() > bad[0].mean() + 0.05
    assert (bad[1] >= bad[0]).mean() > 0.99


def test_a_borrower_with_cash_pays_in_time_and_one_without_never(plain: tuple[Agents, Loans]):
    agents, loans = plain
    service = np.zeros((len(agents.creators), agents.config.calendar.months))
    for cash, instalment, paid in ((10.0, 1e-6, True), (0.0, 1e12, False)):
        asked = np.full(len(loans), instalment)
        run = borrowers(agents, loans.who, loans.applied, asked, loans.term, service)
        run.cash[:], run.stop[:] = cash, 0.0
        paid_in, bad = lived(agents, run, np.random.default_rng(0))
        assert (paid_in[:, 0] == (1 if paid else NEVER)).all()
        assert paid or bad.all()


def views_by_season(knob: float) -> float:
    """The slope of the log of views by the season of turnover, creators held fixed by the world's own draws."""
    steep = tuple(0.8 if month % 2 else -0.8 for month in range(12))
    agents, _ = drawn(creators=3000, channel={"views_season": knob}, economy={"season": steep})
    videos = draw_videos(agents, draw_channels(agents, "video-1"), 60_000)
    logs, season = np.log(np.maximum(videos.views - videos.bought, 1)), seasons(agents.config)[videos.month]
    return float(np.polyfit(season, logs, 1)[0])


def test_views_follow_the_season_by_their_knob():
    assert WorldConfig().channel.views_season == 0.5
    still, half = views_by_season(0.0), views_by_season(0.5)
    assert abs(still) < 0.1
    assert half - still == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize(
    ("column", "latent", "knob", "sign"),
    [
        ("utilisation", "leverage", "utilisation_leverage", 1),
        ("late_24m", "honesty", "late_honesty", -1),
        ("late_24m", "leverage", "late_leverage", 1),
        ("inquiries_6m", "leverage", "inquiries_leverage", 1),
        ("inquiries_6m", "honesty", "inquiries_honesty", -1),
    ],
)
def test_the_bureau_shows_each_latent_by_its_knob(column: str, latent: str, knob: str, sign: int):
    found = []
    for value in (0.0, 0.8):
        agents, _ = drawn(bureau={"thin_share": 0.0, knob: value}, latents={"leverage_honesty": 0.0})
        who = np.arange(len(agents.creators))
        rows, _ = bureau_rows(agents, who, agents.timeline.first_day, creator_ids(agents))
        found.append(correlation(rows[column].to_numpy(), getattr(agents.creators, latent)))
    assert abs(found[0]) < 0.04
    assert sign * found[1] > 0.2


@pytest.mark.parametrize(
    ("column", "knob", "sign"),
    [
        ("top_region_share", "top_region_quality", -1),
        ("top_age_share", "top_age_quality", -1),
        ("active_fan_share", "active_fans_quality", 1),
    ],
)
def test_the_audience_shows_quality_by_its_knob(column: str, knob: str, sign: int):
    found = []
    for value in (0.0, 0.5):
        agents, _ = drawn(creators=4000, channel={knob: value, "active_fans_state": 0.0})
        channels = draw_channels(agents, "video-1")
        rows = audience_rows(agents, channels).group_by("creator_id").agg(pl.col(column).mean())
        ids = pl.DataFrame({"creator_id": creator_ids(agents), "quality": agents.creators.quality})
        joined = rows.join(ids, on="creator_id")
        found.append(correlation(joined[column].to_numpy(), joined["quality"].to_numpy()))
    assert abs(found[0]) < 0.06
    assert sign * found[1] > 0.4


@pytest.fixture(scope="module")
def channel(read: Read) -> pl.DataFrame:
    """Of each channel what its tables come to, with the truth."""
    videos = read("video-1", "videos").filter(pl.col("views") > 100)
    comments = read("video-1", "comments")
    orders = read("video-1", "orders")
    return (
        read("truth", "creators")
        .join(
            videos.group_by("creator_id").agg(
                likes=(pl.col("likes") / pl.col("views")).median(),
                least=(pl.col("likes") / pl.col("views")).min(),
                completion=pl.col("completion_rate").mean(),
                views=pl.col("views").log().median(),
                posts=pl.len(),
            ),
            on="creator_id",
        )
        .join(
            comments.group_by("creator_id").agg(
                complaints=pl.col("text").str.contains("退款|售后|客服一直|发错货|漏发|refund|rude|shipped").mean()
            ),
            on="creator_id",
        )
        .join(
            orders.group_by("creator_id").agg(
                refunds=pl.col("refunded_at").is_not_null().mean(), sold=pl.col("amount").sum().log()
            ),
            on="creator_id",
        )
    )


class TestTables:
    """The parties' own tables show the truth."""

    @pytest.mark.parametrize(
        ("column", "latent", "sign"),
        [
            ("likes", "quality", 1),
            ("completion", "quality", 1),
            ("views", "quality", 1),
            ("views", "size", 1),
            ("posts", "quality", 1),
            ("complaints", "service", -1),
            ("refunds", "service", -1),
            ("sold", "size", 1),
        ],
    )
    def test_channels_show_the_latents(self, channel: pl.DataFrame, column: str, latent: str, sign: int):
        assert sign * correlation(channel[column].to_numpy(), channel[latent].to_numpy()) > 0.1

    def test_ratios_are_near_the_published_ones(self, read: Read):
        videos = pl.concat([read("video-1", "videos"), read("video-2", "videos")])
        medians = videos.select("views", "likes", "comments").median().row(0, named=True)
        assert medians["likes"] / medians["views"] == pytest.approx(8652 / 308611, rel=0.15)
        assert medians["comments"] / medians["views"] == pytest.approx(1086 / 308611, rel=0.2)

    def test_views_have_a_heavy_tail(self, read: Read):
        views = read("video-1", "videos")["views"]
        assert views.mean() > 3 * views.median()
        assert views.max() > 200 * views.median()

    def test_counts_are_near_what_was_asked_for(self, read: Read):
        truth = read("truth", "creators")
        for table in ("videos", "comments", "orders"):
            rows = sum(len(read(party, table)) for party in ("video-1", "video-2"))
            assert rows == pytest.approx(60 * len(truth), rel=0.05), table

    def test_buyers_have_videos_that_nobody_liked(self, channel: pl.DataFrame):
        drop = (channel["likes"].log() - (channel["least"] + 1e-4).log()).to_numpy()
        buys = channel["buys_traffic"].to_numpy()
        assert drop[buys].mean() > drop[~buys].mean() + 0.4

    def test_the_stable_post_more_evenly(self, read: Read):
        times = read("video-1", "videos").sort("creator_id", "published_at")
        gaps = times.with_columns(gap=pl.col("published_at").diff().over("creator_id").dt.total_hours())
        rhythm = gaps.group_by("creator_id").agg(n=pl.len(), uneven=pl.col("gap").std() / pl.col("gap").mean())
        joined = rhythm.filter(pl.col("n") >= 20).join(read("truth", "creators"), on="creator_id")
        assert correlation(joined["uneven"].to_numpy(), joined["stability"].to_numpy()) < -0.2

    def test_balances_follow_cash_and_late_bills_honesty(self, read: Read):
        accounts, flows, bills = (read("wallet", name) for name in ("accounts", "flows", "bills"))
        relative = flows.group_by("account_id").agg(pl.col("balance_mean").sum() / pl.col("inflow").sum())
        late = bills.group_by("account_id").agg(
            late=(pl.col("paid_at").is_null() | (pl.col("paid_at") > pl.col("due_at"))).mean()
        )
        cash = read("truth", "months").group_by("creator_id").agg(pl.col("cash").mean())
        joined = (
            accounts.join(relative, on="account_id")
            .join(late, on="account_id")
            .join(cash, on="creator_id")
            .join(read("truth", "creators"), on="creator_id")
        )
        assert correlation(joined["balance_mean"].to_numpy(), joined["cash"].to_numpy()) > 0.3
        assert correlation(joined["late"].to_numpy(), joined["honesty"].to_numpy()) < -0.2

    def test_false_papers_mostly_show(self, read: Read, all_lenders: Callable[[str], pl.DataFrame]):
        papers = all_lenders("identity").join(all_lenders("applications"), on="application_id")
        truth = read("truth", "creators")
        joined = papers.join(truth, on="creator_id").filter(pl.col("false_licence") & pl.col("papers_show"))
        revoked = joined["licence_status"] == "revoked"
        lapsed = joined["licence_expires"] < joined["applied_at"]
        late = joined["licence_registered"] > joined["applied_at"]
        assert len(joined) > 30
        assert 0.5 < (revoked | lapsed | late).mean() < 1


def test_the_true_pd_is_calibrated_and_ranks_best(world: Path, read: Read, monkeypatch: pytest.MonkeyPatch):
    loans = read("truth", "applications")
    assert abs(loans["pd"].mean() - loans["bad_if_granted"].mean()) < 0.03
    for low, high in ((0.0, 0.1), (0.1, 0.3), (0.3, 0.6), (0.6, 1.01)):
        part = loans.filter(pl.col("pd").is_between(low, high, closed="left"))
        assert abs(part["pd"].mean() - part["bad_if_granted"].mean()) < 0.06, (low, high)
    report, whole = "bureau: what it reports", "all of these"
    monkeypatch.setattr(describe, "FACTS", {name: describe.FACTS[name] for name in (report, whole)})
    found = describe.describe(world)
    best = found["auc"]["the true PD"]
    assert 0.75 < best < 0.95
    assert all(auc < best + 0.02 for name, auc in found["auc"].items() if "true PD" not in name)
    assert found["auc"][report] < found["auc"][whole] - 0.1
    assert sum(found["on_platforms"].values()) == pytest.approx(1)
