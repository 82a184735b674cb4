"""Orders on a video platform: turnover of a month cut into orders, sold in the shop or live, some refunded."""

from __future__ import annotations

import numpy as np
import polars as pl

from sealscore.simulations.world.config import PLATFORM_PARTIES
from sealscore.simulations.world.parties.channel import Channels
from sealscore.simulations.world.people.agents import Agents
from sealscore.simulations.world.people.latent import logit, sigmoid, stream
from sealscore.simulations.world.tables import levels, text_ids, times

SCENES = ("shop", "live")
_DAY = 86_400_000_000


def turnover_share(agents: Agents, party: str) -> np.ndarray:
    """The share of each creator's turnover from sales that goes through a video platform, [n]; 0 if not there.

    Two platforms share what the outside leaves in parts that lie evenly around their mean.
    """
    member = agents.creators.member[:, :2]
    random = stream(agents.config, "turnover by platform")
    weights = random.gamma(2.0, 1.0, member.shape) * member
    outside = np.clip(agents.config.business.outside_share + 0.1 * random.standard_normal(len(member)), 0.0, 0.95)
    total = weights.sum(axis=1)
    parts = np.divide(weights, total[:, None], out=np.zeros_like(weights), where=total[:, None] > 0)
    return np.asarray(parts[:, PLATFORM_PARTIES.index(party)] * (1 - outside))


def order_rows(agents: Agents, channels: Channels, expected: float) -> pl.DataFrame:
    """Orders of a platform, about `expected`: their sum follows turnover, their number its square root."""
    config, creators, knobs = agents.config, agents.creators, agents.config.shop
    random = stream(config, f"orders {channels.party}")
    sells = creators.is_business | (stream(config, "who sells").random(len(creators)) < knobs.individual_sellers)
    share = turnover_share(agents, channels.party) * np.where(creators.is_business, 1.0, knobs.individual_turnover)
    share = np.where(sells, share, 0.0)
    who, month = channels.cell_who, channels.cell_month
    turnover = agents.business.turnover(who, month) * share[who]
    mean = np.sqrt(turnover)
    mean *= expected / max(float(mean @ channels.cell_part), 1e-9)
    counts = random.poisson(mean)
    cell = np.repeat(np.arange(len(counts)), counts)
    n, of = len(cell), who[cell]
    amount = (turnover / np.maximum(mean, 1e-9))[cell] * np.exp(0.6 * random.standard_normal(n) - 0.18)
    first = agents.timeline.first_of(month)
    length = (agents.timeline.first_of(month + 1) - first).astype(np.int64)
    offset = np.floor(random.random(n) * length[cell] * _DAY / 1_000_000).astype(np.int64) * 1_000_000
    ordered = first[cell].astype("datetime64[us]") + offset.astype("timedelta64[us]")
    own = 0.8 * random.standard_normal(len(channels.who))
    live = random.random(n) < sigmoid(logit(knobs.live_share) + own)[channels.cell_place[cell]]
    refunds = random.random(n) < sigmoid(
        logit(knobs.refund_rate)
        - knobs.refund_service * creators.service[of]
        - knobs.refund_honesty * creators.honesty[of]
    )
    back = ordered + (random.gamma(2.0, 3 * 86_400.0, n) + 3600).astype("timedelta64[s]")
    later = np.flatnonzero(ordered >= channels.registered[of].astype("datetime64[us]"))
    order = later[np.lexsort((ordered[later], channels.cell_place[cell[later]]))]
    return pl.DataFrame(
        {
            "order_id": text_ids(f"O{channels.party[-1]}", np.arange(len(order)), 9),
            "creator_id": channels.ids.gather(channels.cell_place[cell[order]].astype(np.uint32)),
            "ordered_at": times(ordered[order]),
            "channel": levels(SCENES, live[order]),
            "amount": np.maximum(0.01, np.round(amount[order], 2)),
            "currency": pl.repeat(config.currency, len(order), eager=True),
            "refunded_at": times(np.where(refunds, back, np.datetime64("NaT"))[order]),
        }
    )
