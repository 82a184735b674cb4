"""Every knob of the creator world, with its meaning: docs/world.md shows them as a table.

Effects are per standard deviation of a latent. "Log" effects are added to a logarithm: 0.1 is about 10 %. None of the
defaults was estimated from data but `likes_per_view` and `comments_per_view`; they are assumptions that state a world.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field, ValidationError, model_validator

from sealscore.shared.plan.errors import PlanError, explain
from sealscore.shared.plan.schema import Strict
from sealscore.shared.plan.toml import load_toml

PLATFORM_PARTIES = ("video-1", "video-2", "wallet")
PERIODS = 15
"""Instalment periods for which every loan is followed; `bad` looks at the first 12."""

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Effect = Annotated[float, Field(ge=-5, le=5)]
Correlation = Annotated[float, Field(gt=-1, lt=1)]
Rate = Annotated[float, Field(gt=0, lt=1)]


class Calendar(Strict):
    """Which months there are, and which of them the platforms still hold."""

    start: date = Field(date(2022, 1, 1), description="First day of the first month; the first of a month.")
    history_months: int = Field(9, ge=6, le=60, description="Months before the first application.")
    vintages: int = Field(18, ge=1, le=60, description="Months in which people apply.")
    keep_before_months: int = Field(
        7, ge=1, le=60, description="A video platform holds so many months before a creator's first application."
    )
    keep_after_months: int = Field(1, ge=0, le=12, description="And so many after the last one.")

    @model_validator(mode="after")
    def _fits(self) -> Calendar:
        if self.start.day != 1:
            raise ValueError(f"start must be the first of a month, as {self.start.replace(day=1)}")
        if self.keep_before_months > self.history_months:
            raise ValueError("keep_before_months must not exceed history_months")
        return self

    @property
    def months(self) -> int:
        """Simulated months: history, vintages, and the time in which the last loans are followed."""
        return self.history_months + self.vintages + PERIODS + 1


class Latents(Strict):
    """How the latents of a creator hang together; every latent is standard normal."""

    quality_stability: Correlation = Field(0.3, description="Correlation of quality and stability.")
    leverage_honesty: Correlation = Field(-0.3, description="Correlation of leverage and honesty.")
    channel_bureau: Correlation = Field(
        0.2,
        description="Correlation of what the channel shows with what the bureau shows: of quality and of stability, "
        "each, with low leverage and with honesty.",
    )
    size_quality: Correlation = Field(0.3, description="Correlation of the size of the business and quality.")
    service_quality: Correlation = Field(0.4, description="Correlation of service to customers and quality.")
    service_honesty: Correlation = Field(0.3, description="Correlation of service and honesty, quality held fixed.")
    business_share: Share = Field(0.55, description="Share of creators who run a registered business.")
    business_size: Effect = Field(
        0.6, description="Weight of size in who they are, beside a standard normal of chance."
    )

    def matrix(self) -> np.ndarray:
        """Correlations of quality, stability, leverage and honesty, float64 [4, 4]."""
        cross = self.channel_bureau
        found = np.eye(4)
        found[0, 1] = found[1, 0] = self.quality_stability
        found[2, 3] = found[3, 2] = self.leverage_honesty
        found[:2, 2] = found[2, :2] = -cross
        found[:2, 3] = found[3, :2] = cross
        return found

    @model_validator(mode="after")
    def _possible(self) -> Latents:
        if np.linalg.eigvalsh(self.matrix())[0] < 1e-6:
            raise ValueError("no four latents can have these correlations together; bring them nearer to 0")
        if self.service_quality**2 + self.service_honesty**2 >= 1:
            raise ValueError("service_quality^2 + service_honesty^2 must be below 1")
        return self


class BusinessConfig(Strict):
    """The monthly state of a business and its cash. Amounts of cash are in months of typical turnover."""

    typical_turnover: Positive = Field(12_000.0, description="Median monthly turnover, in the currency.")
    size_effect: Effect = Field(1.0, description="Log effect of size on turnover.")
    quality_effect: Effect = Field(0.3, description="Log effect of quality on turnover.")
    growth: float = Field(0.0, ge=-0.1, le=0.1, description="Log growth of turnover a month.")
    growth_quality: float = Field(0.012, ge=-0.1, le=0.1, description="Log effect of quality on growth a month.")
    growth_spread: float = Field(0.01, ge=0, le=0.1, description="Spread of growth that nothing explains.")
    persistence: float = Field(0.85, ge=0, le=0.99, description="AR(1) coefficient of the state from month to month.")
    volatility: Positive = Field(0.18, description="Log standard deviation of a month's news to the state.")
    stability_effect: Effect = Field(0.4, description="Log effect of stability on volatility, downwards.")
    setback_rate: Rate = Field(0.012, description="Chance of a setback in a month.")
    setback_size: Positive = Field(1.0, description="Log fall of the state in a setback.")
    setback_effect: Effect = Field(
        0.4, description="Log effect of quality, and of stability, on the chance of a setback, downwards."
    )
    margin: Rate = Field(0.35, description="Share of turnover left after the cost of goods.")
    margin_quality: Effect = Field(0.02, description="Effect of quality on the margin.")
    fixed_costs: Positive = Field(0.16, description="Rent, wages and living, as a share of typical turnover.")
    debt_service: Positive = Field(0.05, description="Service of older debts, as a share of typical turnover.")
    leverage_effect: Effect = Field(0.5, description="Log effect of leverage on the service of older debts.")
    reserve: Positive = Field(0.2, description="Median cash at the start.")
    reserve_leverage: Effect = Field(0.3, description="Log effect of leverage on cash at the start, downwards.")
    reserve_cap: Positive = Field(0.6, description="Most cash that an owner leaves in the business.")
    outside_share: Share = Field(0.25, description="Mean share of turnover that no platform of the world sees.")


class Economy(Strict):
    """What hits all businesses: seasons, a shock, and slow change."""

    season: tuple[float, ...] = Field(
        (0.05, -0.15, -0.02, -0.03, 0.0, 0.10, -0.05, -0.03, 0.0, 0.02, 0.18, 0.06),
        min_length=12,
        max_length=12,
        description="Log effect of the calendar month, January first.",
    )
    shock_month: int | None = Field(
        None, ge=0, description="Month of an economic shock, counted from 0 at the start; none by default."
    )
    shock_size: float = Field(0.4, ge=0, le=3, description="Log fall of turnover in that month.")
    shock_recovery: float = Field(0.75, ge=0, lt=1, description="Share of the fall that is left a month later.")
    shock_stability: Effect = Field(0.25, description="Effect of stability on the fall, downwards, as a share of it.")
    drift_turnover: float = Field(-0.02, ge=-1, le=1, description="Log change of all turnover a year.")
    drift_views: float = Field(0.10, ge=-1, le=1, description="Log change of views a year for the same audience.")
    drift_debt: float = Field(0.04, ge=-1, le=1, description="Log change of the service of older debts a year.")


class Platforms(Strict):
    """Where creators live. Whoever would be nowhere is put on one platform at random by these shares."""

    video_1: Share = Field(0.62, description="Share on the first short-video platform.")
    video_2: Share = Field(0.42, description="Share on the second, drawn apart.")
    wallet: Share = Field(0.70, description="Share with an account at the wallet, drawn apart.")
    consent: Share = Field(0.92, description="Share of applications that consent to a platform, drawn for each.")
    federation: Share = Field(0.98, description="Share of applications that consent to sums over all parties.")
    withdrawn: Share = Field(0.02, description="Share of consents withdrawn later.")
    tenure_quality: Effect = Field(
        0.15, description="Log effect of quality on the time from registration to the first application."
    )

    @model_validator(mode="after")
    def _somewhere(self) -> Platforms:
        if not self.video_1 + self.video_2 + self.wallet > 0:
            raise ValueError("one of video_1, video_2 and wallet must be above 0")
        return self


class Channel(Strict):
    """Videos, followers, audiences."""

    videos_per_creator: Positive = Field(60.0, description="Videos held, a creator of the world, both platforms.")
    posting_quality: Effect = Field(0.25, description="Log effect of quality on the posting rate.")
    posting_size: Effect = Field(0.25, description="Log effect of size on the posting rate.")
    posting_state: Effect = Field(0.5, description="Log effect of the state (log) on the posting rate.")
    posting_spread: float = Field(0.6, ge=0, le=3, description="Spread of posting rates that nothing explains (log).")
    posting_distress: float = Field(0.5, ge=0, le=1, description="Share of posts left out in a month without cash.")
    posting_steadiness: Effect = Field(
        0.5, description="Log effect of stability on how little posting differs from month to month (gamma shape)."
    )
    rhythm_stability: Effect = Field(0.6, description="Effect of stability on how evenly posts are spaced (logit).")
    views_typical: Positive = Field(1500.0, description="Median views of a video of a typical creator.")
    views_followers: Effect = Field(0.55, description="Elasticity of views by followers.")
    views_quality: Effect = Field(0.25, description="Log effect of quality on views.")
    views_state: Effect = Field(0.5, description="Log effect of the state on views.")
    views_season: Effect = Field(
        0.5, description="Log effect of the season of turnover (economy.season) on views; at 1 they move alike."
    )
    views_spread: float = Field(1.0, ge=0, le=3, description="Spread of views from video to video (log).")
    viral_rate: Rate = Field(0.012, description="Chance that a video goes viral.")
    viral_quality: Effect = Field(0.3, description="Log effect of quality on that chance.")
    viral_tail: Positive = Field(
        0.9, description="Tail index of the multiplier of viral views (Pareto from 5, at most 1,000); low is heavy."
    )
    likes_per_view: Rate = Field(0.028, description="Median likes per view; the published ratio.")
    comments_per_view: Rate = Field(0.0035, description="Median comments per view; the published ratio.")
    shares_per_view: Rate = Field(0.003, description="Median shares per view.")
    engagement_quality: Effect = Field(0.2, description="Log effect of quality on likes, comments, shares per view.")
    engagement_spread: float = Field(
        0.3, ge=0, le=2, description="Spread of engagement between creators that nothing explains (log)."
    )
    completion: Rate = Field(0.35, description="Median completion rate of a video of 30 seconds.")
    completion_quality: Effect = Field(0.3, description="Effect of quality on completion (logit).")
    completion_length: Effect = Field(0.4, description="Effect of the log of the duration on it (logit), downwards.")
    followers_typical: Positive = Field(3000.0, description="Median followers of a channel.")
    followers_size: Effect = Field(1.1, description="Log effect of size on followers.")
    followers_quality: Effect = Field(0.4, description="Log effect of quality on followers.")
    followers_growth: float = Field(0.01, ge=-1, le=1, description="Growth of followers a month (log).")
    followers_growth_quality: float = Field(0.015, ge=-1, le=1, description="Effect of quality on growth a month.")
    followers_growth_state: float = Field(0.05, ge=-1, le=1, description="Effect of the state on growth a month.")
    followers_spike_rate: Rate = Field(0.03, description="Chance in a month that followers jump for honest reasons.")
    followers_spike: Positive = Field(0.25, description="Mean log size of such a jump.")
    followers_noise: float = Field(0.03, ge=0, le=1, description="Spread of growth from month to month.")
    followers_noise_stability: Effect = Field(0.4, description="Log effect of stability on that spread, downwards.")
    active_fans_quality: Effect = Field(0.25, description="Effect of quality on the share of active fans (logit).")
    active_fans_state: Effect = Field(0.4, description="Effect of the state on the share of active fans (logit).")
    top_region_quality: Effect = Field(
        0.15, description="Effect of quality on the share of the largest region in the audience (logit), downwards."
    )
    top_age_quality: Effect = Field(
        0.1, description="Effect of quality on the share of the largest age group (logit), downwards."
    )


class Comments(Strict):
    """Texts of comments. The table holds a sample of the comments that a video counts."""

    texts_per_creator: Positive = Field(60.0, description="Texts held, a creator of the world, both platforms.")
    chinese_share: Share = Field(0.85, description="Share of texts in Chinese; the rest is English.")
    tone: float = Field(0.35, ge=-5, le=5, description="Typical tone; below -0.8 is negative, to 0.3 neutral.")
    tone_quality: Effect = Field(0.3, description="Effect of quality on tone.")
    tone_service: Effect = Field(0.4, description="Effect of service on tone.")
    tone_state: Effect = Field(0.3, description="Effect of the state on tone.")
    complaint_share: Rate = Field(0.35, description="Share of negative comments that complain of service.")
    complaint_service: Effect = Field(0.7, description="Effect of service on that share (logit), downwards.")


class Shop(Strict):
    """Orders on the video platforms. An order stands for what a customer paid at once, or for a bundle of such."""

    orders_per_creator: Positive = Field(60.0, description="Orders held, a creator of the world, both platforms.")
    individual_sellers: Share = Field(0.3, description="Share of individual creators who sell.")
    individual_turnover: Share = Field(0.25, description="Share of their turnover that comes from orders.")
    live_share: Rate = Field(0.4, description="Median share of orders in livestreams.")
    refund_rate: Rate = Field(0.06, description="Refund rate of typical service.")
    refund_service: Effect = Field(0.45, description="Effect of service on refunds (logit), downwards.")
    refund_honesty: Effect = Field(0.2, description="Effect of honesty on refunds (logit), downwards.")


class Wallet(Strict):
    """Flows and bills at the wallet."""

    inflow_share: Share = Field(0.5, description="Mean share of turnover that goes through the wallet.")
    balance_spread: float = Field(0.5, ge=0, le=3, description="Spread of the balance around the true cash (log).")
    late_rate: Rate = Field(0.12, description="Chance that a bill is paid late at typical honesty and with cash.")
    late_honesty: Effect = Field(0.6, description="Effect of honesty on paying late (logit), downwards.")
    late_leverage: Effect = Field(0.3, description="Effect of leverage on paying late (logit).")
    late_distress: Effect = Field(1.2, description="Effect of a month without cash on paying late (logit).")


class Bureau(Strict):
    """What the credit bureau tells a lender on the day of the application."""

    thin_share: Share = Field(0.4, description="Share of creators with a thin file; young people first.")
    thin_young: Effect = Field(1.0, description="Weight of youth in who they are, beside a standard normal of chance.")
    thin_no_row: Share = Field(0.5, description="Share of thin files without a row; the others have no score.")
    score_leverage: Effect = Field(0.6, description="Weight of low leverage in the score.")
    score_honesty: Effect = Field(0.5, description="Weight of honesty in the score.")
    score_stability: Effect = Field(0.2, description="Weight of stability in the score.")
    score_noise: float = Field(0.5, ge=0, le=5, description="Weight of noise in the score.")
    utilisation_leverage: Effect = Field(0.5, description="Log effect of leverage on the utilisation of credit lines.")
    late_honesty: Effect = Field(0.6, description="Log effect of honesty on late payments of 24 months, downwards.")
    late_leverage: Effect = Field(0.4, description="Log effect of leverage on late payments of 24 months.")
    inquiries_leverage: Effect = Field(0.35, description="Log effect of leverage on inquiries of 6 months.")
    inquiries_honesty: Effect = Field(0.1, description="Log effect of honesty on inquiries of 6 months, downwards.")


class Fraud(Strict):
    """Bought traffic and false papers; the least honest are the likeliest."""

    traffic_share: Share = Field(0.06, description="Share of creators on video platforms who buy traffic.")
    identity_share: Share = Field(0.015, description="Share of creators who borrow under a false identity.")
    licence_share: Share = Field(0.04, description="Share of businesses with a false licence.")
    honesty_effect: Effect = Field(1.0, description="Weight of dishonesty beside a standard normal of chance.")
    burst_views: Positive = Field(6.0, description="Median bought views of a video in a burst, over its own views.")
    burst_days: Positive = Field(8.0, description="Mean length of a burst; each buyer has one to three of them.")
    bot_likes: Share = Field(0.002, description="Likes per bought view.")
    bot_completion: Share = Field(0.06, description="Completion rate of bought views.")
    burst_followers_share: Share = Field(0.6, description="Share of bursts in which followers are bought too.")
    burst_followers: Positive = Field(0.3, description="Mean jump of followers in a burst, as a share of them.")
    filler_comments: Share = Field(0.5, description="Share of filler among comments on videos with bought views.")
    papers_show: Share = Field(0.8, description="Share of false papers with a fault that a rule can find.")
    papers_caught: Share = Field(0.6, description="Share of those that lenders notice, and then decline.")
    papers_slip: Share = Field(0.01, description="Share of true papers with a harmless fault, for each kind of fault.")


class LenderConfig(Strict):
    """A lender: who comes to it, and whom it takes."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,40}$")] = Field(description="Name of the party.")
    weight: Positive = Field(1.0, description="Its draw on applicants.")
    thin_taste: Effect = Field(0.0, description="Log effect of a thin file on coming here.")
    business_taste: Effect = Field(0.0, description="Log effect of being a business on coming here.")
    approval_rate: Rate = Field(0.65, description="Share of its applications that it approves.")
    bureau_weight: Effect = Field(1.0, description="Weight of the bureau score (standard deviations) in its policy.")
    burden_weight: Effect = Field(0.5, description="Weight of log(amount / declared income), downwards.")
    thin_penalty: Effect = Field(0.3, description="What a thin file costs in its policy.")
    policy_noise: float = Field(0.5, ge=0, le=5, description="Judgement that nothing here explains.")
    annual_rate: Rate = Field(0.14, description="Interest a year.")


