"""A table in memory, with what it takes to tell a person where in its source a fault is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import polars as pl

from sealscore.clients.data.errors import DataError, Problem
from sealscore.shared.plan.schema import TableSchema

SEPARATORS = {
    ";": "semicolons",
    "\t": "tabs",
    "|": "bars",
    "\uff0c": "full-width commas",
    "\u3001": "enumeration commas",
}
"""What stands between cells in place of commas, where a header seems to have one column."""


class Lines(Protocol):
    """Knows on which line of its file each row starts."""

    def starts(self, indices: Sequence[int]) -> tuple[int, ...]:
        """The lines, from 1, of the rows at `indices`, from 0."""
        ...


@dataclass(frozen=True)
class Table:
    """A frame and where it came from.

    `header` names all columns of the source, also those that were not read. `lines` knows the line of the file on
    which each row of a CSV starts; None counts rows from 1.
    """

    frame: pl.DataFrame = field(repr=False)
    source: str
    header: tuple[str, ...]
    unit: str = "row"
    lines: Lines | None = field(default=None, repr=False)

    @classmethod
    def of(cls, frame: pl.DataFrame, source: str) -> Table:
        """A table that is in memory already."""
        return cls(frame, source, tuple(frame.columns))

    def rows(self, indices: Sequence[int]) -> tuple[int, ...]:
        """The numbers by which a person finds the rows at `indices` (from 0)."""
        if self.lines is None:
            return tuple(int(index) + 1 for index in indices)
        return self.lines.starts(indices)


def columns_of(schema: TableSchema, label: bool = True) -> tuple[str, ...]:
    """The columns that a schema speaks of, the id first; without the label column on demand."""
    special = (schema.id, schema.person, schema.label if label else None, schema.date, schema.consent)
    return (*(name for name in special if name), *(feature.name for feature in schema.features))


def present(columns: Sequence[str] | None, header: Sequence[str]) -> list[str]:
    """Those of `columns` that a source has; all of the source's where None is given."""
    return list(header) if columns is None else [name for name in columns if name in header]


def refuse_twins(source: str, twins: Sequence[str]) -> None:
    """Refuse a source with two columns of one name: `twins` are those names, as far as they are wanted."""
    if twins:
        fix = "keep one column of each name"
        raise DataError([Problem(source, "the header names it twice", fix, column=name) for name in twins])
