"""Every knob of a life, with its meaning: docs/life.md shows them as a table. Months of a life count from 0."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError, model_validator

from sealscore.shared.plan.errors import PlanError, explain
from sealscore.shared.plan.schema import Strict
from sealscore.shared.plan.toml import load_toml
from sealscore.shared.serving.watch import MOST_QUARTERS
from sealscore.simulations.world.config import PERIODS, PLATFORM_PARTIES, Calendar, Economy, Share, WorldConfig

DEFAULT = "default"
FIRST_MONTH = date(2025, 4, 1)
"""The first month of every life: the outcomes of all opening loans are known by then."""
Month = Annotated[int, Field(ge=0, le=59)]


class Opening(Strict):
    """The loans from which the first model is trained: of earlier creators, decided by the lenders' own policies."""

    creators: int = Field(50_000, ge=2000, le=75_000, description="Creators of the opening, none of them in the life.")
    epsilon: float = Field(2.0, gt=0, le=20, description="Epsilon of the plan that trains the model.")
    rounds: int = Field(50, ge=2, le=200, description="Rounds of its training.")


class LifeConsents(Strict):
    """Who lets platforms tell what."""

    given: Share = Field(0.92, description="Share of applications with a consent to a platform, of people as usual.")
    withheld: Share = Field(0.35, description="By how much that share is lower among the worst, so that it is biased.")
    worst: Share = Field(0.2, description="The share of creators that withhold more: the least honest.")
    capacity: Share = Field(0.8, description="Share of the consents to the wallet that name the capacity band.")
    flag: Share = Field(0.7, description="Share of the consents to video platforms that name the traffic flag.")
    buyers: Share = Field(0.5, description="Times that share among those who bought traffic.")
    retraining: Share = Field(0.8, description="Share of the consents that let the level enter a later training.")
    watch: Share = Field(0.8, description="Share of the consents to the wallet with one to be watched beside them.")
    withdraws: Share = Field(
        0.004, description="Chance in a month that somebody withdraws all that a platform was let tell."
    )


class FraudWave(Strict):
    """A ring of newcomers with bought traffic and false identities, beside the frauds of every month."""

    month: Month = Field(9, description="Its first month.")
    months: int = Field(2, ge=0, le=24, description="How long it lasts; 0 for none.")
    share: Share = Field(0.25, description="Share of newcomers of these months who belong to it.")


class Shock(Strict):
    """A fall of all turnover."""

    month: Month | None = Field(14, description="Its month.")
    size: float = Field(0.4, ge=0, le=3, description="Log fall of turnover.")


class PlatformAway(Strict):
    """A platform that makes no token for some days."""

    party: str = Field("video-1", description="Which one.")
    month: Month = Field(6, description="From the first day of this month on.")
    days: int = Field(7, ge=0, le=90, description="So many days; 0 for none.")

    @model_validator(mode="after")
    def _known(self) -> PlatformAway:
        if self.party not in PLATFORM_PARTIES:
            raise ValueError(f"away.party must be one of {', '.join(PLATFORM_PARTIES)}")
        return self


class LifeWatch(Strict):
    """The watch bit: the wallet tells lenders once a quarter who is among the worst."""

    worst: float = Field(0.22, gt=0, lt=1, description="Share of the training persons who would have a bit of 1.")
    quarters: int = Field(5, ge=1, le=MOST_QUARTERS, description="So many quarters are asked for from everybody.")


class LifeRetraining(Strict):
    """The lenders' part of the model is trained again on loans whose outcome is known; towers stay as they are."""

    month: Month | None = Field(18, description="Its month; the new release is live from that month's first day.")
    epsilon: float = Field(1.0, gt=0, le=20, description="Epsilon of its plan.")


class LifeProducts(Strict):
    """Which of the policy's products an application is for; the world knows traffic and starter loans alone."""

    consumer: Share = Field(0.4, description="Share of applications for a starter loan that are consumer loans.")
    invoices: Share = Field(0.2, description="Share of applications for a traffic loan that are advances on invoices.")


class Reviewers(Strict):
    """The persons who decide what waits, and applicants who answer offers."""

    finds: Share = Field(0.9, description="Chance that a review for papers or traffic finds a fraud.")
    clears: Share = Field(0.9, description="Chance that such a review clears somebody honest.")
    general: Share = Field(0.5, description="Chance that other reviews approve.")
    overrides: Share = Field(0.02, description="Chance that a person approves where the policy proposes a decline.")
    takes: Share = Field(0.95, description="Chance that an applicant takes what was asked for.")
    counter: Share = Field(0.7, description="Chance that an applicant takes a lower offer.")


class LifeConfig(Strict):
    """A life: its size, its seed, and what is planted in it."""

    creators: int = Field(10_000, ge=200, le=100_000, description="Creators who live in it.")
    months: int = Field(24, ge=2, le=60, description="Months in which people apply.")
    seed: int = Field(0, ge=0, lt=2**31, description="Every draw follows from it, but keys and tokens.")
    futures: int = Field(20, ge=0, le=1000, description="Futures drawn for each true PD, which the oracle keeps.")
    opening: Opening = Field(Opening(), description="Opening.")
    consents: LifeConsents = Field(LifeConsents(), description="Consents.")
    wave: FraudWave = Field(FraudWave(), description="Fraud wave.")
    shock: Shock = Field(Shock(), description="Shock.")
    away: PlatformAway = Field(PlatformAway(), description="A platform away.")
    watch: LifeWatch = Field(LifeWatch(), description="The watch bit.")
    retraining: LifeRetraining = Field(LifeRetraining(), description="A retraining.")
    products: LifeProducts = Field(LifeProducts(), description="Products.")
    reviewers: Reviewers = Field(Reviewers(), description="Reviewers.")

    def world(self) -> WorldConfig:
        """The world of those who live in it. A shock after the last month of applications hits loans alone."""
        history = Calendar().history_months
        months = FIRST_MONTH.year * 12 + FIRST_MONTH.month - 1 - history
        at = None if self.shock.month is None else history + self.shock.month
        if at is not None and at >= history + self.months + PERIODS:
            at = None
        return WorldConfig(
            creators=self.creators,
            seed=self.seed,
            calendar=Calendar(start=date(months // 12, months % 12 + 1, 1), vintages=self.months),
            economy=Economy(shock_month=at, shock_size=self.shock.size),
        )

    @property
    def retrains(self) -> bool:
        """Whether there is a retraining before the last month of applications is over."""
        return self.retraining.month is not None and self.retraining.month < self.months

    @property
    def opening_seed(self) -> int:
        """The seed of the opening's creators: others than those of the life, whatever its seed."""
        return self.seed + 2**32


def load_life(source: str = DEFAULT, **overrides: int | None) -> LifeConfig:
    """The default life, or that of a TOML file which names what differs from it.

    Raises:
        PlanError: there is no such file, it is not TOML, or a key or value cannot be used.
    """
    given: dict[str, Any] = {}
    if source != DEFAULT:
        path = Path(source)
        if not path.is_file():
            raise PlanError(source, [f"no such file; give a TOML file, or {DEFAULT}"])
        given = load_toml(path)
    given |= {key: value for key, value in overrides.items() if value is not None}
    try:
        return LifeConfig.model_validate(given)
    except ValidationError as error:
        raise PlanError(source, explain(error, LifeConfig)) from None
