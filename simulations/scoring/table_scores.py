"""Score a table by a release: the champion for rows with a platform's columns, the fallback for rows without."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from sealscore.clients.data import DataError, Problem, Table, check_table
from sealscore.clients.scoring.scorer import MOST_REASONS, Scorer
from sealscore.shared.persons.records import Records
from sealscore.shared.plan.plan import Plan
from sealscore.shared.plan.schema import TableSchema
from sealscore.shared.serving.reason_texts import Reason
from sealscore.shared.serving.release import Release

ROW = "row"
_LOST = [f"lost_{place + 1}" for place in range(MOST_REASONS)]
_BLOCK = 65_536


@dataclass(frozen=True)
class TableScores:
    """A row of `frame` for each row of the table: its id, PD, points, the model's role and reasons.

    `extra` are columns of the table that no model reads; `with_signal` counts rows with a level, by kind. `lost` are
    the points of each reason, float64 [rows, 4], and `texts` what the codes of reasons say.
    """

    frame: pl.DataFrame
    extra: tuple[str, ...]
    with_signal: dict[str, int]
    lost: np.ndarray = field(repr=False)
    texts: Mapping[str, Reason] = field(repr=False)


def score_table(release: Release, table: Table) -> TableScores:
    """Score every row of a table that has the lenders' columns, and the platforms' of whom they are known.

    Raises:
        DataError: a column is missing, or a cell is none of the plan's schema; nothing is scored.
        NoModel: the release has no model for some of the rows.
    """
    plan, scorer = release.plan, Scorer(release)
    lender = _checked(table, plan, plan.lenders)
    levels = {group: _levels(release, group, table, len(lender)) for group in plan.platforms}
    read = {ROW} | _columns(plan, plan.lenders) | {name for group in levels for name in _columns(plan, group)}
    known = {group: ~np.isnan(told) for group, told in levels.items()}
    parts = [_scored(scorer, rows, lender, levels, role) for role, rows in _roles(scorer, known, len(lender))]
    frame = (
        pl.concat(parts).sort(ROW)
        if parts
        else _frame(
            *(np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.int64)),
            *(np.empty((0, MOST_REASONS), object), np.zeros((0, MOST_REASONS)), ""),
        )
    )
    lost, frame = frame.select(_LOST).to_numpy(), frame.drop(_LOST)
    id_name = plan.groups[plan.lenders].table.id
    if id_name in table.header:
        ids = pl.Series(id_name, lender.ids, dtype=pl.String)
        frame = frame.with_columns(ids).select(id_name, *(name for name in frame.columns if name != ROW))
    extra = tuple(name for name in table.header if name not in read and name != id_name)
    signals = {group: int(mask.sum()) for group, mask in known.items()}
    return TableScores(frame, extra, signals, lost, scorer.texts)


def _roles(scorer: Scorer, known: Mapping[str, np.ndarray], rows: int) -> list[tuple[str, np.ndarray]]:
    """The rows that each model answers for: rows with levels of the same kinds go together."""
    found: dict[str, list[np.ndarray]] = {}
    pattern = np.zeros(rows, dtype=np.int64)
    for place, mask in enumerate(known.values()):
        pattern |= mask.astype(np.int64) << place
    for value in np.unique(pattern):
        given = {group: [0] for place, group in enumerate(known) if value >> place & 1}
        found.setdefault(scorer.role(given), []).append(np.flatnonzero(pattern == value))
    return [(role, np.sort(np.concatenate(rows))) for role, rows in found.items()]


def _scored(
    scorer: Scorer, rows: np.ndarray, lender: Records, levels: Mapping[str, np.ndarray], role: str
) -> pl.DataFrame:
    parts = []
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK]
        columns = {name: values[block] for name, values in lender.columns.items()}
        bins = scorer.bins(role, columns, {group: told[block] for group, told in levels.items()})
        _, pds, points = scorer.figures(role, bins)
        codes, lost = (_four(found) for found in scorer.reason_codes(role, bins))
        parts.append(_frame(block, pds, points, codes, lost, role))
    return pl.concat(parts)


def _four(found: np.ndarray) -> np.ndarray:
    """Codes or points of reasons [n, k] with empty columns up to four: a model may have fewer features."""
    more = np.full((len(found), MOST_REASONS - found.shape[1]), None if found.dtype == object else np.nan)
    return np.hstack([found, more])


def _frame(
    rows: np.ndarray, pds: np.ndarray, points: np.ndarray, codes: np.ndarray, lost: np.ndarray, role: str
) -> pl.DataFrame:
    columns: dict[str, pl.Series] = {
        ROW: pl.Series(rows + 1, dtype=pl.Int64),
        "pd": pl.Series(pds, dtype=pl.Float64),
        "points": pl.Series(points, dtype=pl.Int64),
        "model": pl.Series([role] * len(rows), dtype=pl.String),
    }
    for place in range(MOST_REASONS):
        columns[f"reason_{place + 1}"] = pl.Series(codes[:, place].tolist(), dtype=pl.String)
        columns[_LOST[place]] = pl.Series(lost[:, place], dtype=pl.Float64)
    return pl.DataFrame(columns)


def _levels(release: Release, group: str, table: Table, rows: int) -> np.ndarray:
    """The level of each row, float64 [rows]: NaN where the platform's cells are all blank, or its columns not there."""
    plan = release.plan
    wanted = _columns(plan, group)
    given = [name for name in wanted if name in table.frame.columns]
    if not given:
        return np.full(rows, np.nan)
    if absent := sorted(wanted - set(given)):
        fix = "add it, or leave all columns of this kind of platform out"
        raise DataError([Problem(table.source, f"a column of {group} is missing", fix, column=name) for name in absent])
    schema = plan.groups[group].table
    records = _checked(table, plan, group, blank=True)
    needed = [feature.name for feature in schema.features if feature.name in wanted]
    blank = {name: np.isnan(records.columns[name]) for name in needed}
    known = ~np.all(list(blank.values()), axis=0)
    problems = [
        Problem(
            table.source,
            "a value is missing, and others of this kind of platform are there",
            f"fill it in, or leave all cells of {group} blank in that row",
            name,
            table.rows(np.flatnonzero(blank[name] & known).tolist()),
            table.unit,
        )
        for name in needed
        if not schema.feature(name).missing and (blank[name] & known).any()
    ]
    if problems:
        raise DataError(problems)
    found = np.full(rows, np.nan)
    columns = {name: values[known] for name, values in records.columns.items()}
    found[known] = release.content.towers[group].levels(columns)
    return found


