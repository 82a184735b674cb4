"""From tables to all that a plan says of them: who holds what, each column's feature, and what the counts ask for."""

from __future__ import annotations

import math
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from sklearn.metrics import roc_auc_score

from sealscore.clients.data.cells import levels, numbers, texts
from sealscore.shared.plan.errors import PlanError
from sealscore.simulations.data.any_table import read_any
from sealscore.simulations.draft.columns import ColumnGuess, guess
from sealscore.simulations.draft.identifiers import RECORD, Identifiers, find_identifiers
from sealscore.simulations.draft.names import resolve_all
from sealscore.simulations.draft.outcome import OutcomeLabel, find_label
from sealscore.simulations.draft.series import derived

LENDER, PLATFORM = "lender", "platform"
LENDERS = 3
EPSILON, LABEL_EPSILON = 1.0, 2.0
MOST_DELTA = 1e-5
TELLS_ALL = 0.98
"""AUC of one column by itself from which it is taken for the outcome in other words, and left out."""
_CELLS = 32


@dataclass(frozen=True)
class Wishes:
    """What the researcher says; None leaves it to be guessed. `platform` lists columns, as "LIMIT_BAL, PAY_*"."""

    label: str | None = None
    bad: str | None = None
    good: str | None = None
    id: str | None = None
    person: str | None = None
    lenders: int | None = None
    platform: str | None = None
    epsilon: float = EPSILON
    label_epsilon: float = LABEL_EPSILON


@dataclass(frozen=True)
class Side:
    """One group of the plan: its parties with their nominal records, its identifiers, its columns, what they give."""

    group: str
    parties: dict[str, int]
    identifiers: Identifiers
    columns: tuple[ColumnGuess, ...]
    derived: tuple[ColumnGuess, ...] = ()

    @property
    def features(self) -> list[ColumnGuess]:
        """The columns that the plan reads."""
        return [column for column in self.columns if column.feature is not None]

    @property
    def protected(self) -> list[ColumnGuess]:
        """Those that may enter the evaluation only."""
        return [column for column in self.features if column.protected]


@dataclass(frozen=True)
class Draft:
    """All that was found in the tables.

    `persons` and `records` are those of the lenders, `dropped` how many records are more than one of a person,
    `spread` at how many lenders a person is at most, and `overlap` the persons whom a lender and a platform share, at
    least. `dataset` and `tables` are the files as `[simulation]` names them.
    """

    name: str
    sources: tuple[str, ...]
    told: tuple[str, ...]
    label: OutcomeLabel
    lenders: Side
    platforms: tuple[Side, ...]
    records: int
    persons: int
    spread: int
    overlap: int
    dataset: str
    tables: dict[str, str]

    @property
    def dropped(self) -> int:
        """Records beyond the first of each person, which max_records_per_person = 1 leaves out."""
        return self.records - self.persons if self.spread == 1 else 0

    @property
    def sides(self) -> tuple[Side, ...]:
        """All groups, the lenders' first."""
        return (self.lenders, *self.platforms)

    @property
    def numbered(self) -> bool:
        """Whether records are numbered, since nothing names them."""
        return any(side.identifiers.id is None for side in self.sides)

    @property
    def delta(self) -> float:
        """A power of ten below one over twice the persons, at most MOST_DELTA."""
        return min(MOST_DELTA, float(f"1e{-math.ceil(math.log10(2 * max(1, self.persons)))}"))


@dataclass(frozen=True)
class _Table:
    path: Path
    frame: pl.DataFrame
    told: tuple[str, ...]

    @property
    def where(self) -> str:
        return self.path.name


