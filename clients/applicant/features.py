"""One applicant's features and flags from raw rows: the functions of whole tables, asked about one row.

    {"application_id": "A1", "tables": {"applications": [...], "bureau": [...], ...}}     at a lender
    {"as_of": "2026-03-31", "tables": {"creators": [...], "videos": [...], ...}}          at a platform

A lender's day is that of the application. Nothing is kept of the rows.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import polars as pl

from sealscore.clients.applicant.rows import applicant_tables, read_day
from sealscore.clients.applicant.used_numbers import CNY, Numbers, UsedNumbers
from sealscore.clients.data.errors import DataError, Problem
from sealscore.clients.features.build import computed, in_one_currency
from sealscore.clients.features.dictionary.dictionary import AS_OF, ID, PERSON, Kind, bounded, entries
from sealscore.clients.features.papers import NUMBERS
from sealscore.clients.features.sentiment import Sentiment

_TOLD = ("paper", "code", "reason_en", "reason_zh")
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
        columns: dict[str, list[Any]] = {PERSON: [person], AS_OF: [day]}
        if self.kind == "lender":
            columns = {ID: [given[key]], **columns}
        asked = pl.LazyFrame(columns | {"at": pl.Series([0], dtype=pl.UInt32)})
        filed, used = self._compared(frames, given[key], person, day) if self.numbers is not None else (None, None)
        raw = {name: in_one_currency(frame.lazy(), name, self.rates) for name, frame in frames.items()}
        frame, flags = computed(raw, self.kind, asked, self.sentiment, used)
        wanted = [entry.name for entry in entries(self.kind) if not entry.protected]
        # By the engine of whole tables: another one adds a row's floats in another order.
        row = bounded(frame.drop("at"), self.kind).collect().row(0, named=True)
        names = wanted if self.names is None else [name for name in wanted if name in self.names]
        raised = (
            []
            if flags is None
            else [{name: flag[name] for name in _TOLD if name in flag} for flag in flags.iter_rows(named=True)]
        )
        return ApplicantFeatures({name: row[name] for name in names}, raised, filed)

    def add(self, applicant: ApplicantFeatures) -> None:
        """Have the index know of an application from now on; UsedNumbersError where it cannot."""
        if self.numbers is not None and applicant.filed is not None:
            self.numbers.add(*applicant.filed)

    def _compared(
        self, frames: Mapping[str, pl.DataFrame], application: str, person: str, day: date
    ) -> tuple[tuple[str, date, Numbers], pl.LazyFrame]:
        """The numbers that the application filed, and which of them others used before."""
        assert self.numbers is not None
        papers = frames["identity"]
        place = _place(papers, application)
        numbers: Numbers = {
            paper: None if place is None else papers[column][place] for paper, column in NUMBERS.items()
        }
        found = self.numbers.used_by_others(person, day, numbers)
        used = pl.LazyFrame({ID: [application], **{f"{paper}_used": [shared] for paper, shared in found.items()}})
        return (person, day, numbers), used


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