def _columns(plan: Plan, group: str) -> set[str]:
    """The columns that a group's tower reads, or derives what it reads from."""
    return {feature.name for feature in plan.groups[group].table.features if not feature.protected}


def _checked(table: Table, plan: Plan, group: str, blank: bool = False) -> Records:
    """The rows as records under the features of a group; with `blank` any cell may be missing."""
    schema = plan.groups[group].table
    wanted = _columns(plan, group)
    features = [feature for feature in schema.features if feature.name in wanted]
    derived = schema.derived
    if blank:
        features = [feature.model_copy(update={"missing": True}) for feature in features]
        derived = tuple(feature.model_copy(update={"missing": True}) for feature in derived)
    own = {feature.name for feature in (*features, *derived)}
    name = plan.groups[plan.lenders].table.id
    if name in own or name not in table.frame.columns:
        name = next(name for name in (ROW, "row_", "row__") if name not in own)
        numbers = pl.Series(name, range(1, table.frame.height + 1), dtype=pl.Int64)
        frame = table.frame.with_columns(numbers)
        table = Table(frame, table.source, (*table.header, name), table.unit, table.lines)
    plain: TableSchema = schema.model_copy(
        update={
            "id": name,
            "features": tuple(features),
            "derived": derived,
            **dict.fromkeys(("person", "label", "date", "consent")),
        }
    )
    checked = check_table(table, plain, label_required=False, max_records_per_person=max(1, table.frame.height))
    return checked.records
