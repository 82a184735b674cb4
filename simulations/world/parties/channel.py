"""The short-video platforms: channels and their videos.

Of a creator with latent quality q and stability s, in a month with state x (log turnover over the typical one):

    posts        ~ gamma-Poisson, log mean = posting_quality q + posting_size size + posting_state x + chance
    log views     = views_followers log(followers) + views_quality q + views_state x + views_season season + drift
                    + chance, times viral luck
    likes         ~ binomial(views, likes_per_view exp(engagement_quality q + chance)); comments and shares alike
    logit watched = completion + completion_quality q - length + chance

Bought views come on top of a video's own in a burst, and bring few likes, no comments and hardly any watch time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from sealscore.simulations.world.people.agents import Agents
from sealscore.simulations.world.people.business import seasons
from sealscore.simulations.world.people.fraud import Bursts, draw_bursts
from sealscore.simulations.world.people.latent import CATEGORIES, REGIONS, logit, sigmoid, stream
from sealscore.simulations.world.people.timeline import draw_registered
from sealscore.simulations.world.tables import days, levels, text_ids, times

DISTRESS = 0.05
"""Cash below which a month counts as one without cash, in months of typical turnover."""
_EVENING, _SPREAD = 20.0, 4.5
_DAY = 86_400_000_000


@dataclass(frozen=True)
class Channels:
    """The channels of one platform: `who` [k] (indices of creators), their ids, and what is drawn once for each.

    `cell_place` and `cell_month` [cells] are the months that the platform holds: positions in `who`, and months;
    `cell_part` is the part of each that lies after the registration.

    `log_followers` is [k, months] at the first of each month, without what was bought; `spike` [k, months] is the part
    of a month's growth that comes within five days from `spike_day` [k, months] (days after the first) on.
    """

    party: str
    who: np.ndarray
    ids: pl.Series
    registered: np.ndarray
    cell_place: np.ndarray
    cell_month: np.ndarray
    cell_part: np.ndarray
    log_followers: np.ndarray
    spike: np.ndarray
    spike_day: np.ndarray
    engagement: np.ndarray
    bursts: Bursts

    @property
    def cell_who(self) -> np.ndarray:
        """The creator of each cell."""
        return np.asarray(self.who[self.cell_place])


@dataclass(frozen=True)
class Videos:
    """The videos of one platform, by channel and time: [v] each. `bought` is the part of `views` that was paid for."""

    place: np.ndarray
    month: np.ndarray
    ids: pl.Series
    published: np.ndarray
    duration: np.ndarray
    views: np.ndarray
    likes: np.ndarray
    comments: np.ndarray
    shares: np.ndarray
    completion: np.ndarray
    bought: np.ndarray


def creator_ids(agents: Agents) -> pl.Series:
    """The id of every creator, the same at all parties."""
    return text_ids("C", agents.creators.number)


def draw_channels(agents: Agents, party: str) -> Channels:
    """The channels of a platform."""
    config, creators = agents.config, agents.creators
    knobs, who = config.channel, creators.on(party)
    random = stream(config, f"channels {party}")
    registered = draw_registered(config, creators, agents.timeline, party)
    q, own = creators.quality[who], random.standard_normal(len(who))
    base = np.log(knobs.followers_typical) + knobs.followers_size * creators.size[who] + knobs.followers_quality * q
    months = config.calendar.months
    noise = knobs.followers_noise * np.exp(-knobs.followers_noise_stability * creators.stability[who])
    growth = (
        knobs.followers_growth
        + knobs.followers_growth_quality * q[:, None]
        + knobs.followers_growth_state * agents.business.state[who]
        + noise[:, None] * random.standard_normal((len(who), months))
    )
    # Young channels have had less time to grow.
    seen = (agents.timeline.first_day - registered)[who].astype(np.int64)
    youth = np.minimum(0.0, 0.5 * np.log(seen / 600.0))
    jumps = random.random((len(who), months)) < knobs.followers_spike_rate
    spike = np.where(jumps, random.exponential(knobs.followers_spike, (len(who), months)), 0.0)
    growth += spike
    logs = (base + 0.7 * own + youth)[:, None] + np.cumsum(growth, axis=1) - growth
    place, month = agents.timeline.kept(who, registered[who])
    first, after = agents.timeline.first_of(month), agents.timeline.first_of(month + 1)
    late = np.maximum(0, (registered[who[place]] - first).astype(np.int64))
    return Channels(
        party=party,
        who=who,
        ids=creator_ids(agents).gather(who),
        registered=registered,
        cell_place=place,
        cell_month=month,
        cell_part=1 - late / (after - first).astype(np.int64),
        log_followers=logs.astype(np.float32),
        spike=spike.astype(np.float32),
        spike_day=random.integers(0, 24, (len(who), months), dtype=np.int8),
        engagement=knobs.engagement_quality * q + knobs.engagement_spread * random.standard_normal(len(who)),
        bursts=draw_bursts(config, agents.frauds, agents.timeline, party),
    )


def channel_rows(agents: Agents, channels: Channels) -> pl.DataFrame:
    """The table of creators as the platform holds it."""
    creators, who = agents.creators, channels.who
    return pl.DataFrame(
        {
            "creator_id": channels.ids,
            "registered_at": days(channels.registered[who]),
            "category": levels(CATEGORIES, creators.category[who]),
            "region": levels(REGIONS, creators.region[who]),
            "is_business": creators.is_business[who],
        }
    )


def draw_videos(agents: Agents, channels: Channels, expected: float) -> Videos:
    """The videos of a platform, `expected` of them on average."""
    config, creators = agents.config, agents.creators
    random = stream(config, f"videos {channels.party}")
    counts = random.poisson(_posting(agents, channels, expected, random))
    cell = np.repeat(np.arange(len(counts)), counts)
    published = _moments(agents, channels, counts, cell, random)
    later = published >= channels.registered[channels.cell_who[cell]].astype("datetime64[us]")
    cell, published = cell[later], published[later]
    order = np.lexsort((published, cell))
    cell, published = cell[order], published[order]
    place, month = channels.cell_place[cell], channels.cell_month[cell]
    who = channels.who[place]
    own = _views(agents, channels, place, month, random)
    bought = _bought(agents, channels, who, published, own, random)
    knobs = config.channel
    level = channels.engagement[place]
    duration = np.clip(np.exp(np.log(30.0) + 0.7 * random.standard_normal(len(who))), 3, 900)
    watched = sigmoid(
        logit(knobs.completion)
        + knobs.completion_quality * creators.quality[who]
        - knobs.completion_length * np.log(duration / 30.0)
        + 0.45 * random.standard_normal(len(who))
    )
    total = own + bought
    share = np.divide(bought, total, out=np.zeros(len(total)), where=total > 0)
    likes = _engaged(own, knobs.likes_per_view, level, random) + random.binomial(bought, config.fraud.bot_likes)
    return Videos(
        place=place,
        month=month,
        ids=text_ids(f"V{channels.party[-1]}", np.arange(len(who)), 9),
        published=published,
        duration=duration.astype(np.float32),
        views=total,
        likes=likes,
        comments=_engaged(own, knobs.comments_per_view, 0.8 * level, random),
        shares=_engaged(own, knobs.shares_per_view, 0.9 * level, random),
        completion=((1 - share) * watched + share * config.fraud.bot_completion).astype(np.float32),
        bought=bought,
    )


def video_rows(channels: Channels, videos: Videos) -> pl.DataFrame:
    """The table of videos."""
    return pl.DataFrame(
        {
            "video_id": videos.ids,
            "creator_id": channels.ids.gather(videos.place),
            "published_at": times(videos.published),
            "duration_s": videos.duration,
            "views": videos.views,
            "likes": videos.likes,
            "comments": videos.comments,
            "shares": videos.shares,
            "completion_rate": videos.completion,
        }
    )


def _posting(agents: Agents, channels: Channels, expected: float, random: np.random.Generator) -> np.ndarray:
    """The rate of posts of each cell: `expected` in sum, with a gamma of its own that stability makes narrow."""
    knobs, who = agents.config.channel, channels.cell_who
    creators = agents.creators
    own = knobs.posting_spread * random.standard_normal(len(channels.who))
    logs = (
        knobs.posting_quality * creators.quality[who]
        + knobs.posting_size * creators.size[who]
        + knobs.posting_state * agents.business.state[who, channels.cell_month]
        + own[channels.cell_place]
    )
    poor = agents.business.cash[who, channels.cell_month] < DISTRESS
    rate = np.exp(logs) * np.where(poor, 1 - knobs.posting_distress, 1.0)
    rate *= expected / max(float(rate @ channels.cell_part), 1e-9)
    shape = np.clip(6.0 * np.exp(knobs.posting_steadiness * creators.stability[who]), 0.5, 60.0)
    return np.asarray(rate * random.gamma(shape) / shape)


def _moments(
    agents: Agents, channels: Channels, counts: np.ndarray, cell: np.ndarray, random: np.random.Generator
) -> np.ndarray:
    """When the videos of each cell were published, datetime64[us]: the more evenly over the month, the stabler."""
    rank = np.arange(len(cell)) - np.repeat(np.cumsum(counts) - counts, counts)
    even = sigmoid(agents.config.channel.rhythm_stability * agents.creators.stability[channels.cell_who])[cell]
    anywhere, spaced = random.random((2, len(cell)))
    part = (1 - even) * anywhere + even * (rank + spaced) / counts[cell]
    first = agents.timeline.first_of(channels.cell_month)
    length = (agents.timeline.first_of(channels.cell_month + 1) - first).astype(np.int64)
    day = np.minimum(np.floor(part * length[cell]), length[cell] - 1).astype(np.int64)
    hour = (_EVENING + _SPREAD * random.standard_normal(len(cell))) % 24
    offset = day * _DAY + np.floor(hour * 3600).astype(np.int64) * 1_000_000
    return np.asarray(first[cell].astype("datetime64[us]") + offset.astype("timedelta64[us]"))


def _views(
    agents: Agents, channels: Channels, place: np.ndarray, month: np.ndarray, random: np.random.Generator
) -> np.ndarray:
    """Views that were not bought, int64 [v]."""
    knobs, economy, who = agents.config.channel, agents.config.economy, channels.who[place]
    q = agents.creators.quality[who]
    logs = (
        np.log(knobs.views_typical)
        + knobs.views_followers * (channels.log_followers[place, month] - np.log(knobs.followers_typical))
        + knobs.views_quality * q
        + knobs.views_state * agents.business.state[who, month]
        + knobs.views_season * seasons(agents.config)[month]
        + economy.drift_views * month / 12
        + knobs.views_spread * random.standard_normal(len(who))
    )
    viral = random.random(len(who)) < knobs.viral_rate * np.exp(knobs.viral_quality * q)
    logs[viral] += np.minimum(np.log(5.0) + random.exponential(1 / knobs.viral_tail, viral.sum()), np.log(1000.0))
    return np.asarray(np.floor(np.exp(np.clip(logs, 0.0, 22.0))).astype(np.int64))


def _bought(
    agents: Agents,
    channels: Channels,
    who: np.ndarray,
    published: np.ndarray,
    own: np.ndarray,
    random: np.random.Generator,
) -> np.ndarray:
    """Views that were bought, int64 [v]."""
    bought = np.zeros(len(who), dtype=np.int64)
    buyers = np.flatnonzero(agents.frauds.buys_traffic[who])
    inside = buyers[channels.bursts.during(who[buyers], published[buyers].astype("datetime64[D]"))]
    factor = agents.config.fraud.burst_views * np.exp(0.5 * random.standard_normal(len(inside)))
    bought[inside] = np.ceil(factor * np.maximum(own[inside], 200)).astype(np.int64)
    return bought


def _engaged(views: np.ndarray, rate: float, level: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """How many of the views [v] did something that has this median rate; no more than there were views."""
    spread = 0.4 * random.standard_normal(len(views), dtype=np.float32)
    return random.binomial(views, np.minimum(0.6, rate * np.exp(level + spread)))
