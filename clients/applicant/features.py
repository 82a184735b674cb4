"""One applicant's features and flags from raw rows: the functions of whole tables, asked about one row.

    {"application_id": "A1", "tables": {"applications": [...], "bureau": [...], ...}}     at a lender
    {"as_of": "2026-03-31", "tables": {"creators": [...], "videos": [...], ...}}          at a platform

A lender's day is that of the application. Nothing is kept of the rows.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cache, lru_cache
from typing import Any

import polars as pl

from sealscore.clients.applicant.query import FrameQuery
from sealscore.clients.applicant.rows import applicant_tables, read_by, read_day
from sealscore.clients.applicant.used_numbers import CNY, Numbers, UsedNumbers
from sealscore.clients.data.errors import DataError, Problem
from sealscore.clients.features.build import REASONS, computed, in_one_currency
from sealscore.clients.features.dictionary.dictionary import AS_OF, ID, KINDS, PERSON, Kind, bounded, entries
from sealscore.clients.features.papers import NUMBERS
from sealscore.clients.features.raw.raw import COUNT, DAY, FLAG, TABLES, TEXT
from sealscore.clients.features.raw.windows import AS_ASKED
from sealscore.clients.features.sentiment import Sentiment

_DATED: dict[str, pl.DataType] = {AS_ASKED: DAY, "at": pl.UInt32()}
_ASKED: Mapping[Kind, dict[str, pl.DataType]] = {
    kind: {PERSON: TEXT, AS_OF: DAY, "at": pl.UInt32()} | ({ID: TEXT} if kind == "lender" else {}) for kind in KINDS
}
_COMPARED: dict[str, pl.DataType] = {"age": COUNT, **{f"{paper}_used": FLAG for paper in NUMBERS}}
_OWNERS: Mapping[Kind, str] = {"short-video": "creators", "wallet": "accounts", "lender": "applications"}


@dataclass(frozen=True)
class ApplicantFeatures:
    """`features` by name, as `POST /v1/scores` takes them: numbers, levels as text, None where missing.

    `flags` are for the person who decides: code, reason_en, reason_zh, and at a lender the paper. `filed` is what the
    index of used numbers may be told of the application: person, day and numbers; None at a platform.
    """

    features: dict[str, float | int | str | None] = field(repr=False)
    flags: list[dict[str, str]] = field(repr=False)
    filed: tuple[str, date, Numbers] | None = field(default=None, repr=False)


@dataclass(frozen=True)
class OneApplicant:
    """How a party computes one applicant's features: for the features of its plan, with its rates and zone of days.

    `names` are those of the plan, all that are not protected where none are given. `numbers` is a lender's index of the
    numbers that others used; `sentiment` the model that reads comments at a short-video platform.

    Raises:
        ValueError: a lender without its index.
    """

    kind: Kind
    rates: Mapping[str, float] = field(default_factory=lambda: dict(CNY))
    zone: str | None = None
    names: Collection[str] | None = None
    numbers: UsedNumbers | None = None
    sentiment: Sentiment | None = None

    def __post_init__(self) -> None:
        if self.kind == "lender" and self.numbers is None:
            raise ValueError("a lender's checks compare applicants; give the index of used numbers")

    @classmethod
    def at_lender(cls, numbers: UsedNumbers, names: Collection[str] | None = None) -> OneApplicant:
        """With the rates and the zone that the index was built with; UsedNumbersError where it was not."""
        rates, zone = numbers.read_by
        return cls("lender", rates, zone, names, numbers)

    def of(self, given: Any, today: date) -> ApplicantFeatures:
        """The features of who is asked about, with what was there by today.

        Raises:
            DataError: the rows cannot be used (see `rows.applicant_tables`), or nobody is asked about.
            UsedNumbersError: the index cannot be read.
        """
        key = ID if self.kind == "lender" else AS_OF
        if not isinstance(given, dict) or given.keys() != {key, "tables"}:
            raise DataError([Problem("body", "it does not ask about one applicant", f"give {key} and tables")])
        frames = applicant_tables(given["tables"], self.kind, today, tuple(self.rates), self.zone)
        owner = frames[_OWNERS[self.kind]]
        place = _place(owner, given[key]) if self.kind == "lender" else (None if owner.is_empty() else 0)
        if place is None:
            fix = f"give the row of {_OWNERS[self.kind]} that it is about"
            raise DataError([Problem("body", "nobody is asked about", fix, PERSON if key == AS_OF else ID)])
        person = owner[PERSON][place]
        day = owner["applied_at"][place] if self.kind == "lender" else _as_of(given[key], today)
        asked, filed = {PERSON: person, AS_OF: day, "at": 0}, None
        if self.numbers is not None:
            papers = _place(frames["identity"], given[key])
            frames["applications"] = owner.slice(place, 1)
            frames["identity"] = frames["identity"].slice(papers or 0, 0 if papers is None else 1)
            asked[ID] = given[key]
            filed, frames["identity"] = self._compared(frames["identity"], owner["age"][place], person, day)
        query = _query(self.kind, tuple(sorted(self.rates.items())), _Same(self.sentiment))
        row = query.of(_dated(frames, day) | {"asked": pl.DataFrame([asked], schema=_ASKED[self.kind])}).row(
            0, named=True
        )
        names = _told(self.kind) if self.names is None else [name for name in _told(self.kind) if name in self.names]
        flags = [dict(told) for code, told in REASONS[self.kind].items() if row[code]]
        return ApplicantFeatures({name: row[name] for name in names}, flags, filed)

    def add(self, applicant: ApplicantFeatures) -> None:
        """Have the index know of an application from now on; UsedNumbersError where it cannot."""
        if self.numbers is not None and applicant.filed is not None:
            self.numbers.add(*applicant.filed)

    def _compared(
        self, papers: pl.DataFrame, age: int | None, person: str, day: date
    ) -> tuple[tuple[str, date, Numbers], pl.DataFrame]:
        """The numbers that the application filed, and its papers beside the age and which numbers others used."""
        assert self.numbers is not None
        numbers: Numbers = {paper: _only(papers[column]) for paper, column in NUMBERS.items()}
        found = self.numbers.used_by_others(person, day, numbers)
        beside = [{"age": age} | {f"{paper}_used": shared for paper, shared in found.items()}]
        compared = pl.DataFrame(beside, schema=_COMPARED).slice(0, papers.height)
        return (person, day, numbers), papers.hstack(compared)


class _Same:
    """A model that is another one where it is another object: its arrays are not compared."""

    def __init__(self, model: Sentiment | None) -> None:
        self.model = model

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.model is self.model

    def __hash__(self) -> int:
        return id(self.model)


@lru_cache(8)
def _query(kind: Kind, rates: tuple[tuple[str, float], ...], sentiment: _Same) -> FrameQuery:
    """All features of an applicant's row, and which flags are raised."""

    def made(frames: Mapping[str, pl.LazyFrame]) -> pl.LazyFrame:
        raw = {name: in_one_currency(frame, name, dict(rates)) for name, frame in frames.items()}
        return bounded(computed(raw, kind, frames["asked"], sentiment.model, alone=True), kind)

    schemas = {name: table.columns | _DATED for name, table in read_by(kind).items()}
    if kind == "lender":
        schemas["identity"] = TABLES[kind]["identity"].columns | _COMPARED | _DATED
    return FrameQuery(schemas | {"asked": _ASKED[kind]}, made)


@cache
def _told(kind: Kind) -> list[str]:
    """The features that an answer has."""
    return [entry.name for entry in entries(kind) if not entry.protected]


def _dated(frames: Mapping[str, pl.DataFrame], day: date) -> dict[str, pl.DataFrame]:
    """The rows as those of the one who is asked about."""
    dated = pl.DataFrame([{AS_ASKED: day, "at": 0}], schema=_DATED)
    beside = [dated[name] for name in _DATED]
    return {
        name: frame.hstack([column.new_from_index(0, frame.height) for column in beside])
        for name, frame in frames.items()
    }


def _only(column: pl.Series) -> Any:
    """The value of the only row, None where there is none."""
    return column[0] if len(column) else None


def _place(table: pl.DataFrame, application: Any) -> int | None:
    """The row of an application; None where there is none."""
    known = table[ID].to_list()
    return known.index(application) if application in known else None


def _as_of(written: Any, today: date) -> date:
    try:
        day = read_day(written)
    except ValueError:
        raise DataError([Problem("body", "no day", "give a day as 2026-03-31", AS_OF)]) from None
    if day > today:
        raise DataError([Problem("body", "it lies in the future", "give today, or an earlier day", AS_OF)])
    return day