class Product(Strict):
    """Amount and term of a loan."""

    amount: Positive = Field(description="Median amount, in months of present turnover.")
    amount_spread: float = Field(0.5, ge=0, le=3, description="Spread of amounts (log).")
    terms: tuple[Annotated[int, Field(ge=2, le=PERIODS)], ...] = Field(
        min_length=1, description="Instalments, of 30 days each."
    )


class Lending(Strict):
    """Applications, repayment and lenders."""

    applicants: Share = Field(0.92, description="Share of creators who ever apply.")
    again: Share = Field(0.12, description="Chance of a second application, and again of a third.")
    same_lender: Share = Field(
        0.5, description="Chance that it is to the lender that granted the one before; else it is to one not asked yet."
    )
    traffic_business: Share = Field(0.85, description="Share of applications of businesses for the traffic loan.")
    traffic_individual: Share = Field(0.1, description="Share of applications of individuals for the traffic loan.")
    amount_leverage: Effect = Field(0.15, description="Log effect of leverage on the amount asked for.")
    overstated: Effect = Field(0.15, description="Log effect of honesty on the declared income, downwards.")
    delay_honesty: Effect = Field(
        0.3, description="Log effect of honesty on the days by which an instalment that is paid comes late, downwards."
    )
    walk_away: Rate = Field(0.005, description="Chance in a period that a borrower who could pay stops for good.")
    walk_away_honesty: Effect = Field(0.7, description="Log effect of honesty on it, downwards.")
    walk_away_arrears: Positive = Field(3.0, description="Factor on it for borrowers in arrears.")
    walk_away_false: Rate = Field(0.2, description="The chance under a false identity.")
    traffic: Product = Field(Product(amount=0.5, terms=(3, 6, 9)), description="The traffic loan for sellers.")
    starter: Product = Field(Product(amount=0.4, terms=(6, 9, 12)), description="The starter loan for individuals.")
    lenders: tuple[LenderConfig, ...] = Field(
        (
            LenderConfig(name="lender-1", weight=1.2, thin_taste=-0.5, business_taste=0.3, approval_rate=0.6),
            LenderConfig(name="lender-2", approval_rate=0.7, bureau_weight=0.7, thin_penalty=0.2, annual_rate=0.16),
            LenderConfig(
                name="lender-3",
                weight=0.8,
                thin_taste=0.6,
                business_taste=-0.3,
                approval_rate=0.8,
                bureau_weight=0.5,
                thin_penalty=0.0,
                annual_rate=0.2,
            ),
        ),
        min_length=1,
        max_length=20,
        description="The lenders.",
    )
    pd_rollouts: int = Field(
        100, ge=0, le=1000, description="Futures drawn for each application to find its true PD; 0 leaves it out."
    )

    @model_validator(mode="after")
    def _named_apart(self) -> Lending:
        names = [lender.name for lender in self.lenders]
        if taken := {name for name in names if names.count(name) > 1} | ({*names} & {*PLATFORM_PARTIES, "truth"}):
            raise ValueError(f"lenders need names of their own, and not those of platforms: {', '.join(sorted(taken))}")
        return self


