"""What kind of values a column holds, for drafts: the rules by which cells are read, asked of a whole column."""

from __future__ import annotations

from typing import Literal

import polars as pl

from sealscore.clients.data import cells

ColumnKind = Literal["numeric", "categorical", "day", "none"]


def column_kind(column: pl.Series) -> ColumnKind:
    """Numbers, words, days, or none of them; a column of blanks alone is none.

    It follows from whether every cell that is not blank can be read so, and from no value beside that.
    """
    try:
        blank = cells.texts(column).is_null() if column.dtype not in (pl.Date, pl.Datetime) else column.is_null()
        if blank.all():
            return "none"
        if column.dtype in (pl.Date, pl.Datetime, pl.String) and not cells.days(column)[1].any():
            return "day"
        if column.dtype == pl.Boolean:
            return "categorical"
        return "categorical" if cells.numbers(column)[1].any() else "numeric"
    except cells.WrongTypeError:
        return "none"
