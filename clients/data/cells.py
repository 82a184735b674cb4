"""From raw cells to values: numbers, levels, days and ids. The one set of rules for every source and every table.

Every rule looks at one cell at a time, so a record has the same values whether it is read alone, to be scored, or
among thousands, to be learnt from. All functions take a polars series of n cells; masks are bool [n].
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

import numpy as np
import polars as pl

# From here on several whole numbers have one float.
_APART: dict[type[pl.DataType], int] = {pl.Float32: 2**24, pl.Float64: 2**53}
# As spreadsheets write long numbers, without the last digits, and programs write large floats, Java without a plus.
# Of 12E4567, without a point as well, it cannot be told: codes look like it.
_SCIENTIFIC = r"(\d+[eE]\+|\d+\.\d+[eE]\+?)\d+"
# From 2^53 on, or a little before it, as data frames write floats.
_LONG_FLOAT = r"0*([1-9]\d{16,}|9[1-9]\d{14}|90[1-9]\d{13}|900[89]\d{12}|9007(199|[2-9]\d\d)\d{9})\.0*"
INEXACT = rf"^[+-]?({_SCIENTIFIC}|{_LONG_FLOAT})$"
NO_IDENTIFIER = "a float or a number in scientific notation, which may stand for several identifiers"
IDENTIFIER_MEND = "export the column as text, or as whole numbers, from where it is written in full"

NUMBER = r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?"
_NUMBERS_WRITTEN = (
    (r"^\(.*\)$", "write negative numbers with a minus sign and not in brackets: -1234.5"),
    (r"^[+-]?\d{1,3}(,\d{3})+(\.\d+)?$", "write numbers without thousands separators: 1234.5"),
    (r"^[+-]?\d+,\d+$", "write a point and no comma before decimals: 1234.5"),
    (r"^#", "correct the formulas of the spreadsheet that end in an error, or leave the cells empty"),
)
# As Chinese and Japanese keyboards write digits and signs. Not Unicode's NFKC, by which 5 squared is 52.
_FULL_WIDTH = ["\u3000", *map(chr, range(0xFF01, 0xFF5F))]
_HALF_WIDTH = [" ", *map(chr, range(0x21, 0x7F))]
MISSING = frozenset({"", "na", "n/a", "nan", "null", "none"})
# What programs write where there is no identifier: one person, if it were one. None of a whole column of zeros.
NOBODY = MISSING | {
    *("-", "--", "<na>", "nat", "undefined"),
    *("#n/a", "#null!", "#ref!", "#value!", "#name?", "#num!", "#div/0!"),
}
_ZEROS = r"^[+-]?0+(\.0+)?$"

ZONE = "UTC"
"""Where a day begins and ends that is read from a moment, unless a party states its own zone."""
TORN = "a moment whose day is another in UTC than where it was written"
TORN_FIX = 'state the zone of your days once, as zone = "Asia/Shanghai" under [data] in node.toml, or write days alone'
# Earlier days are what programs write where there is none: 0001-01-01.
_FIRST_DAY = date(1000, 1, 1)
# A day, with or without a time of it, with or without where that is: 2024-05-31T10:00:00.5+08:00.
_MOMENT = (
    r"^([1-9]\d{3}-\d{2}-\d{2})"
    r"(?:[Tt ]((?:[01]\d|2[0-3]):[0-5]\d)(:[0-5]\d(?:\.\d{1,9})?)?(?: ?(Z|z|UTC|[+-](?:0\d|1[0-8])(?::?[0-5]\d)?))?)?$"
)


class WrongTypeError(TypeError):
    """A column of a type that holds no such values at all, such as a list or a day where a number is needed."""


def how_written(text: pl.Series) -> str:
    """Why texts in place of numbers are none, as far as all of them show it: the fix, in words without a cell."""
    stripped = _half_width(_stripped(text))
    for pattern, fix in _NUMBERS_WRITTEN:
        if stripped.str.contains(pattern).all():
            return fix
    return "write a plain number such as 1234.5, or leave the cell empty"


def decimal(value: float) -> str:
    """The shortest decimal form of a number that reads back as the same number: 2.0 is "2", 0.10 is "0.1"."""
    return "0" if value == 0 else np.format_float_positional(value, unique=True, trim="-")


def numbers(cells: pl.Series) -> tuple[np.ndarray, np.ndarray]:
    """float64 [n], NaN where a cell is missing or no number, and the mask of those that are text and no number.

    Text in full-width characters is a number where it is one in half-width ones.

    Raises:
        WrongTypeError: the column holds neither numbers nor text.
    """
    if _is_text(cells):
        text = _stripped(cells)
        values, unread = _written_numbers(text)
        if unread.any():
            values[unread], unread[unread] = _written_numbers(_half_width(text.filter(pl.Series(unread))))
        return values, unread
    if cells.dtype.is_numeric() or cells.dtype in (pl.Boolean, pl.Null):
        values = cells.cast(pl.Float64).to_numpy().astype(np.float64)
        return values, np.zeros(len(cells), dtype=bool)
    raise WrongTypeError(f"a column of type {_type(cells)}, where numbers are needed")


def _written_numbers(text: pl.Series) -> tuple[np.ndarray, np.ndarray]:
    missing = _missing(text)
    values = text.cast(pl.Float64, strict=False).to_numpy().astype(np.float64)
    return np.where(missing, np.nan, values), np.isnan(values) & ~missing


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
    # Python would read 1_0 as ten, and digits of any script, which `numbers` does not.
    return index.get(decimal(float(stripped))) if re.fullmatch(NUMBER, stripped, re.ASCII) else None


class Days(NamedTuple):
    """Days of n cells: datetime64[D] [n], NaT where there is none; the mask of cells that are neither missing nor a
    day; and the mask of moments whose day is another where they were written than in UTC, while no zone is stated.
    """

    days: np.ndarray
    unread: np.ndarray
    torn: np.ndarray


def days(cells: pl.Series, zone: str | None = None) -> Days:
    """The day of each cell: as it is written, or where it is a moment with an offset or a zone, the day in `zone`.

    Text is read as ISO 8601: 2024-05-31, with or without a time after it, in full-width characters as well. A day
    before the year 1000 is none: programs write the first that they can where there is no day. Without a
    `zone` days are in UTC, and a moment that another zone's offset makes another day is left open.

    Raises:
        WrongTypeError: the column holds neither text nor days.
    """
    none = np.zeros(len(cells), dtype=bool)
    if _is_text(cells):
        text = _stripped(cells)
        missing = _missing(text)
        # Nearly all columns hold nothing else, and this is several times as quick.
        if (text.str.contains(r"^[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}$").fill_null(False).to_numpy() | missing).all():
            day, written = text.str.to_date("%Y-%m-%d", strict=False), None
        else:
            text = _half_width(text)
            missing = _missing(text)
            frame = text.rename("text").to_frame().select(moments(pl.col("text"), zone))
            day, written = frame["wall"].cast(pl.Date), frame["written"].cast(pl.Date)
        unread = day.is_null().to_numpy() & ~missing
    elif cells.dtype in (pl.Date, pl.Null):
        day, written = cells.cast(pl.Date), None
        unread = (day < _FIRST_DAY).fill_null(False).to_numpy()
    elif isinstance(cells.dtype, pl.Datetime):
        wall = cells.to_frame("cell").select(zoned(pl.col("cell"), cells.dtype, zone)).to_series()
        day = wall.cast(pl.Date)
        unread = (day < _FIRST_DAY).fill_null(False).to_numpy()
        written = cells.dt.replace_time_zone(None).cast(pl.Date) if cells.dtype.time_zone else None
    else:
        raise WrongTypeError(f"a column of type {_type(cells)}, where days are needed")
    torn = none if zone or written is None else (written != day).fill_null(False).to_numpy()
    read = day.to_numpy().astype("datetime64[D]")
    return Days(np.where(unread, np.datetime64("NaT"), read), unread, torn)


def zoned(moment: pl.Expr, dtype: pl.Datetime, zone: str | None) -> pl.Expr:
    """Moments without a zone as they are, others as the clock of `zone` showed them, in microseconds."""
    wall = moment.dt.convert_time_zone(zone or ZONE).dt.replace_time_zone(None) if dtype.time_zone else moment
    return wall.dt.cast_time_unit("us")


def moments(text: pl.Expr, zone: str | None) -> tuple[pl.Expr, pl.Expr]:
    """Of days and moments in ISO 8601 what a clock of `zone` showed ("wall"), and one where it was written ("written").

    Both are Datetime in microseconds, null where the text is neither a day nor a moment.
    """
    parts = text.str.strip_chars().str.extract_groups(_MOMENT)
    day, minute, second, offset = (parts.struct.field(str(at)) for at in (1, 2, 3, 4))
    time = pl.lit("T") + minute.fill_null("00:00") + second.fill_null(":00")
    written = (day + time).str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", time_unit="us", strict=False)
    # As +0800, +08:00 or +08; of Z and UTC no digit is left, and they are 0.
    digits = offset.str.replace_all(r"\D", "")
    hours = digits.str.slice(0, 2).cast(pl.Int64, strict=False).fill_null(0)
    minutes = digits.str.slice(2, 2).cast(pl.Int64, strict=False).fill_null(0)
    east = pl.when(offset.str.starts_with("-")).then(-1).otherwise(1) * (60 * hours + minutes)
    utc = (written - pl.duration(minutes=east)).dt.replace_time_zone("UTC")
    shown = utc.dt.convert_time_zone(zone or ZONE).dt.replace_time_zone(None)
    return pl.when(offset.is_null()).then(written).otherwise(shown).alias("wall"), written.alias("written")


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


def identifiers(cells: pl.Series, of_persons: bool = False) -> tuple[pl.Series, np.ndarray]:
    """The cells as identifiers, null where they name nobody, and the mask of those that may stand for several.

    Words that programs write in place of an identifier name nobody; `of_persons` has other records' persons in it, and
    there a zero is such a word too (a record may be numbered from 0).

    Raises:
        WrongTypeError: the column holds neither text nor numbers.
    """
    if cells.dtype == pl.Boolean:
        raise WrongTypeError("a column of type Boolean, where identifiers are needed")
    text = texts(cells)
    nobody = pl.select(names_nobody(pl.lit(text), of_persons)).to_series().fill_null(True)
    return pl.select(pl.when(~nobody).then(text)).to_series(), inexact(cells) & ~nobody.to_numpy()


def names_nobody(text: pl.Expr, of_persons: bool) -> pl.Expr:
    """Whether a text is a word that programs write where there is no identifier; see `identifiers`."""
    stripped = text.str.strip_chars()
    found = stripped.str.to_lowercase().is_in(sorted(NOBODY))
    return found | stripped.str.contains(_ZEROS) if of_persons else found


def inexact(cells: pl.Series) -> np.ndarray:
    """Which cells, bool [n], may stand for several identifiers, so that two persons would be one.

    They are floats that are no whole number, or are beyond those that the type tells apart, and text in scientific
    notation or as data frames write such floats.
    """
    if _is_text(cells):
        return _stripped(cells).str.contains(INEXACT).fill_null(False).to_numpy()
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


def half_width(text: pl.Expr) -> pl.Expr:
    """Full-width letters, digits, signs and blanks as the half-width ones that they stand for."""
    return text.str.replace_many(_FULL_WIDTH, _HALF_WIDTH)


def _half_width(text: pl.Series) -> pl.Series:
    return text.to_frame("text").select(half_width(pl.col("text"))).to_series()


def _missing(text: pl.Series) -> np.ndarray:
    return (text.is_null() | text.str.to_lowercase().is_in(list(MISSING)).fill_null(True)).to_numpy()