class WorldConfig(Strict):
    """A world: its size, its seed and all of its effects."""

    creators: int = Field(50_000, ge=100, le=5_000_000, description="Creators.")
    seed: int = Field(0, ge=0, lt=2**63, description="Every random draw follows from it.")
    currency: str = Field("CNY", pattern=r"^[A-Z]{3}$", description="Currency of all amounts.")
    calendar: Calendar = Field(Calendar(), description="Months.")
    latents: Latents = Field(Latents(), description="Latents.")
    business: BusinessConfig = Field(BusinessConfig(), description="Business and cash.")
    economy: Economy = Field(Economy(), description="Economy.")
    platforms: Platforms = Field(Platforms(), description="Platforms.")
    channel: Channel = Field(Channel(), description="Channel.")
    comments: Comments = Field(Comments(), description="Comments.")
    shop: Shop = Field(Shop(), description="Shop.")
    wallet: Wallet = Field(Wallet(), description="Wallet.")
    bureau: Bureau = Field(Bureau(), description="Bureau.")
    fraud: Fraud = Field(Fraud(), description="Fraud.")
    lending: Lending = Field(Lending(), description="Lending.")

    @model_validator(mode="after")
    def _within(self) -> WorldConfig:
        at = self.economy.shock_month
        if at is not None and at >= self.calendar.months:
            raise ValueError(f"economy.shock_month must be below {self.calendar.months}, the months of the calendar")
        return self


PRESETS: dict[str, dict[str, Any]] = {"default": {}, "small": {"creators": 4000}}
"""Worlds that have a name."""


def load_config(source: str, **overrides: int | None) -> WorldConfig:
    """A world by the name of a preset or from a TOML file that names what differs from the default.

    Raises:
        PlanError: there is no such file, it is not TOML, or a key or value cannot be used.
    """
    given = dict(PRESETS[source]) if source in PRESETS else _read(source)
    given |= {key: value for key, value in overrides.items() if value is not None}
    try:
        return WorldConfig.model_validate(given)
    except ValidationError as error:
        raise PlanError(source, explain(error, WorldConfig)) from None


def _read(source: str) -> dict[str, Any]:
    path = Path(source)
    if not path.is_file():
        raise PlanError(source, [f"no such file; give a TOML file or one of {', '.join(PRESETS)}"])
    return load_toml(path)
