"""What names the records of a table, and the persons whom they are about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from sealscore.clients.data.cells import WrongTypeError, inexact, texts
from sealscore.shared.plan.errors import PlanError
from sealscore.simulations.draft.names import resolve, seems_id, seems_person

RECORD = "record_number"
FEWEST_PERSONS = 50
"""Different values of a column that names persons, at least: of each person a draft keeps one record."""


@dataclass(frozen=True)
class Identifiers:
    """The column of the record's id (None: records are numbered), that of the person (None: the id), and why."""

    id: str | None
    person: str | None
    why: str

    @property
    def column(self) -> str:
        """What the plan names as the id."""
        return self.id or RECORD

    @property
    def person_column(self) -> str:
        """What names persons."""
        return self.person or self.column


def find_identifiers(tables: Sequence[pl.DataFrame], wanted: str | None, person: str | None) -> Identifiers:
    """The identifiers of tables of one role: those named, or columns that by name and cells seem to be some.

    A column that repeats within a table names persons, and records are numbered where no other names them.

    Raises:
        PlanError: a named column is not there, or has cells that identify nobody.
    """
    columns = [name for name in tables[0].columns if all(name in table.columns for table in tables)]
    told = None if person is None else resolve(person, columns, "--person")
    if wanted is not None:
        name = resolve(wanted, columns, "--id")
        if not _names_all(tables, name):
            raise PlanError(f"--id {wanted}", [f"column {name!r} has blank cells, or numbers that are not whole"])
        if _unique(tables, name):
            return Identifiers(name, told, "named by --id")
        if len(distinct := set().union(*(texts(table[name]).unique().to_list() for table in tables))) < FEWEST_PERSONS:
            what = f"column {name!r} has {len(distinct)} different values, and would make so few persons of all rows"
            raise PlanError(f"--id {wanted}", [f"{what}; name a column that tells records or persons apart, or none"])
        return Identifiers(None, told or name, f"{name!r} repeats, so it names persons; records are numbered")
    fitting = [name for name in columns if name and seems_id(name) and _names_all(tables, name)]
    unique = [name for name in fitting if _unique(tables, name)]
    repeated = [name for name in fitting if name not in unique and seems_person(name)]
    if told is None and len(repeated) == 1:
        told = repeated[0]
    if unique:
        told = None if told == unique[0] else told
        why = "its name, and no two rows are alike"
        return Identifiers(unique[0], told, why + (f"; {told!r} repeats, so it names persons" if told else ""))
    if told is not None:
        return Identifiers(None, told, f"{told!r} names persons; records are numbered")
    return Identifiers(None, None, "no column seems to name records: each row is a person, numbered")


def _unique(tables: Sequence[pl.DataFrame], name: str) -> bool:
    return all(table[name].n_unique() == table.height for table in tables)


def _names_all(tables: Sequence[pl.DataFrame], name: str) -> bool:
    try:
        return not any(texts(table[name]).is_null().any() or inexact(table[name]).any() for table in tables)
    except WrongTypeError:
        return False