def drafted(paths: Sequence[Path], wishes: Wishes, folder: Path) -> Draft:
    """What a plan on these tables says, for a file in `folder`.

    Tables with the label are lenders': one is dealt out, of several each is a lender's. Tables without it are
    platforms', matched by the person.

    Raises:
        DataError: a table cannot be read.
        PlanError: something cannot be guessed; it names the option that says it.
    """
    tables = []
    for path in paths:
        found, told = read_any(path)
        tables.append(_Table(path, found.frame, tuple(told)))
    label, lending = _lending(tables, wishes)
    others = [table for table in tables if table not in lending]
    if others and wishes.platform is not None:
        raise PlanError("--platform", ["takes columns of one table; here the platforms have tables of their own"])
    frame = _stacked(lending)
    identifiers = find_identifiers([table.frame for table in lending], wishes.id, wishes.person)
    if others and identifiers.person_column == RECORD:
        raise PlanError(lending[0].where, ["nothing names the persons whom parties share; say it, --id COLUMN"])
    frame = frame.filter(pl.Series(~np.isnan(label.outcomes(frame[label.column]))))
    known = {label.column, identifiers.id, identifiers.person}
    outcomes = label.outcomes(frame[label.column])
    columns = [_checked(guess(frame[name]), frame[name], outcomes) for name in frame.columns if name not in known]
    at_platform = resolve_all(wishes.platform, [c.name for c in columns], "--platform") if wishes.platform else []
    persons, spread = _persons(lending, identifiers, label)
    lenders = _lenders(lending, wishes, len(persons), bool(at_platform or others))
    own_columns = tuple(column for column in columns if column.name not in at_platform)
    side = Side(LENDER, lenders, identifiers, own_columns, _derived(own_columns, frame, outcomes))
    platforms: list[Side] = []
    own: dict[str, str] = {}
    overlap = len(persons)
    if at_platform:
        theirs = tuple(column for column in columns if column.name in at_platform)
        series = _derived(theirs, frame, outcomes)
        platforms.append(Side(PLATFORM, {PLATFORM: len(persons)}, identifiers, theirs, series))
    for table in others:
        made, names = _platform(table, identifiers, taken=[other.group for other in platforms])
        platforms.append(made)
        own[made.group] = _seen(table.path, folder)
        overlap = min(overlap, len(persons & names))
    if len(lending) > 1:
        own |= {party: _seen(table.path, folder) for party, table in zip(lenders, lending, strict=True)}
    for one in (side, *platforms):
        if len(one.features) == len(one.protected):
            raise PlanError(lending[0].where, [f"no column is left for the score at the {one.group}"])
    return Draft(
        name=_slug(lending[0].path.stem) or "draft",
        sources=tuple(table.where for table in tables),
        told=tuple(f"{table.where}: {what}" for table in tables for what in table.told),
        label=label,
        lenders=side,
        platforms=tuple(platforms),
        records=frame.height,
        persons=len(persons),
        spread=spread,
        overlap=overlap // len(lenders),
        dataset=_seen(lending[0].path, folder),
        tables=own,
    )


def _lending(tables: Sequence[_Table], wishes: Wishes) -> tuple[OutcomeLabel, list[_Table]]:
    """The label, and the tables that have it."""
    refused = []
    for table in tables:
        try:
            found = find_label(table.frame, wishes.label, wishes.bad, wishes.good, table.where)
        except PlanError as error:
            refused.append(error)
            continue
        lending = [other for other in tables if found.column in other.frame.columns]
        if len(lending) > 1:
            # The words of the outcome follow from all lenders' rows: one table may have one of them only.
            found = find_label(_stacked(lending), found.column, wishes.bad, wishes.good, table.where)
        return found, lending
    raise PlanError(refused[0].source, [problem for error in refused for problem in error.problems])


def _stacked(tables: Sequence[_Table]) -> pl.DataFrame:
    """The rows of tables of one role, with the columns that all of them have."""
    names = [name for name in tables[0].frame.columns if all(name in table.frame.columns for table in tables)]
    if len(tables) == 1:
        return tables[0].frame
    return pl.concat([table.frame.select(names) for table in tables], how="vertical_relaxed")


