"""The payment wallet: accounts, monthly flows, and bills paid in time or late."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from sealscore.simulations.world.parties.channel import DISTRESS, creator_ids
from sealscore.simulations.world.people.agents import Agents
from sealscore.simulations.world.people.latent import REGIONS, logit, sigmoid, stream
from sealscore.simulations.world.people.timeline import draw_registered
from sealscore.simulations.world.tables import days, levels, text_ids

RESIDENCES = ("urban", "rural")


@dataclass(frozen=True)
class Accounts:
    """The accounts: creators [k], account ids, days of opening, and the months held ([cells] positions and months)."""

    who: np.ndarray
    ids: pl.Series
    opened: np.ndarray
    cell_place: np.ndarray
    cell_month: np.ndarray


def draw_accounts(agents: Agents) -> Accounts:
    """One account for each creator on the wallet."""
    who = agents.creators.on("wallet")
    opened = draw_registered(agents.config, agents.creators, agents.timeline, "wallet")[who]
    place, month = agents.timeline.kept(who, opened)
    numbers = stream(agents.config, "accounts").permutation(len(who))
    return Accounts(who, text_ids("W", numbers), opened, place, month)


def account_rows(agents: Agents, accounts: Accounts) -> pl.DataFrame:
    """The table of accounts."""
    who = accounts.who
    rural = stream(agents.config, "residence").random(len(who)) < 0.32
    return pl.DataFrame(
        {
            "account_id": accounts.ids,
            "creator_id": creator_ids(agents).gather(who),
            "opened_at": days(accounts.opened),
            "region": levels(REGIONS, agents.creators.region[who]),
            "residence": levels(RESIDENCES, rural),
        }
    )


def flow_rows(agents: Agents, accounts: Accounts) -> pl.DataFrame:
    """Inflow, outflow, payers, refunds and mean balance of each month held."""
    config, creators, business = agents.config, agents.creators, agents.business
    random = stream(config, "flows")
    place, month = accounts.cell_place, accounts.cell_month
    who, k = accounts.who[place], len(accounts.who)
    part = sigmoid(logit(min(max(config.wallet.inflow_share, 0.01), 0.99)) + 0.6 * random.standard_normal(k))
    noise = random.standard_normal((4, len(place)))
    turnover = business.turnover(who, month)
    inflow = turnover * part[place] * np.exp(0.15 * noise[0])
    scale = turnover / business.ratio[who, month]
    ticket = np.exp(np.log(90.0) + 0.5 * random.standard_normal(k))
    refund = sigmoid(
        logit(config.shop.refund_rate) - config.shop.refund_service * creators.service[who] + 0.3 * noise[1]
    )
    leftover = 0.08 * agents.rules.surplus(business.ratio[who, month], who, month) * scale * part[place]
    balance = business.cash[who, month] * scale * part[place] * np.exp(config.wallet.balance_spread * noise[2])
    return pl.DataFrame(
        {
            "account_id": accounts.ids.gather(place.astype(np.uint32)),
            "month": days(agents.timeline.first_of(month)),
            "inflow": np.round(inflow, 2),
            "outflow": np.round(np.maximum(0.0, inflow * np.exp(0.05 * noise[3]) - leftover), 2),
            "payers": random.poisson(inflow / ticket[place]),
            "refunds": np.round(inflow * refund, 2),
            "balance_mean": np.round(balance + 20.0 * np.exp(noise[3]), 2),
            "currency": pl.repeat(config.currency, len(place), eager=True),
        }
    )


def bill_rows(agents: Agents, accounts: Accounts) -> pl.DataFrame:
    """One bill a month, due on a day that the account keeps; about one late bill in twelve is never paid."""
    config, creators, knobs = agents.config, agents.creators, agents.config.wallet
    random = stream(config, "bills")
    place, month = accounts.cell_place, accounts.cell_month
    who = accounts.who[place]
    day = random.integers(0, 28, len(accounts.who))[place]
    due = agents.timeline.first_of(month) + day.astype("timedelta64[D]")
    late = random.random(len(place)) < sigmoid(
        logit(knobs.late_rate)
        - knobs.late_honesty * creators.honesty[who]
        + knobs.late_leverage * creators.leverage[who]
        + knobs.late_distress * (agents.business.cash[who, month] < DISTRESS)
    )
    delay = np.where(late, 1 + random.geometric(0.08, len(place)), -random.integers(0, 8, len(place)))
    never = late & (random.random(len(place)) < 1 / 12)
    paid = np.where(never, np.datetime64("NaT", "D"), due + delay.astype("timedelta64[D]"))
    there = np.flatnonzero(due >= accounts.opened[place])
    amount = np.exp(np.log(120.0) + 0.5 * random.standard_normal(len(place)))
    return pl.DataFrame(
        {
            "account_id": accounts.ids.gather(place[there].astype(np.uint32)),
            "due_at": days(due[there]),
            "paid_at": days(paid[there]),
            "amount": np.round(amount[there], 2),
        }
    )
