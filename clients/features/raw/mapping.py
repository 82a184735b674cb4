"""A party's own names for tables and columns, and how its values become canonical ones: one TOML file beside them.

    [videos]
    file = "works.parquet"
    [videos.columns]
    views = "play_cnt"
    published_at = { from = "created", epoch = "ms" }
    completion_rate = { from = "finished_percent", factor = 0.01 }
    [orders.columns]
    channel = { from = "scene", values = { "1" = "shop", "2" = "live" } }
    currency = { value = "CNY" }

What the file does not name has its canonical name.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import polars as pl
from pydantic import Field, ValidationError, model_validator

from sealscore.clients.data.errors import DataError, Problem
from sealscore.clients.features.dictionary.dictionary import Kind
from sealscore.clients.features.raw.raw import TABLES
from sealscore.shared.plan.schema import Strict
from sealscore.shared.plan.toml import TomlError, load_toml

FILE = "mapping.toml"
_MICROSECONDS = {"s": 1_000_000, "ms": 1_000, "us": 1}


class ColumnMap(Strict):
    """Where a canonical column comes from: a column `from`, or one `value` for all rows.

    `epoch` reads whole numbers as moments since 1970 in that unit; `factor` multiplies; `values` translates words.
    """

    source: Annotated[str | None, Field(min_length=1, alias="from")] = None
    value: str | None = None
    epoch: Literal["s", "ms", "us"] | None = None
    factor: Annotated[float, Field(gt=0)] | None = None
    values: dict[str, str] | None = None

    @model_validator(mode="after")
    def _one_way(self) -> ColumnMap:
        if (self.source is None) == (self.value is None):
            raise ValueError("give either 'from' or 'value'")
        if sum(way is not None for way in (self.value, self.epoch, self.factor, self.values)) > 1:
            raise ValueError("give at most one of 'value', 'epoch', 'factor', 'values'")
        return self

    def expression(self) -> pl.Expr:
        """The canonical column, from the party's own columns."""
        if self.source is None:
            return pl.lit(self.value)
        column = pl.col(self.source)
        if self.epoch:
            return pl.from_epoch(column.cast(pl.Int64, strict=False) * _MICROSECONDS[self.epoch], time_unit="us")
        if self.factor is not None:
            return column.cast(pl.Float64, strict=False) * self.factor
        if self.values is not None:
            return column.cast(pl.String).replace_strict(self.values, default=column.cast(pl.String))
        return column


class TableMap(Strict):
    """The file of a table, and its columns by their canonical names."""

    file: Annotated[str, Field(min_length=1)] | None = None
    columns: dict[str, str | ColumnMap] = Field(default_factory=dict)

    def column(self, name: str) -> ColumnMap:
        """Where a canonical column comes from."""
        found = self.columns.get(name, name)
        return ColumnMap.model_validate({"from": found}) if isinstance(found, str) else found


class PartyMapping(Strict):
    """All tables of a party; those not named are as the canonical ones."""

    tables: dict[str, TableMap] = Field(default_factory=dict)

    @classmethod
    def of(cls, tables: Mapping[str, Any], kind: Kind, source: str = FILE) -> PartyMapping:
        """From plain data: for each table `file` and `columns`.

        Raises:
            DataError: a table or column that the kind does not have, or a value that cannot be used.
        """
        known = TABLES[kind]
        for table, content in tables.items():
            if table not in known:
                raise _unknown(source, f"table {table!r}", table, known)
            for column in content.get("columns", ()) if isinstance(content, dict) else ():
                if column not in known[table].columns:
                    raise _unknown(source, f"{table}.columns.{column}", column, known[table].columns)
        try:
            return cls.model_validate({"tables": tables})
        except ValidationError as error:
            # Of a column that is neither text nor a table of the right form, the last error tells of the table.
            found = error.errors()[-1]
            where = ".".join(str(step) for step in found["loc"][1:4])
            raise DataError(
                [Problem(source, f"{where}: {found['msg']}", "write it as docs/features.md shows")]
            ) from None

    @classmethod
    def load(cls, path: Path, kind: Kind) -> PartyMapping:
        """From a TOML file.

        Raises:
            DataError: there is no such file, it is no TOML, or it names what the kind of party does not have.
        """
        try:
            tables = load_toml(path)
        except TomlError as error:
            raise DataError([Problem(path.name, error.wrong, error.fix)]) from None
        return cls.of(tables, kind, path.name)

    def table(self, name: str) -> TableMap:
        """The mapping of one table."""
        return self.tables.get(name, TableMap())


def _unknown(source: str, what: str, name: str, known: Mapping[str, Any]) -> DataError:
    close = difflib.get_close_matches(name, known, n=1)
    fix = f"did you mean {close[0]!r}?" if close else f"use one of {', '.join(known)}"
    return DataError([Problem(source, f"{what} is none that this kind of party has", fix)])
