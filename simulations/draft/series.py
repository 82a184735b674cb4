"""Columns that are one thing at several times, as bill_1 to bill_6, and what a plan derives from all of them.

A score that is a sum over columns cannot say "the worst of six months"; a column that holds it can. What a series
says at once stands beside its columns, and the fit finds out what each is worth.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from scipy.stats import rankdata

from sealscore.clients.data.cells import numbers
from sealscore.clients.data.derive import applied
from sealscore.shared.plan.schema import MAX_INPUTS, Formula
from sealscore.simulations.draft.columns import ColumnGuess, bounds, skew_scale

FEWEST_COLUMNS = 3
"""Columns from which a series is one: two can be told apart by pairs of bins."""

LEAST_CORRELATION = 0.3
"""Mean rank correlation of columns from which they are one thing; numbered columns of a kind each have next to none."""

MOST_ABSENT = 0.5
"""Part of the rows that may lack a column: what is derived is missing there."""

# Ranks of so many rows tell a correlation well enough.
_RANKED = 20_000
_OPERATIONS: Mapping[str, tuple[dict[str, Any], str]] = {
    "sum": ({"op": "linear"}, "the sum"),
    "max": ({"op": "max"}, "the largest"),
    "min": ({"op": "min"}, "the smallest"),
    "above_0": ({"op": "count-above", "threshold": 0}, "how many are above 0"),
}


def derived(columns: Sequence[ColumnGuess], frame: pl.DataFrame) -> Iterator[tuple[ColumnGuess, np.ndarray]]:
    """Features derived from the series among the columns of a table, each with its values, float64 [n]."""
    names = {column.name for column in columns}
    for stem, members in _series(columns).items():
        values = np.stack([_clipped(column, frame) for column in members])
        whole = values[:, ~np.isnan(values).any(axis=0)]
        if whole.shape[1] < (1 - MOST_ABSENT) * values.shape[1]:
            continue
        correlation = _correlation(whole)
        if not correlation >= LEAST_CORRELATION:
            continue
        for ending, (operation, words) in _OPERATIONS.items():
            name, formula = f"{stem}_{ending}", {**operation, "of": [column.name for column in members]}
            found = applied(Formula.model_validate(formula), values)
            if name in names or len(name) > 120 or len(np.unique(found[~np.isnan(found)])) < 2:
                continue
            names.add(name)
            series = f"{members[0].name} to {members[-1].name}"
            why = f"{words} of {series}, which go together (rank correlation {correlation:.2f})"
            yield _guess(name, formula, why, members, found), found


def _series(columns: Sequence[ColumnGuess]) -> dict[str, list[ColumnGuess]]:
    """Numeric columns whose names differ in their last number only, by what is left of the name."""
    found: dict[tuple[str, str], list[ColumnGuess]] = {}
    for column in columns:
        parts = re.fullmatch(r"(.*?)\d+(\D*)", column.name)
        if parts and column.feature is not None and "lower" in column.feature and not column.protected:
            found.setdefault((parts[1], parts[2]), []).append(column)
    series: dict[str, list[ColumnGuess]] = {}
    for (before, after), members in found.items():
        stem = f"{before.rstrip(' _-.')}{after.rstrip(' _-.')}" or "series"
        if FEWEST_COLUMNS <= len(members) <= MAX_INPUTS and stem not in series:
            series[stem] = members
    return series


def _clipped(column: ColumnGuess, frame: pl.DataFrame) -> np.ndarray:
    """The cells as a party would have them, float64 [n]: values beyond a bound count as the bound."""
    feature: Mapping[str, Any] = column.feature or {}
    return np.asarray(np.clip(numbers(frame[column.name])[0], feature["lower"], feature["upper"]))


def _correlation(values: np.ndarray) -> float:
    """Mean rank correlation of each column, float64 [columns, n], with each other; NaN where one has one value."""
    step = -(-values.shape[1] // _RANKED) or 1
    with np.errstate(invalid="ignore", divide="ignore"):
        found = np.corrcoef(rankdata(values[:, ::step], axis=1))
    return float(found[np.triu_indices(len(values), 1)].mean())


def _guess(
    name: str, formula: Mapping[str, Any], why: str, members: Sequence[ColumnGuess], values: np.ndarray
) -> ColumnGuess:
    known = values[~np.isnan(values)]
    integer = bool(np.all(known == np.round(known)))
    lower, upper = (0.0, float(len(members))) if formula["op"] == "count-above" else bounds(known, integer)
    feature: dict[str, Any] = {"name": name, "lower": lower, "upper": upper}
    if (scale := skew_scale(known)) is not None:
        feature["scale"] = scale
    if integer:
        feature["integer"] = True
    if any(column.feature and column.feature.get("missing") for column in members):
        feature["missing"] = True
    return ColumnGuess(name, feature | {"formula": formula}, why)
