"""Tables as a researcher has them in memory, as the one form in which the rest reads them: polars frames."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from sealscore.clients.data import DataError, Problem

_FIX = "give a polars or a pandas frame, or a mapping of column names to values"


def as_frame(data: Any, what: str = "the frame") -> pl.DataFrame:
    """A polars frame [rows, columns] of a polars or pandas frame, or of a mapping of names to columns of one length.

    `what` is what the data are called in a message. An index of pandas is left out.

    Raises:
        DataError: it is none of these, has columns of several lengths, or two of one name.
    """
    if isinstance(data, pl.DataFrame):
        return data
    if isinstance(data, pl.LazyFrame):
        return data.collect()
    if type(data).__module__.partition(".")[0] == "pandas" and hasattr(data, "columns"):
        return _of_pandas(data, what)
    if isinstance(data, Mapping):
        try:
            return pl.DataFrame(dict(data), strict=False)
        except (pl.exceptions.PolarsError, ValueError, TypeError) as error:
            # Words of a library may quote a cell.
            told = f"the columns make no table ({type(error).__name__})"
            raise DataError([Problem(what, told, "give columns of one length, each of one kind")]) from None
    raise DataError([Problem(what, f"it is a {type(data).__name__}, and no table", _FIX)])


def _of_pandas(data: Any, what: str) -> pl.DataFrame:
    names = [str(name) for name in data.columns]
    if len(set(names)) < len(names):
        twins = sorted({name for name in names if names.count(name) > 1})
        raise DataError([Problem(what, "two columns have this name", "keep one", column=name) for name in twins])
    return pl.DataFrame([_column(name, data.iloc[:, place]) for place, name in enumerate(names)])


def _column(name: str, column: Any) -> pl.Series:
    """One column of pandas, whose own way to polars needs pyarrow."""
    missing = np.asarray(column.isna())
    kind = getattr(column.dtype, "kind", "O")
    if kind in "iufb" and not missing.any():
        return pl.Series(name, np.asarray(column.to_numpy()))
    if kind in "iufb":
        return pl.Series(name, np.asarray(column.to_numpy(dtype=np.float64, na_value=np.nan))).fill_nan(None)
    if kind == "M":
        return pl.Series(name, column.astype("datetime64[us]").to_numpy())
    # Mixed columns as text, which is what a file of them would hold.
    values = [None if gone else value for value, gone in zip(column.tolist(), missing, strict=True)]
    if {type(value) for value in values if value is not None} <= {str}:
        return pl.Series(name, values, dtype=pl.String)
    return pl.Series(name, values, strict=False)
