"""When creators registered and applied, and which months of them a platform still holds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sealscore.simulations.world.config import WorldConfig
from sealscore.simulations.world.people.latent import Creators, stream


@dataclass(frozen=True)
class Timeline:
    """Days (datetime64[D]) and months (counted from the start of the calendar), [n] each.

    Whoever never applies has a day at which an application would have been, so that those who apply do not stand out
    by what a platform holds of them.
    """

    start: np.datetime64
    applications: np.ndarray
    first_day: np.ndarray
    gaps: np.ndarray
    kept_from: np.ndarray
    kept_to: np.ndarray

    def application_days(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Who (indices) files an application of that number (from 0), and the day."""
        who = np.flatnonzero(self.applications > number)
        return who, self.first_day[who] + self.gaps[who, :number].sum(axis=1).astype("timedelta64[D]")

    def month_of(self, day: np.ndarray) -> np.ndarray:
        """The month of days [k], int64."""
        return np.asarray((day.astype("datetime64[M]") - self.start.astype("datetime64[M]")).astype(np.int64))

    def first_of(self, month: np.ndarray) -> np.ndarray:
        """The first day of months [k], datetime64[D]."""
        return np.asarray((self.start.astype("datetime64[M]") + month).astype("datetime64[D]"))

    def kept(self, who: np.ndarray, since: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The months that a platform holds of creators [k] who registered on days [k].

        Returns: positions in `who`, ascending, and months, [cells] each.
        """
        months = np.arange(int(self.kept_to.max()) + 1)
        first = np.maximum(self.kept_from[who], self.month_of(since))
        held = (months >= first[:, None]) & (months <= self.kept_to[who][:, None])
        positions, month = np.nonzero(held)
        return positions, month


def draw_timeline(config: WorldConfig, creators: Creators) -> Timeline:
    """Applications spread evenly over the days of all vintages; later ones of a person follow 20 to 270 days on."""
    calendar, lending, n = config.calendar, config.lending, len(creators)
    random = stream(config, "timeline")
    start = np.datetime64(calendar.start, "D")
    opening = (start.astype("datetime64[M]") + calendar.history_months).astype("datetime64[D]")
    closing = (start.astype("datetime64[M]") + calendar.history_months + calendar.vintages).astype("datetime64[D]")
    window = int((closing - opening).astype(np.int64))
    first = opening + random.integers(0, window, n).astype("timedelta64[D]")
    gaps = random.integers(20, 270, (n, 2))
    applies = random.random(n) < lending.applicants
    more = random.random((n, 2)) < lending.again
    room = int((closing - opening).astype(np.int64)) - (first - opening).astype(np.int64)
    second = more[:, 0] & (gaps[:, 0] < room)
    third = second & more[:, 1] & (gaps.sum(axis=1) < room)
    last = first + (gaps[:, 0] * second + gaps[:, 1] * third).astype("timedelta64[D]")
    months = start.astype("datetime64[M]")
    return Timeline(
        start=start,
        applications=applies * (1 + second.astype(np.int64) + third),
        first_day=first,
        gaps=gaps,
        kept_from=(first.astype("datetime64[M]") - months).astype(np.int64) - calendar.keep_before_months,
        kept_to=(last.astype("datetime64[M]") - months).astype(np.int64) + calendar.keep_after_months,
    )


def draw_registered(config: WorldConfig, creators: Creators, timeline: Timeline, party: str) -> np.ndarray:
    """The day on which each creator registered with a platform, [n]: 20 days to years before the first application."""
    random = stream(config, f"registered {party}")
    spread = random.gamma(1.3, 500.0, len(creators)) * np.exp(config.platforms.tenure_quality * creators.quality)
    before = np.minimum(20 + spread, 3000).astype(np.int64)
    return np.asarray(timeline.first_day - before.astype("timedelta64[D]"))
