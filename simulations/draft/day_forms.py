"""Days that are not written as 2022-01-31, which a plan can neither split by nor score: how a column writes them."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date

import numpy as np
import polars as pl

from sealscore.clients.data.cells import texts

# Months and days in numbers that a handful of amounts would not all look like.
FEWEST = 3
_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
_CLOCK = r"(?:[ t]\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?: ?[ap]m)?)?"
_TEXT = {
    "day, month and year with a point, stroke or dash": rf"\d{{1,2}}([./-])\d{{1,2}}\1\d{{2}}(?:\d{{2}})?{_CLOCK}",
    "year, month and day with a point or stroke": rf"\d{{4}}([./])\d{{1,2}}\1\d{{1,2}}{_CLOCK}",
    "year and month": r"(?:19|20)\d{2}[-./](?:0?[1-9]|1[0-2])|(?:0?[1-9]|1[0-2])[-./](?:19|20)\d{2}",
    "names of months": rf"(?:\d{{1,2}}[ .-]*)?{_MONTH}[ ,.-]*(?:\d{{1,2}},? )?\d{{2,4}}|\d{{2,4}}[ -]{_MONTH}",
    "Chinese year, month and day": r"\d{4}年\d{1,2}月(?:\d{1,2}日)?",
}


def day_form(column: pl.Series, numbers: np.ndarray | None) -> str | None:
    """How a column writes days, in words, or None where it holds something else.

    Args:
        column: the cells.
        numbers: those of a column of numbers, float64, without missing ones; None of any other.
    """
    if numbers is not None:
        return _of_numbers(numbers)
    cells = texts(column).drop_nulls().unique().to_list()
    for form, pattern in _TEXT.items():
        if cells and all(re.fullmatch(pattern, cell.strip(), re.IGNORECASE) for cell in cells):
            return form
    return None


def _of_numbers(values: np.ndarray) -> str | None:
    distinct = np.unique(values)
    if len(distinct) < FEWEST or not np.all(distinct == np.round(distinct)):
        return None
    forms: dict[str, Callable[[int], bool]] = {
        "numbers of year and month": _is_month,
        "numbers of year, month and day": _is_day,
    }
    whole = [int(value) for value in distinct]
    return next((form for form, fits in forms.items() if all(map(fits, whole))), None)


def _is_month(number: int) -> bool:
    return 1950 <= number // 100 < 2100 and 1 <= number % 100 <= 12


def _is_day(number: int) -> bool:
    if not 1950 <= number // 10_000 < 2100:
        return False
    try:
        return bool(date(number // 10_000, number // 100 % 100, number % 100))
    except ValueError:
        return False
