"""From a world's raw tables to features, by the code that a real party runs on its own."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from sealscore.clients.features import Built, PartyMapping, Sentiment, Settings, build_table
from sealscore.clients.features.build import REASONS, computed
from sealscore.clients.features.dictionary.dictionary import Kind, bounded
from sealscore.clients.features.raw.tables import read_tables
from sealscore.simulations.world.config import WorldConfig

KINDS: dict[str, Kind] = {"video": "short-video", "wallet": "wallet", "lender": "lender"}


def party_features(
    raw: Path, manifest: dict[str, Any], party: str, out: Path, sentiment: Sentiment, labelled: bool = True
) -> Built:
    """The features of a party of a world in `raw`, written into `out` by the party's own code.

    Of a lender those of closed loans, or of all applications where they are not to be `labelled`.
    """
    currency, kind = manifest["config"]["currency"], KINDS[manifest["parties"][party]["kind"]]
    # How many rows at fault are too many is for the plan to say, and a world is for many plans.
    settings = Settings(
        rates={currency: 1.0}, most_rejected=1.0, mapping=party_mapping(manifest, party), labelled=labelled
    )
    return build_table(raw / party, kind, out, last_day(manifest), settings, sentiment)


def features_on(
    raw: Path, manifest: dict[str, Any], party: str, asked: pl.DataFrame, sentiment: Sentiment
) -> pl.DataFrame:
    """The features of persons at a platform on days, in the rows and the order of `asked`: `creator_id` and `as_of`.

    A person may be asked about on several days, as its node would on each. Whom the platform does not know is left out.
    """
    kind = KINDS[manifest["parties"][party]["kind"]]
    sound = read_tables(
        raw / party,
        kind,
        last_day(manifest),
        mapping=party_mapping(manifest, party),
        currencies=(manifest["config"]["currency"],),
        most_rejected=1.0,
    )
    tables = {name: table.frame for name, table in sound.items()}
    held = tables["accounts" if kind == "wallet" else "creators"].select("creator_id").unique()
    rows = asked.lazy().with_row_index("at").join(held, on="creator_id", how="semi")
    frame = computed(tables, kind, rows.collect().lazy(), sentiment).drop(*REASONS[kind])
    return bounded(frame, kind).sort("at").drop("at").collect()


def party_mapping(manifest: dict[str, Any], party: str) -> PartyMapping:
    """How a party of a world names its tables and columns."""
    held = manifest["parties"][party]
    columns = {name: {"columns": table["columns"]} for name, table in held["tables"].items()}
    return PartyMapping.of(columns, KINDS[held["kind"]])


def last_day(manifest: dict[str, Any]) -> date:
    """The day after a world's calendar: all that happens has happened, and the outcomes of all loans are known."""
    calendar = WorldConfig.model_validate(manifest["config"]).calendar
    months = calendar.start.year * 12 + calendar.start.month - 1 + calendar.months
    return date(months // 12, months % 12 + 1, 1)
