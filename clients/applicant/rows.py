"""One applicant's raw rows, as JSON has them, into canonical tables.

Rows are taken strictly: of one person there is nothing to leave out, so any fault refuses all. The rules are those of
whole tables (`raw.rules`); faults name table, column and row, and quote nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from sealscore.clients.applicant.query import FrameQuery
from sealscore.clients.data.cells import ZONE
from sealscore.clients.data.errors import DataError, Problem
from sealscore.clients.features.build import MOST_VIDEOS
from sealscore.clients.features.dictionary.dictionary import PERSON, Kind
from sealscore.clients.features.raw.raw import (
    COUNT,
    DAY,
    FLAG,
    MONEY,
    RATIO,
    TABLES,
    TEXT,
    TIME,
    RawTable,
    TableRule,
    rules,
)

MOST_ROWS = MOST_VIDEOS
"""Rows of a table, at most: as many as a creator may have videos."""
_UNREAD = frozenset({"consents", "outcomes"})
_MOST_PROBLEMS = 20
_WHOLE = 2**63

Rows = list[dict[str, Any]]


def read_by(kind: Kind) -> dict[str, RawTable]:
    """The raw tables from which features follow: consents and outcomes say who is asked about, and how it ended."""
    return {name: table for name, table in TABLES[kind].items() if name not in _UNREAD}


def applicant_tables(
    given: Any, kind: Kind, today: date, currencies: tuple[str, ...], zone: str | None = None
) -> dict[str, pl.DataFrame]:
    """The tables of `read_by` with their canonical columns, of one person's rows by table.

    `given` has a list of objects for each table, empty where the person has no such row; a column that may be blank is
    null or left out. Days are written as 2026-03-31, moments in ISO 8601; those without an offset are as a clock of
    `zone` shows them (UTC where none is given).

    Raises:
        DataError: a table is missing or unknown, a row breaks a rule of its table, or rows are of several persons.
    """
    known = read_by(kind)
    if not isinstance(given, dict):
        raise DataError([Problem("tables", "they are no object", f"give an object with {', '.join(known)}")])
    problems = [
        Problem(name, "the table is missing", "give its rows, or [] where the person has none")
        for name in known
        if name not in given
    ]
    if not given.keys() <= known.keys():
        fix = f"leave it out; features of this kind of party follow from {', '.join(known)}"
        problems.append(Problem("tables", "a table that is not read", fix))
    if problems:
        raise DataError(problems)
    frames: dict[str, pl.DataFrame] = {}
    held: dict[str, Rows] = {}
    for name, table in known.items():
        faults = _shape(name, table, given[name])
        if not faults:
            held[name], faults = _read(name, table, given[name], zone)
            if not faults:
                frames[name] = pl.DataFrame(held[name], schema=table.columns) if held[name] else _no_row(name, kind)
                faults = _repeated(held[name], table, name)
        problems += faults
    problems += _broken(frames, kind, today, currencies)
    if len({row[PERSON] for rows in held.values() for row in rows if PERSON in row}) > 1:
        problems.append(Problem("tables", "rows of more than one person", "give those of one", PERSON))
    if problems:
        raise DataError(problems[:_MOST_PROBLEMS])
    return {name: _owned(frame, name, held, known) for name, frame in frames.items()}


@lru_cache
def _no_row(name: str, kind: Kind) -> pl.DataFrame:
    return pl.DataFrame(schema=TABLES[kind][name].columns)


def _owned(frame: pl.DataFrame, name: str, held: Mapping[str, Rows], known: Mapping[str, RawTable]) -> pl.DataFrame:
    """The rows that are the person's, as in whole tables: who owns what names an unknown account is not known."""
    if PERSON in frame.columns:
        return frame
    owner, (key, *_) = next((owner, table.key) for owner, table in known.items() if table.owner)
    theirs = {row[key] for row in held[owner]}
    own = [row[key] in theirs for row in held[name]]
    return frame if all(own) else frame.filter(pl.Series(own))


def _shape(name: str, table: RawTable, rows: Any) -> list[Problem]:
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        return [Problem(name, "it is no list of rows", "give a list of objects, [] where there is no row")]
    if len(rows) > MOST_ROWS:
        return [Problem(name, f"more than {MOST_ROWS:,} rows", "see whether they are all of one person")]
    strange = tuple(at for at, row in enumerate(rows, 1) if not row.keys() <= table.columns.keys())
    if strange:
        fix = f"leave it out; the columns are {', '.join(table.columns)}"
        return [Problem(name, "a column that the table has not", fix, rows=strange)]
    return []


