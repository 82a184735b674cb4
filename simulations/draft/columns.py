"""A column's place in a plan, guessed from its cells: kind, bounds, levels and flags, each with its reason.

What is read here is a look at the data that no budget pays for, so plans that hold it are marked (`read_from_data`).
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from sealscore.clients.data.cells import MISSING, decimal, levels, numbers, texts
from sealscore.clients.setup.column_kinds import column_kind
from sealscore.simulations.draft.day_forms import day_form
from sealscore.simulations.draft.names import seems_id, seems_protected

MARGIN = 0.05
"""How far bounds lie beyond the values, as a part of their width."""

TAIL = 0.001
"""The part of the values at either end that may lie beyond the bounds, and counts as them."""

SKEW = 15.0
"""Width of all values over that of the middle half from which a grid is uniform in asinh (a bell has 5)."""

FEWEST, FEWEST_SHARE, MOST_LEVELS = 20, 0.01, 30
"""Rows, and share of the rows, that a level of its own needs; and how many levels there are at most."""

CODES = 12
"""Whole numbers so few that they may be codes of a protected category."""

OTHER = "other"
# As wide as a grid has cells for each whole number.
_FEW_CELLS = 100.0
# Blank cells and their words, but for "none": in a column of words it mostly is an answer.
_ABSENT = MISSING - {"none"}


@dataclass(frozen=True)
class ColumnGuess:
    """The keys of a column's feature, None where it is left out, and why.

    `bands` are inner edges by which a report tells a protected number's groups apart.
    """

    name: str
    feature: dict[str, Any] | None
    why: str
    bands: tuple[float, ...] = ()

    @property
    def protected(self) -> bool:
        """Whether it may enter the evaluation only."""
        return bool(self.feature and self.feature.get("protected"))


def guess(column: pl.Series) -> ColumnGuess:
    """What a plan could say of a column of n cells."""
    name = column.name
    if not name or len(name) > 120:
        return ColumnGuess(name, None, "it has no name that a plan could use")
    kind = column_kind(column)
    if kind in ("none", "day"):
        why = "it holds days, and a score of days would not last" if kind == "day" else "it holds nothing that is read"
        return ColumnGuess(name, None, why)
    if kind == "numeric":
        values = numbers(column)[0]
        known = values[np.isfinite(values)]
        distinct = len(np.unique(known))
        whole = bool(np.all(known == np.round(known)))
        if distinct < 2:
            return ColumnGuess(name, None, "it has one value")
        if (form := day_form(column, known)) is not None:
            return ColumnGuess(name, None, _no_day(form))
        if seems_id(name) and whole and distinct == len(column):
            return ColumnGuess(name, None, "it seems to name records: no two rows are alike")
        if distinct > 2 and not (whole and distinct <= CODES and seems_protected(name)):
            return _numeric(name, values, known, whole)
    elif (form := day_form(column, None)) is not None:
        return ColumnGuess(name, None, _no_day(form))
    return _categorical(column)


def _no_day(form: str) -> str:
    """Why a column of days is left out, and what to do."""
    return (
        f"it seems to hold days ({form}), and a score of days would not last; write them as 2022-01-31 where the plan "
        "is to split by them, or add the feature by hand if they are something else"
    )


def _numeric(name: str, values: np.ndarray, known: np.ndarray, whole: bool) -> ColumnGuess:
    lower, upper = bounds(known, whole)
    beyond = int(np.sum((known < lower) | (known > upper)))
    feature: dict[str, Any] = {"lower": lower, "upper": upper, "clip": True}
    reasons = [f"numbers from {decimal(known.min())} to {decimal(known.max())}"]
    if beyond:
        reasons.append(f"{beyond:,} beyond the bounds count as them")
    if (scale := skew_scale(known)) is not None:
        feature["scale"] = scale
        reasons.append("scale, since a few values are far from the rest")
    if whole:
        feature["integer"] = True
    found = _finished(name, feature, reasons, int(np.isnan(values).sum()), len(values))
    if not found.protected:
        return found
    quarters = {float(f"{edge:.2g}") for edge in np.quantile(known, [0.25, 0.5, 0.75])}
    return replace(found, bands=tuple(sorted(edge for edge in quarters if lower < edge < upper)))


def bounds(known: np.ndarray, whole: bool) -> tuple[float, float]:
    """Round bounds a margin beyond all but the outermost values; a side without values across 0 ends at 0."""
    low, high = np.quantile(known, [TAIL, 1 - TAIL], method="nearest")
    if low == high:
        low, high = known.min(), known.max()
    span = float(high - low)
    step = 10.0 ** (math.floor(math.log10(span)) - 1)
    step = max(step, 1.0) if whole else step
    lower = math.floor((low - MARGIN * span) / step) * step
    upper = math.ceil((high + MARGIN * span) / step) * step
    lower = max(lower, 0.0) if known.min() >= 0 else lower
    upper = min(upper, 0.0) if known.max() <= 0 else upper
    # Products with a power of ten leave dust in the last digits.
    return float(f"{lower:.12g}"), float(f"{upper:.12g}")


def skew_scale(known: np.ndarray) -> float | None:
    """The size of a usual value, to one digit, where a few lie far from the rest; None elsewhere."""
    if np.ptp(known) <= _FEW_CELLS:
        return None
    low, first, third, high = np.quantile(known, [TAIL, 0.25, 0.75, 1 - TAIL])
    if high - low <= SKEW * (third - first):
        return None
    usual = float(np.median(np.abs(known[known != 0])))
    return float(f"{usual:.1g}")


def _categorical(column: pl.Series) -> ColumnGuess:
    name, rows = column.name, len(column)
    cells = _words(column)
    counts = Counter(cells)
    if len(counts) < 2:
        return ColumnGuess(name, None, "it has one value")
    if len(counts) > max(rows / 2, 50):
        return ColumnGuess(name, None, "it is free text: hardly two rows are alike")
    least = max(FEWEST, math.ceil(FEWEST_SHARE * rows))
    frequent = [level for level, count in counts.most_common(MOST_LEVELS) if count >= least or len(counts) == 2]
    frequent = [level for level in frequent if len(level) <= 120]
    rare = sum(counts.values()) - sum(counts[level] for level in frequent)
    reasons = [f"{len(counts)} different words or codes"]
    feature: dict[str, Any] = {"kind": "categorical", "levels": sorted(frequent, key=_by_number)}
    if rare:
        other = next((level for level in frequent if level.lower() in (OTHER, "others")), OTHER)
        if other not in frequent:
            feature["levels"].append(other)
        feature["other"] = other
        reasons.append(f"{rare:,} rows with rare ones count as {other!r}")
    if len(feature["levels"]) < 2:
        return ColumnGuess(name, None, "no two of its values are frequent enough to be levels")
    values, unseen = levels(column, feature["levels"])
    return _finished(name, feature, reasons, int((np.isnan(values) & ~unseen).sum()), rows)


def _words(column: pl.Series) -> list[str]:
    """The cells that are not blank, as a plan writes levels: numbers in their shortest form."""
    if column_kind(column) == "numeric":
        return [decimal(value) for value in numbers(column)[0] if not np.isnan(value)]
    return [cell for cell in texts(column).to_list() if cell is not None and cell.lower() not in _ABSENT]


def _by_number(level: str) -> tuple[float, str]:
    try:
        return float(level), level
    except ValueError:
        return math.inf, level


def _finished(name: str, feature: dict[str, Any], reasons: list[str], absent: int, rows: int) -> ColumnGuess:
    if absent:
        feature["missing"] = True
        reasons.append(f"{absent:,} of {rows:,} are missing")
    if seems_protected(name):
        feature["protected"] = True
        reasons.append("protected, as its name says: CONFIRM")
    return ColumnGuess(name, {"name": name, **feature}, "; ".join(reasons))
