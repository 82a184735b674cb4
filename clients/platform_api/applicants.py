"""How a platform computes one creator's features from raw rows."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from sealscore.clients.applicant.desk import Made, names_of, raw_kind
from sealscore.clients.applicant.features import OneApplicant
from sealscore.clients.features.sentiment import Sentiment
from sealscore.shared.plan.schema import TableSchema


def made_at_platform(rates: Mapping[str, float], zone: str | None) -> Made:
    """For each plan's table, with this platform's rates of currencies and zone of days."""
    read = cache(Sentiment.shipped)

    def made(table: TableSchema) -> OneApplicant:
        kind = raw_kind(table, "short-video", "wallet")
        sentiment = read() if kind == "short-video" else None
        return OneApplicant(kind, rates, zone, names_of(table), sentiment=sentiment)

    return made
