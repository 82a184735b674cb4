"""From a world's raw tables to features, by the code that a real party runs on its own."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

from sealscore.clients.features import Built, PartyMapping, Sentiment, Settings, build_table
from sealscore.clients.features.dictionary.dictionary import Kind
from sealscore.simulations.world.config import WorldConfig

KINDS: dict[str, Kind] = {"video": "short-video", "wallet": "wallet", "lender": "lender"}


def party_features(raw: Path, manifest: dict[str, Any], party: str, out: Path, sentiment: Sentiment) -> Built:
    """The features of a party of a world in `raw`, written into `out` by the party's own code."""
    currency, kind = manifest["config"]["currency"], KINDS[manifest["parties"][party]["kind"]]
    # How many rows at fault are too many is for the plan to say, and a world is for many plans.
    settings = Settings(rates={currency: 1.0}, most_rejected=1.0, mapping=party_mapping(manifest, party))
    return build_table(raw / party, kind, out, last_day(manifest), settings, sentiment)


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
