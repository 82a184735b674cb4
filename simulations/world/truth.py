"""What is true and no party knows, as tables: for those who judge a model, never for those who train it."""

from __future__ import annotations

import numpy as np
import polars as pl

from sealscore.simulations.world.config import PLATFORM_PARTIES
from sealscore.simulations.world.people.agents import Agents
from sealscore.simulations.world.people.lending import PRODUCTS, Loans
from sealscore.simulations.world.tables import days, levels

LATENTS = ("quality", "stability", "leverage", "honesty", "size", "service")
_SINGLE = pl.Float32()


def creator_truth(agents: Agents, ids: pl.Series) -> pl.DataFrame:
    """A row a creator: latents, frauds, and on which platforms they are."""
    creators, frauds = agents.creators, agents.frauds
    member = creators.member
    on = [
        pl.when(pl.lit(pl.Series(member[:, place]))).then(pl.lit(party)) for place, party in enumerate(PLATFORM_PARTIES)
    ]
    return pl.DataFrame(
        {
            "creator_id": ids,
            **{name: getattr(creators, name) for name in LATENTS},
            "credit": agents.credit,
            "is_business": creators.is_business,
            "buys_traffic": frauds.buys_traffic,
            "false_identity": frauds.false_identity,
            "false_licence": frauds.false_licence,
            "papers_show": frauds.papers_show,
            "thin_file": creators.thin_file,
            "typical_turnover": agents.business.typical,
            "growth": agents.business.growth,
        }
    ).with_columns(pl.concat_list(on).list.drop_nulls().alias("platforms"))


def application_truth(agents: Agents, loans: Loans, ids: pl.Series, creators: pl.Series) -> pl.DataFrame:
    """A row an application, declined ones too: what it would have come to, its true PD, state and cash at that time."""
    month = agents.timeline.month_of(loans.applied)
    names = tuple(lender.name for lender in agents.config.lending.lenders)
    return pl.DataFrame(
        {
            "application_id": ids,
            "creator_id": creators.gather(loans.who),
            "lender": levels(names, loans.lender),
            "product": levels(PRODUCTS, loans.product),
            "applied_at": days(loans.applied),
            "month": month,
            "state": agents.business.state[loans.who, month],
            "cash": agents.business.cash[loans.who, month + 1],
            "instalment_share": loans.instalment / agents.business.turnover(loans.who, month),
            "approved": loans.approved,
            "bad_if_granted": loans.bad.astype(np.int8),
            "pd": pl.Series(loans.pd).fill_nan(None),
        }
    )


def month_truth(agents: Agents, ids: pl.Series) -> pl.DataFrame:
    """A row a creator and month: state, turnover and cash."""
    n, months = agents.business.state.shape
    who, month = np.repeat(np.arange(n), months), np.tile(np.arange(months), n)
    return pl.DataFrame(
        {
            "creator_id": ids.gather(who.astype(np.uint32)),
            "month": month.astype(np.int16),
            "state": agents.business.state.ravel(),
            "turnover": pl.Series(agents.business.turnover(who, month)).cast(_SINGLE),
            "cash": agents.business.cash.ravel(),
        }
    )
