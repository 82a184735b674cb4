"""Followers week by week, and the audience month by month."""

from __future__ import annotations

import numpy as np
import polars as pl

from sealscore.simulations.world.parties.channel import Channels
from sealscore.simulations.world.people.agents import Agents
from sealscore.simulations.world.people.latent import logit, sigmoid, stream
from sealscore.simulations.world.tables import days


def follower_rows(agents: Agents, channels: Channels) -> pl.DataFrame:
    """Snapshots on every Monday of the months held: between months on a straight line in logs, jumps within days."""
    timeline, config = agents.timeline, agents.config
    months = np.arange(config.calendar.months)
    edges = timeline.first_of(np.arange(len(months) + 1))
    all_days = np.arange(edges[0], edges[-1])
    mondays = all_days[(all_days.astype("datetime64[D]").view(np.int64) + 3) % 7 == 0]
    in_month = timeline.month_of(mondays)
    counts = np.bincount(in_month, minlength=len(months))[channels.cell_month]
    first = np.searchsorted(in_month, channels.cell_month)
    cell = np.repeat(np.arange(len(counts)), counts)
    week = first[cell] + np.arange(len(cell)) - np.repeat(np.cumsum(counts) - counts, counts)
    day, place = mondays[week], channels.cell_place[cell]
    there = day >= channels.registered[channels.who[place]]
    day, place, week = day[there], place[there], week[there]
    month = in_month[week]
    part = ((day - edges[month]) / (edges[month + 1] - edges[month])).astype(np.float32)
    after = np.minimum(month + 1, len(months) - 1)
    spike = channels.spike[place, month]
    sudden = np.clip(((day - edges[month]).astype(np.int64) - channels.spike_day[place, month]) / 5.0, 0.0, 1.0)
    before, later = channels.log_followers[place, month], channels.log_followers[place, after] - spike
    logs = (1 - part) * before + part * later + spike * sudden
    count = np.exp(np.clip(logs.astype(np.float64), 0.0, 19.0))
    buyers = np.flatnonzero(agents.frauds.buys_traffic[channels.who[place]])
    count[buyers] *= channels.bursts.gained(channels.who[place[buyers]], day[buyers])
    return pl.DataFrame(
        {
            "creator_id": channels.ids.gather(place),
            "as_of": days(day),
            "followers": np.round(count).astype(np.int64),
        }
    )


def audience_rows(agents: Agents, channels: Channels) -> pl.DataFrame:
    """Shares of the largest region, the largest age group and of active fans, on the first of each month held.

    Good channels are a little less concentrated; fans of rising ones are more active, bought followers are not.
    """
    config, timeline, knobs = agents.config, agents.timeline, agents.config.channel
    random = stream(config, f"audience {channels.party}")
    place, month = channels.cell_place, channels.cell_month
    who, k = channels.who[place], len(channels.who)
    q, state = agents.creators.quality[who], agents.business.state[who, month]
    own, noise = random.standard_normal((3, k)), random.standard_normal((3, len(place)))
    day = timeline.first_of(month)
    bought = channels.bursts.gained(who, day)
    region = sigmoid(logit(0.3) - knobs.top_region_quality * q + 0.4 * own[0][place] + 0.08 * noise[0])
    age = sigmoid(logit(0.42) - knobs.top_age_quality * q + 0.35 * own[1][place] + 0.08 * noise[1])
    liveliness = knobs.active_fans_quality * q + knobs.active_fans_state * state
    active = sigmoid(logit(0.25) + liveliness + 0.4 * own[2][place] + 0.1 * noise[2]) / bought
    rows = pl.DataFrame(
        {
            "creator_id": channels.ids.gather(place),
            "as_of": days(day),
            "top_region_share": region,
            "top_age_share": age,
            "active_fan_share": active,
        }
    )
    return rows.filter(pl.Series(day >= channels.registered[who]))
