"""A party's own data as its operator describes them: where they lie, how columns are named, where consents are."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from clients.data.cells import WrongTypeError, texts
from clients.data.consents import ConsentTable
from clients.data.errors import DataError, Problem
from clients.data.persons import Persons
from clients.data.sources import Source, read_source
from clients.data.table import Table, columns_of
from shared.identifiers import NORMAL_FORMS
from shared.schema import TableSchema


@dataclass(frozen=True)
class OwnData:
    """A source, the party's own names of the plan's columns, and the table of consents where there is one.

    `persons` is what names a person in the data set, which a real node always has: a plan that says otherwise is not
    read under.
    """

    source: Source
    columns: Mapping[str, str] = field(default_factory=dict)
    consents: ConsentTable | None = None
    persons: Persons | None = None

    @property
    def folder(self) -> Path | None:
        """The folder of a file, or None for a database."""
        return self.source.parent if isinstance(self.source, Path) else None

    def read(self, schema: TableSchema, label: bool, identifier: str) -> Table:
        """The columns of a schema, under the plan's names.

        Raises:
            DataError: see `read_source`; consents that cannot be used; or persons whom the plan names otherwise than
                the data set does.
        """
        if self.persons is not None and (wrong := self.persons.problems(schema, identifier)):
            raise DataError([Problem(str(self.source), what, mend) for what, mend in wrong])
        wanted = columns_of(schema, label)
        own = {self.columns.get(name, name): name for name in wanted}
        if len(own) != len(wanted):
            mend = "name another column for each under [data.columns]"
            raise DataError([Problem(str(self.source), "one column stands for two of the plan", mend)])
        table = read_source(self.source, list(own))
        frame = table.frame.rename({name: own[name] for name in table.frame.columns if name in own})
        table = dataclasses.replace(table, frame=frame, header=tuple(own.get(name, name) for name in table.header))
        if self.consents is None:
            return table
        if schema.consent is None:
            # Without the column everybody counts as consenting, also who has withdrawn in this table.
            value = "the plan reads no consents, and there is a table of them"
            raise DataError([Problem(str(self.source), value, "ask for a plan whose table names a consent column")])
        return _with_consents(table, schema, self.consents.cells(identifier), identifier)


def _with_consents(table: Table, schema: TableSchema, cells: Mapping[str, str], identifier: str) -> Table:
    name, person, form = str(schema.consent), schema.person_column, NORMAL_FORMS[identifier]
    if person not in table.frame.columns:
        return table  # the check of the table says that it is missing
    try:
        persons = texts(table.frame[person]).fill_null("").to_list()
    except WrongTypeError:
        return table  # the same check says that it is of the wrong type
    given = pl.Series(name, [cells.get(form(one), "") for one in persons], dtype=pl.String)
    header = (*(other for other in table.header if other != name), name)
    return dataclasses.replace(table, frame=table.frame.with_columns(given), header=header)
