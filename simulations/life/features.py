"""The features of all applications of a life, by each party's own code from its own raw tables, as of their days.

Raw tables follow from the world alone and no scored feature reads what a lender decided, so they are built once.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from sealscore.clients.data import Table, check_table
from sealscore.clients.features import Sentiment
from sealscore.shared.persons.identifiers import NORMAL_FORMS
from sealscore.shared.persons.records import Records
from sealscore.shared.plan.plan import Plan
from sealscore.shared.serving.watch import LONGEST_QUARTER, first_day, quarter_after, quarter_of
from sealscore.simulations.life.config import FIRST_MONTH, LifeConfig
from sealscore.simulations.life.market import Filed, ungranted
from sealscore.simulations.world.build import write_world
from sealscore.simulations.world.config import PLATFORM_PARTIES
from sealscore.simulations.world.parties.channel import creator_ids
from sealscore.simulations.world.parties.lender import application_ids
from sealscore.simulations.world.parties.wallet import account_rows, bill_rows, draw_accounts, flow_rows
from sealscore.simulations.world.party_features import features_on, party_features
from sealscore.simulations.world.people.agents import Agents
from sealscore.simulations.world.tables import days, write_table

WATCHING = "wallet"
"""The platform that tells watch bits."""
WATCHED_MONTHS = 14
_ID = "application_id"


@dataclass(frozen=True)
class LifeFeatures:
    """Of each application, [a]: ids, persons, and the lender's record; of each platform the records of those it knows.

    `own` are records of the lenders' table, in the order of applications. `platforms` has of each platform its records
    and `rows` the place of an application's record in them, -1 where the platform does not know the person. `watched`
    has of each platform that tells a watch bit its records on the first days of quarters, of all who may be watched.
    """

    ids: list[str]
    persons: list[str]
    own: Records
    platforms: Mapping[str, Records]
    rows: Mapping[str, np.ndarray]
    watched: Mapping[str, Mapping[date, Records]]

    def given(self, at: int) -> dict[str, Any]:
        """The features of an application as a lender's system sends them."""
        found: dict[str, Any] = {}
        for feature in self.own.schema.features:
            value = float(self.own.columns[feature.name][at])
            if feature.protected or np.isnan(value):
                continue
            found[feature.name] = feature.levels[int(value)] if feature.kind == "categorical" else value
        return found

    def value(self, name: str, at: int) -> float:
        """A column of the lenders' table for an application, NaN where it is missing."""
        return float(self.own.columns[name][at])


def life_features(
    config: LifeConfig, agents: Agents, filed: Filed, plan: Plan, tell: Callable[[str], None]
) -> LifeFeatures:
    """Write the raw tables of a life's world aside, and compute from them."""
    loans = ungranted(filed)
    with tempfile.TemporaryDirectory(prefix="sealscore-life-") as folder:
        raw = Path(folder)
        manifest = write_world(agents, loans, raw, lambda what: tell(f"world of the life: {what}"))
        _write_wallet(agents, raw)
        ids, persons = application_ids(agents, loans), creator_ids(agents).gather(filed.who)
        sentiment = Sentiment.shipped()
        lender = agents.config.lending.lenders[0].name
        tell("features of applications")
        built = party_features(raw, manifest, lender, raw / "built", sentiment, labelled=False)
        order = pl.DataFrame({_ID: ids})
        own = _records(order.join(pl.read_parquet(built.table), on=_ID, maintain_order="left"), plan, plan.lenders)
        asked = pl.DataFrame({_ID: ids, "creator_id": persons, "as_of": days(filed.applied)})
        platforms, rows = {}, {}
        for party in PLATFORM_PARTIES:
            tell(f"features of {party}")
            frame = features_on(raw, manifest, party, asked, sentiment)
            platforms[party], rows[party] = _platform(frame, plan, party, ids)
        tell(f"features of {WATCHING} on the first days of quarters")
        frame = features_on(raw, manifest, WATCHING, _to_watch(config, persons, filed), sentiment)
        days_of = frame.partition_by("as_of", as_dict=True)
        watched = {WATCHING: {day: _on_day(of, plan) for (day,), of in days_of.items()}}
    return LifeFeatures(ids.to_list(), persons.to_list(), own, platforms, rows, watched)


def _write_wallet(agents: Agents, raw: Path) -> None:
    """The wallet's tables to the end of all watches: in a world each platform holds a month after an application."""
    timeline = agents.timeline
    kept_to = np.minimum(timeline.kept_to + WATCHED_MONTHS, agents.config.calendar.months - 1)
    longer = dataclasses.replace(agents, timeline=dataclasses.replace(timeline, kept_to=kept_to))
    accounts = draw_accounts(longer)
    for table, rows in (("accounts", account_rows), ("flows", flow_rows), ("bills", bill_rows)):
        write_table(raw, WATCHING, table, rows(longer, accounts))


def _to_watch(config: LifeConfig, persons: pl.Series, filed: Filed) -> pl.DataFrame:
    """Persons and first days of quarters on which they may be watched: `creator_id`, `as_of`."""
    quarter, asked = quarter_of(FIRST_MONTH), list[pl.DataFrame]()
    last = np.datetime64(FIRST_MONTH, "M") + config.months
    longest = np.timedelta64((config.watch.quarters + 1) * LONGEST_QUARTER)
    while (day := np.datetime64(first_day(quarter), "D")) <= last:
        of = np.unique(np.flatnonzero((filed.applied < day) & (filed.applied >= day - longest)))
        who = persons.gather(of.astype(np.uint32)).unique(maintain_order=True)
        asked.append(pl.DataFrame({"creator_id": who, "as_of": days(np.repeat(day, len(who)))}))
        quarter = quarter_after(quarter, 1)
    return pl.concat(asked)


def _on_day(frame: pl.DataFrame, plan: Plan) -> Records:
    """Checked records of one day, a row a person."""
    return _records(frame, plan, plan.party(WATCHING).group)


def _platform(frame: pl.DataFrame, plan: Plan, party: str, ids: pl.Series) -> tuple[Records, np.ndarray]:
    """Checked records of a platform, one an application; and the place of each application's."""
    known, group = frame[_ID].to_list(), plan.party(party).group
    # A table has a row a person, and a life asks again on later days: each row stands for itself in the check.
    form = NORMAL_FORMS[plan.alignment.identifier]
    person = [form(one) for one in frame["creator_id"].to_list()]
    found = _records(frame.with_columns(pl.col(_ID).alias("creator_id")), plan, group)
    place = {one: row for row, one in enumerate(known)}
    rows = np.array([place.get(one, -1) for one in ids.to_list()], dtype=np.int64)
    return dataclasses.replace(found, person=tuple(person)), rows


def _records(frame: pl.DataFrame, plan: Plan, group: str) -> Records:
    """What a party's own check of its table gives; who consents is the life's to say."""
    schema = plan.groups[group].table
    if schema.consent is not None:
        frame = frame.with_columns(pl.lit("federation").alias(schema.consent))
    checked = check_table(
        Table.of(frame, f"the life's table of {group}"),
        schema,
        label_required=False,
        max_records_per_person=frame.height,
        identifier=plan.alignment.identifier,
    )
    return dataclasses.replace(checked.records, consent=None)
