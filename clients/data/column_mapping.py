"""A party's own data as its operator describes them: where they lie, how columns are named, where consents are."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from sealscore.clients.data.cells import WrongTypeError, identifiers
from sealscore.clients.data.consents import ConsentTable
from sealscore.clients.data.errors import DataError, Problem
from sealscore.clients.data.persons import Persons
from sealscore.clients.data.sources.keys import refuse_strangers
from sealscore.clients.data.sources.sources import Source, read_source
from sealscore.clients.data.table import Table, columns_of
from sealscore.shared.persons.identifiers import NORMAL_FORMS
from sealscore.shared.plan.schema import TableSchema

_CONSENT = "consent"


@dataclass(frozen=True)
class ColumnMapping:
    """A source, the party's own names of the plan's columns, and where consents are, as the operator says.

    They are in the own column `consent_column`, or in the table `consents`, and are read under every plan, also under
    one that names no column of them. Where neither is given, they are in the column that the plan names, if it does.
    `persons` is what names a person in the data set, which a real node always has: a plan that says otherwise is not
    read under. `zone` is where days of moments begin and end (see `cells.days`); `missing_values` are
    numbers that stand for no value, by the own names of columns.
    """

    source: Source
    columns: Mapping[str, str] = field(default_factory=dict)
    consents: ConsentTable | None = None
    consent_column: str | None = None
    persons: Persons | None = None
    zone: str | None = None
    missing_values: Mapping[str, Sequence[float]] = field(default_factory=dict)

    @property
    def folder(self) -> Path | None:
        """The folder of a file, or None for a database."""
        return self.source.parent if isinstance(self.source, Path) else None

    def schema(self, schema: TableSchema) -> TableSchema:
        """The schema as it is read here: a plan's without consents gets a column of them where the operator has any."""
        if schema.consent is not None or (self.consents is None and self.consent_column is None):
            return schema
        name, taken = _CONSENT, columns_of(schema)
        while name in taken:
            name += "_"
        return schema.model_copy(update={"consent": name})

    def named(self, name: str, schema: TableSchema) -> str:
        """The own name of a column of `schema`, which is one as it is read here."""
        if name == schema.consent and self.consent_column is not None:
            return self.consent_column
        return self.columns.get(name, name)

    def missing_in(self, schema: TableSchema) -> dict[str, Sequence[float]]:
        """The numbers that stand for no value, by the plan's names of columns."""
        own = {feature.name: self.named(feature.name, schema) for feature in schema.features}
        return {name: self.missing_values[column] for name, column in own.items() if column in self.missing_values}

    def read(self, schema: TableSchema, label: bool, identifier: str, lenient: bool = False) -> Table:
        """The columns of a plan's schema as it is read here (see `schema`), under the plan's names.

        A table of consents may be read `lenient`: see `ConsentTable.cells`.

        Raises:
            DataError: see `read_source`; consents that cannot be used; or persons whom the plan names otherwise than
                the data set does. What is missing is for the check to find.
        """
        if self.persons is not None and (wrong := self.persons.problems(schema, identifier)):
            raise DataError([Problem(self.source.name, what, fix) for what, fix in wrong])
        schema = self.schema(schema)
        wanted = [name for name in columns_of(schema, label) if name != schema.consent or self.consents is None]
        own = {self.named(name, schema): name for name in wanted}
        if len(own) != len(wanted):
            fix = "name another column for each under [data.columns]"
            raise DataError([Problem(self.source.name, "one column stands for two of the plan", fix)])
        identifiers = {self.named(name, schema) for name in (schema.id, schema.person_column)}
        table = read_source(self.source, list(own), identifiers)
        frame = table.frame.rename({name: own[name] for name in table.frame.columns if name in own})
        table = dataclasses.replace(table, frame=frame, header=tuple(own.get(name, name) for name in table.header))
        if self.consents is None:
            return table
        cells = self.consents.cells(identifier, self.zone, lenient, schema.person is not None)
        return _with_consents(table, schema, cells, identifier, lenient)


def _with_consents(
    table: Table, schema: TableSchema, cells: Mapping[str, str], identifier: str, lenient: bool
) -> Table:
    name, person, form = str(schema.consent), schema.person_column, NORMAL_FORMS[identifier]
    if person not in table.frame.columns:
        return table  # the check of the table says that it is missing
    try:
        persons = identifiers(table.frame[person], of_persons=schema.person is not None)[0].fill_null("").to_list()
    except WrongTypeError:
        return table  # the same check says that it is of the wrong type
    forms = [form(one) for one in persons]
    if not lenient:
        refuse_strangers(table.source, person, forms, "consents", cells)
    given = pl.Series(name, [cells.get(one, "") for one in forms], dtype=pl.String)
    header = (*(other for other in table.header if other != name), name)
    return dataclasses.replace(table, frame=table.frame.with_columns(given), header=header)