def _read(name: str, table: RawTable, rows: Rows, zone: str | None) -> tuple[Rows, list[Problem]]:
    """The rows with each value as its column has it."""
    found: Rows = [{} for _ in rows]
    problems = []
    for column, dtype in table.columns.items():
        read, wanted = _READERS[dtype]
        unread, blank = [], []
        for at, row in enumerate(rows):
            value = row.get(column)
            if value is None:
                blank.append(at + 1)
            else:
                try:
                    value = read(value, zone)
                except (ValueError, OverflowError):
                    unread.append(at + 1)
            found[at][column] = value
        if unread:
            problems.append(Problem(name, f"no {wanted}", f"give a {wanted}", column, tuple(unread)))
        elif blank and column not in table.blank:
            problems.append(Problem(name, "a value is missing", "fill it in", column, tuple(blank)))
    return found, problems


def _broken(frames: Mapping[str, pl.DataFrame], kind: Kind, today: date, currencies: tuple[str, ...]) -> list[Problem]:
    """What the rules of the tables say, asked all at once: a query costs more than what is in it."""
    found, query = _rules(kind, today, currencies)
    (bad,) = query.of({name: frames[name] if name in frames else _no_row(name, kind) for name in read_by(kind)}).rows()
    return [
        Problem(name, rule.value, rule.fix, rule.column, _places(frames[name], rule.bad))
        for (name, rule), breaks in zip(found, bad, strict=True)
        if breaks
    ]


@lru_cache(8)
def _rules(kind: Kind, today: date, currencies: tuple[str, ...]) -> tuple[list[tuple[str, TableRule]], FrameQuery]:
    """The rules of all tables on a day, and a query that says of each whether any row breaks it."""
    tables = read_by(kind)
    found = {name: rules(name, table, today, currencies) for name, table in tables.items()}

    def asked(frames: Mapping[str, pl.LazyFrame]) -> pl.LazyFrame:
        broken = [
            frames[name].select(rule.bad.any().alias(f"{name} {at}") for at, rule in enumerate(of))
            for name, of in found.items()
        ]
        return pl.concat(broken, how="horizontal")

    query = FrameQuery({name: table.columns for name, table in tables.items()}, asked)
    return [(name, rule) for name, of in found.items() for rule in of], query


def _places(frame: pl.DataFrame, bad: pl.Expr) -> tuple[int, ...]:
    return tuple((frame.select(bad.fill_null(False).arg_true() + 1)).to_series().to_list())


def _repeated(rows: Rows, table: RawTable, name: str) -> list[Problem]:
    if not table.key:
        return []
    seen, later = set(), []
    for at, row in enumerate(rows, 1):
        key = tuple(row[column] for column in table.key)
        if key in seen:
            later.append(at)
        seen.add(key)
    value = "the row repeats an earlier one's " + " and ".join(table.key)
    return [Problem(name, value, "give each row once", table.key[0], tuple(later))] if later else []


def _text(value: Any, zone: str | None) -> str:
    if not isinstance(value, str):
        raise ValueError
    if not value.isascii():
        value.encode()  # half of a surrogate pair is no character
    return value


def _count(value: Any, zone: str | None) -> int:
    if type(value) is not int or not -_WHOLE <= value < _WHOLE:
        raise ValueError
    return value


def _number(value: Any, zone: str | None) -> float:
    if type(value) is not int and type(value) is not float:
        raise ValueError
    return float(value)


def _flag(value: Any, zone: str | None) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


def read_day(value: Any, zone: str | None = None) -> date:
    """A day that is written as 2026-03-31; ValueError for anything else."""
    if not isinstance(value, str) or len(value) != 10 or value[4:8:3] != "--":
        raise ValueError
    return date.fromisoformat(value)


def _moment(value: Any, zone: str | None) -> datetime:
    """What a clock of the zone shows."""
    if not isinstance(value, str) or len(value) < 10 or value[4:8:3] != "--":
        raise ValueError
    found = datetime.fromisoformat(value)
    if found.tzinfo is None:
        return found
    return found.astimezone(UTC if zone in (None, ZONE) else ZoneInfo(zone)).replace(tzinfo=None)


_READERS: dict[pl.DataType, tuple[Callable[[Any, str | None], Any], str]] = {
    TEXT: (_text, "text in whole characters"),
    COUNT: (_count, "whole number"),
    MONEY: (_number, "number"),
    RATIO: (_number, "number"),
    FLAG: (_flag, "true or false"),
    DAY: (read_day, "day as 2026-03-31"),
    TIME: (_moment, "moment as 2026-03-31T12:00:00Z"),
}
"""Of each type of a raw table how a value is read, and what it is in words."""
