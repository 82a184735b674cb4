"""From raw cells to values: numbers, levels, days and ids.

Every rule looks at one cell at a time, so a record has the same values whether it is read alone, to be scored, or
among thousands, to be learnt from. All functions take a polars series of n cells; masks are bool [n].
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

# From here on several whole numbers have one float.
_APART: dict[type[pl.DataType], int] = {pl.Float32: 2**24, pl.Float64: 2**53}
# As spreadsheets write long numbers, without the last digits, and programs write large floats.
SCIENTIFIC = r"^[+-]?\d+(\.\d+)?[eE]\+\d+$"
NO_IDENTIFIER = "a float or a number in scientific notation, which may stand for several identifiers"
IDENTIFIER_MEND = "export the column as text, or as whole numbers, from where it is written in full"

MISSING = frozenset({"", "na", "n/a", "nan", "null", "none"})


class WrongTypeError(TypeError):
    """A column of a type that holds no such values at all, such as a list or a day where a number is needed."""


def decimal(value: float) -> str:
    """The shortest decimal form of a number that reads back as the same number: 2.0 is "2", 0.10 is "0.1"."""
    return "0" if value == 0 else np.format_float_positional(value, unique=True, trim="-")


def numbers(cells: pl.Series) -> tuple[np.ndarray, np.ndarray]:
    """float64 [n], NaN where a cell is missing or no number, and the mask of those that are text and no number.

    Raises:
        WrongTypeError: the column holds neither numbers nor text.
    """
    if _is_text(cells):
        text = _stripped(cells)
        missing = _missing(text)
        values = text.cast(pl.Float64, strict=False).to_numpy().astype(np.float64)
        return np.where(missing, np.nan, values), np.isnan(values) & ~missing
    if cells.dtype.is_numeric() or cells.dtype in (pl.Boolean, pl.Null):
        values = cells.cast(pl.Float64).to_numpy().astype(np.float64)
        return values, np.zeros(len(cells), dtype=bool)
    raise WrongTypeError(f"a column of type {_type(cells)}, where numbers are needed")


def levels(cells: pl.Series, allowed: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """The index of each cell's level, float64 [n], NaN where it is missing or unseen, and the mask of the unseen.

    A cell is first compared as it stands, then without the blanks around it, then by the shortest decimal form of
    the number that it writes: 2, 2.0 and " 2" all match the level "2". Booleans match "true" and "false", or "1"
    and "0". Only a cell that matches no level may count as missing, so "NA" can be a level.

    Raises:
        WrongTypeError: the column holds neither text, numbers nor booleans.
    """
    text = texts(cells, strip=False)
    index = {level: float(at) for at, level in enumerate(allowed)}
    if cells.dtype == pl.Boolean:
        for word, digit in (("true", "1"), ("false", "0")):
            if word not in index and digit in index:
                index[word] = index[digit]
    meaning = {value: _level(value, index) for value in text.drop_nulls().unique().to_list()}
    found = [np.nan if value is None else meaning[value] for value in text.to_list()]
    values = np.array([np.nan if at is None else at for at in found], dtype=np.float64)
    return values, np.array([at is None for at in found], dtype=bool)


def _level(value: str, index: dict[str, float]) -> float | None:
    stripped = value.strip()
    for form in (value, stripped):
        if form in index:
            return index[form]
    if stripped.lower() in MISSING:
        return float("nan")
    if "_" in stripped:  # Python would read 1_0 as ten, nobody else does
        return None
    try:
        return index.get(decimal(float(stripped)))
    except ValueError:
        return None


def days(cells: pl.Series) -> tuple[np.ndarray, np.ndarray]:
    """datetime64[D] [n], NaT where there is none, and the mask of cells that are neither missing nor a day.

    Text is read as ISO 8601: 2024-05-31, with or without a time after it.

    Raises:
        WrongTypeError: the column holds neither text nor days.
    """
    if _is_text(cells):
        text = _stripped(cells)
        day = text.str.extract(r"^(\d{4}-\d{2}-\d{2})([T ].*)?$", 1).str.to_date("%Y-%m-%d", strict=False)
        unread = day.is_null().to_numpy() & ~_missing(text)
    elif cells.dtype in (pl.Date, pl.Datetime, pl.Null):
        day = cells.cast(pl.Date)
        unread = np.zeros(len(cells), dtype=bool)
    else:
        raise WrongTypeError(f"a column of type {_type(cells)}, where days are needed")
    return day.to_numpy().astype("datetime64[D]"), unread


def texts(cells: pl.Series, strip: bool = True) -> pl.Series:
    """The cells as text, null where they are missing or blank; numbers in their shortest decimal form.

    Raises:
        WrongTypeError: the column holds neither text, numbers nor booleans.
    """
    if _is_text(cells):
        text = cells.cast(pl.String)
        stripped = _stripped(text)
        return pl.select(pl.when(stripped != "").then(stripped if strip else text)).to_series()
    if cells.dtype.is_integer() or cells.dtype in (pl.Boolean, pl.Null):
        return cells.cast(pl.String)
    if cells.dtype.is_decimal():
        # As text, for a float would make one id of two long ones.
        return cells.cast(pl.String).str.replace(r"(\.\d*?)0+$", "$1").str.replace(r"\.$", "")
    if cells.dtype.is_numeric():
        found = cells.to_numpy() if cells.dtype.is_float() else cells.cast(pl.Float64).to_numpy()
        return pl.Series([None if np.isnan(value) else decimal(value) for value in found], dtype=pl.String)
    raise WrongTypeError(f"a column of type {_type(cells)}, where text or numbers are needed")


def inexact(cells: pl.Series) -> np.ndarray:
    """Which cells, bool [n], may stand for several identifiers, so that two persons would be one.

    They are floats that are no whole number, or are beyond those that the type tells apart, and text in scientific
    notation.
    """
    if _is_text(cells):
        return _stripped(cells).str.contains(SCIENTIFIC).fill_null(False).to_numpy()
    if not cells.dtype.is_float():
        return np.zeros(len(cells), dtype=bool)
    values = cells.cast(pl.Float64).to_numpy()
    apart = _APART.get(cells.dtype.base_type(), 2**11)
    return np.asarray(~np.isnan(values) & ((values != np.round(values)) | (np.abs(values) >= apart)))


def as_inexact(value: float) -> str:
    """A float as text that `inexact` finds, with the value that it has; whole numbers that are apart as `decimal`."""
    return decimal(value) + ("e+0" if inexact(pl.Series([value], dtype=pl.Float64))[0] else "")


def _is_text(cells: pl.Series) -> bool:
    return cells.dtype in (pl.String, pl.Categorical, pl.Enum)


def _type(cells: pl.Series) -> str:
    """The type's name alone: an enumeration's would list its levels, which are cells."""
    return str(cells.dtype.base_type().__name__)


def _stripped(cells: pl.Series) -> pl.Series:
    return cells.cast(pl.String).str.strip_chars()


def _missing(text: pl.Series) -> np.ndarray:
    return (text.is_null() | text.str.to_lowercase().is_in(list(MISSING)).fill_null(True)).to_numpy()