def _persons(lending: Sequence[_Table], identifiers: Identifiers, label: OutcomeLabel) -> tuple[set[str], int]:
    """Who is in the lenders' labelled rows, and in how many of their tables somebody is at most."""
    found: list[set[str]] = []
    for table in lending:
        rows = table.frame.filter(pl.Series(~np.isnan(label.outcomes(table.frame[label.column]))))
        if identifiers.person_column == RECORD:
            found.append({f"{table.where} {row}" for row in range(rows.height)})
        else:
            found.append(_names(rows[identifiers.person_column]))
    everybody = set().union(*found)
    if len(found) == 1:
        return everybody, 1
    counts = Counter(name for names in found for name in names)
    return everybody, max(counts.values(), default=1)


def _names(column: pl.Series) -> set[str]:
    return {name for name in texts(column).to_list() if name is not None}


def _lenders(lending: Sequence[_Table], wishes: Wishes, persons: int, vertical: bool) -> dict[str, int]:
    if len(lending) > 1:
        if wishes.lenders not in (None, len(lending)):
            raise PlanError("--lenders", [f"{len(lending)} tables have the label, and each is a lender's"])
        return {f"{LENDER}-{at}": table.frame.height for at, table in enumerate(lending, start=1)}
    count = wishes.lenders or (1 if vertical else LENDERS)
    return {f"{LENDER}-{at}": max(1, math.ceil(persons / count)) for at in range(1, count + 1)}


def _platform(table: _Table, lenders: Identifiers, taken: Sequence[str]) -> tuple[Side, set[str]]:
    """The side of a platform with a table of its own, and whom it knows."""
    person = lenders.person_column
    if person not in table.frame.columns:
        what = f"the table has no column {person!r}, by which lenders name persons; rename it there, or say --id COLUMN"
        raise PlanError(table.where, [what])
    names = _names(table.frame[person])
    repeats = len(names) < table.frame.height
    identifiers = Identifiers(None if repeats else person, person if repeats else None, "as lenders name persons")
    group = _slug(table.path.stem).replace(".", "-").replace("_", "-")[:24].strip("-") or PLATFORM
    if group in (*taken, LENDER) or not group[0].isalnum():
        group = f"{PLATFORM}-{len(taken) + 1}"
    columns = tuple(guess(table.frame[name]) for name in table.frame.columns if name != person)
    series = tuple(found for found, _ in derived(columns, table.frame))
    return Side(group, {group: len(names)}, identifiers, columns, series), names


def _derived(columns: Sequence[ColumnGuess], frame: pl.DataFrame, outcomes: np.ndarray) -> tuple[ColumnGuess, ...]:
    """What series among the columns give, but for what tells the outcome by itself."""
    found = (_checked(guessed, pl.Series(values), outcomes) for guessed, values in derived(columns, frame))
    return tuple(guessed for guessed in found if guessed.feature is not None)


def _checked(found: ColumnGuess, column: pl.Series, outcomes: np.ndarray) -> ColumnGuess:
    """The guess, or that the column is left out since it tells the outcome by itself."""
    if found.feature is None or found.protected or len(np.unique(outcomes)) < 2:
        return found
    values = numbers(column)[0] if "lower" in found.feature else levels(column, found.feature["levels"])[0]
    edges = np.unique(np.nanquantile(values, np.linspace(0, 1, _CELLS + 1)[1:-1]))
    cell = np.where(np.isnan(values), len(edges) + 1, np.searchsorted(edges, values))
    rows = np.bincount(cell, minlength=len(edges) + 2)
    rate = np.bincount(cell, weights=outcomes, minlength=len(edges) + 2) / np.maximum(rows, 1)
    alone = roc_auc_score(outcomes, rate[cell])
    if alone < TELLS_ALL:
        return found
    return ColumnGuess(found.name, None, f"it tells the outcome by itself (AUC {alone:.3f}): it seems to come after it")


def _seen(path: Path, folder: Path) -> str:
    """A file as a scenario in `folder` names it: from there where it lies below it, else in full."""
    whole = path.resolve()
    return os.path.relpath(whole, folder.resolve()) if whole.is_relative_to(folder.resolve()) else str(whole)


def _slug(stem: str) -> str:
    """A file's stem as a plan may be named."""
    return re.sub(r"[^a-z0-9._-]+", "-", stem.lower()).strip("._-")[:40]
