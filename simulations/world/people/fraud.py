"""Who buys traffic, when, and who has false papers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sealscore.simulations.world.config import WorldConfig
from sealscore.simulations.world.people.latent import Creators, stream, top_share
from sealscore.simulations.world.people.timeline import Timeline

BURSTS = 3
BEFORE_DAYS = (4, 150)
"""Bursts begin so many days before the first application: traffic is bought to look good."""


@dataclass(frozen=True)
class Frauds:
    """Bool [n] each. `papers_show` holds for false papers that have a fault which a rule can find."""

    buys_traffic: np.ndarray
    false_identity: np.ndarray
    false_licence: np.ndarray
    papers_show: np.ndarray


@dataclass(frozen=True)
class Bursts:
    """When each creator's views are bought: first days (datetime64[D]) and lengths in days, [n, BURSTS]; 0 is none.

    `jump` is the share by which followers grow in each.
    """

    first: np.ndarray
    length: np.ndarray
    jump: np.ndarray

    def during(self, who: np.ndarray, day: np.ndarray) -> np.ndarray:
        """Whether days [k] lie in a burst of creators [k]."""
        since = (day[:, None] - self.first[who]).astype(np.int64)
        return np.asarray(((since >= 0) & (since < self.length[who])).any(axis=1))

    def gained(self, who: np.ndarray, day: np.ndarray) -> np.ndarray:
        """By which factor bought followers have swollen the count of creators [k] at days [k]."""
        since = (day[:, None] - self.first[who]).astype(np.int64)
        part = np.clip(since / np.maximum(self.length[who], 1), 0.0, 1.0)
        return np.asarray(np.prod(1 + self.jump[who] * part, axis=1))


def draw_frauds(config: WorldConfig, creators: Creators) -> Frauds:
    """The shares of the config, those first who score highest on dishonesty and chance."""
    knobs, n = config.fraud, len(creators)
    chance = stream(config, "who is false").standard_normal((3, n))
    scores = chance - knobs.honesty_effect * creators.honesty
    seen = np.asarray(creators.member[:, :2].any(axis=1))
    identity = top_share(scores[1], knobs.identity_share)
    licence = _among(creators.is_business, scores[2], knobs.licence_share)
    shows = stream(config, "faults that show").random(n) < knobs.papers_show
    return Frauds(
        buys_traffic=_among(seen, scores[0], knobs.traffic_share),
        false_identity=identity,
        false_licence=licence,
        papers_show=(identity | licence) & shows,
    )


def _among(some: np.ndarray, scores: np.ndarray, share: float) -> np.ndarray:
    found = np.zeros(len(some), dtype=bool)
    found[some] = top_share(scores[some], share)
    return found


def draw_bursts(config: WorldConfig, frauds: Frauds, timeline: Timeline, party: str) -> Bursts:
    """The bursts of the buyers on one platform."""
    knobs, n = config.fraud, len(frauds.buys_traffic)
    random = stream(config, f"bursts {party}")
    count = random.integers(1, BURSTS + 1, n)
    before = random.integers(*BEFORE_DAYS, (n, BURSTS))
    length = 2 + random.poisson(max(0.0, knobs.burst_days - 2), (n, BURSTS))
    there = (np.arange(BURSTS) < count[:, None]) & frauds.buys_traffic[:, None]
    jump = random.gamma(2.0, knobs.burst_followers / 2, (n, BURSTS))
    jump[random.random((n, BURSTS)) >= knobs.burst_followers_share] = 0.0
    return Bursts(
        first=timeline.first_day[:, None] - before.astype("timedelta64[D]"),
        length=np.where(there, length, 0),
        jump=np.where(there, jump, 0.0),
    )
