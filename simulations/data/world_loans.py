"""The loans of a creator world as its lenders would count them under a plan: without channels, which take the time."""

from __future__ import annotations

from datetime import date

import polars as pl

from sealscore.clients.data import DataError, Problem, Table
from sealscore.clients.monitoring.passages import with_passages
from sealscore.clients.watch.months import last_day, month_number
from sealscore.shared.plan.plan import Plan
from sealscore.simulations.world.config import WorldConfig
from sealscore.simulations.world.parties.channel import creator_ids
from sealscore.simulations.world.parties.consents import draw_consents
from sealscore.simulations.world.parties.lender import application_ids, lender_tables
from sealscore.simulations.world.people.agents import draw_agents
from sealscore.simulations.world.people.lending import draw_loans

_LOAN = "application_id"


def world_loans(config: WorldConfig, plan: Plan) -> dict[str, pl.DataFrame]:
    """A row for each loan that a lender of the plan granted, by the lender: what it knew of the applicant, and months.

    Months run until the plan's cut-off day.

    Raises:
        DataError: the world has no lender of a name.
    """
    knobs = config.model_copy(update={"lending": config.lending.model_copy(update={"pd_rollouts": 0})})
    agents = draw_agents(knobs)
    loans = draw_loans(agents)
    names = [lender.name for lender in config.lending.lenders]
    if strange := [party.name for party in plan.parties if party.name not in names]:
        fix = f"name lenders of the world: {', '.join(names)}"
        raise DataError([Problem("parties", f"the world has no lender {', '.join(strange)}", fix)])
    tables: dict[str, dict[str, pl.DataFrame]] = {name: {} for name in names}
    written = lender_tables(
        agents, loans, draw_consents(agents, loans), creator_ids(agents), application_ids(agents, loans)
    )
    for place, table, frame in written:
        tables[names[place]][table] = frame
    return {party.name: _loans(tables[party.name], plan.outcome.cutoff) for party in plan.parties}


def _loans(tables: dict[str, pl.DataFrame], until: date) -> pl.DataFrame:
    known = tables["bureau"].select(
        "creator_id", pl.col("as_of").dt.offset_by("1d").alias("applied_at"), pl.col("score").alias("bureau_score")
    )
    granted = (
        tables["applications"]
        .join(tables["repayments"].select(_LOAN).unique(), on=_LOAN, how="semi", maintain_order="left")
        .join(
            known.unique(["creator_id", "applied_at"], keep="first", maintain_order=True),
            on=["creator_id", "applied_at"],
            how="left",
            maintain_order="left",
        )
    )
    rows = month_ends(granted.select(_LOAN, "applied_at"), tables["repayments"], until)
    return with_passages(Table.of(granted, "the world's loans"), _LOAN, rows).frame


def month_ends(opened: pl.DataFrame, instalments: pl.DataFrame, until: date) -> pl.DataFrame:
    """Days past due of each loan at the end of each month from that in which it was opened, over by `until`.

    `opened` has a loan's day (`applied_at`), `instalments` when each fell due and was paid. Days past due are those of
    the oldest instalment that was open at the end of that day.
    """
    first, last = month_number(str(opened["applied_at"].min())), month_number(str(until))
    months = range(first, last + 1)
    ends = pl.DataFrame({"month": months, "end": [last_day(month) for month in months]})
    ends = ends.filter(pl.col("end") <= until)
    grid = opened.join(ends, how="cross").filter(pl.col("end") >= pl.col("applied_at"))
    still_open = pl.col("paid_at").is_null() | (pl.col("paid_at") > pl.col("end"))
    late = (
        instalments.select(_LOAN, "due_at", "paid_at")
        .join(ends, how="cross")
        .filter((pl.col("due_at") < pl.col("end")) & still_open)
        .group_by(_LOAN, "month")
        .agg((pl.col("end") - pl.col("due_at")).dt.total_days().max().alias("days_past_due"))
    )
    return grid.join(late, on=[_LOAN, "month"], how="left").select(
        pl.col(_LOAN).alias("loan"),
        pl.col("month").cast(pl.Int64),
        pl.col("days_past_due").fill_null(0).cast(pl.Int64),
    )
