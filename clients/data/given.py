"""Who is in a party's table and what each person consented to, read by itself where the rest of the table is at fault.

A withdrawal must not wait until somebody has fixed another person's record, so what is read here needs nothing but the
columns of ids, persons and consents, and a cell that cannot be read costs only the person whom it is about.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from sealscore.clients.data.cells import WrongTypeError, identifiers, texts
from sealscore.clients.data.checks import consents_of
from sealscore.clients.data.column_mapping import ColumnMapping
from sealscore.clients.data.errors import DataError, Problem
from sealscore.clients.data.table import Table
from sealscore.shared.persons.consent import Consent, with_withdrawals
from sealscore.shared.persons.identifiers import NORMAL_FORMS
from sealscore.shared.persons.records import Records
from sealscore.shared.plan.plan import Plan
from sealscore.shared.plan.schema import TableSchema


@dataclass(frozen=True)
class Given:
    """Records without columns or labels: ids, persons and consents as the table has them now.

    `fault` says why the consents cannot be read, where they cannot; `records` have none then.
    """

    records: Records
    fault: DataError | None = None

    def left_of(self, earlier: Records) -> Records:
        """Of records that were read earlier those that the table still has, with the consents that it has now."""
        now: dict[tuple[str, str], tuple[Consent, ...]] = {}
        consents = self.records.consent or ((),) * len(self.records)
        for one, person, given in zip(self.records.ids, self.records.person, consents, strict=True):
            # Of two rows of one record that say different things neither can be relied on.
            now[one, person] = given if now.get((one, person), given) == given else ()
        keys = list(zip(earlier.ids, earlier.person, strict=True))
        left = earlier.take(np.array([key in now for key in keys], dtype=bool))
        if self.records.consent is None:
            return left
        return dataclasses.replace(left, consent=tuple(now[key] for key in keys if key in now))


def read_given(own: ColumnMapping, plan: Plan, party_name: str) -> Given:
    """Who is in the table of a party, and the consents of each.

    Raises:
        DataError: the table cannot be read at all, or not who is in it.
    """
    table = plan.groups[plan.party(party_name).group].table
    bare = table.model_copy(update={"label": None, "date": None, "features": (), "derived": ()})
    form = plan.alignment.identifier
    try:
        return Given(_bare_records(own.read(bare, False, form, lenient=True), own.schema(bare), form))
    except DataError as error:
        unsaid = dataclasses.replace(own, consents=None, consent_column=None)
        without = bare.model_copy(update={"consent": None})
        return Given(_bare_records(unsaid.read(without, False, form), without, form), error)


def _bare_records(table: Table, schema: TableSchema, form: str) -> Records:
    ids = _identifiers(table, schema.id, False)
    persons = ids if schema.person is None else _identifiers(table, schema.person, True)
    persons = [NORMAL_FORMS[form](person) for person in persons]
    there = [row for row, (one, person) in enumerate(zip(ids, persons, strict=True)) if one and person]
    if not there:
        raise DataError([Problem(table.source, "it has nobody in it", "export it again, with its rows")])
    consent = None
    if schema.consent is not None:
        if schema.consent not in table.frame.columns:
            fix = "add it, or name your own column of it under [data]"
            raise DataError([Problem(table.source, "the column is missing", fix, schema.consent)])
        try:
            read = [consents_of(cell) for cell in texts(table.frame[schema.consent]).fill_null("").to_list()]
        except WrongTypeError as error:
            problem = Problem(table.source, str(error), "write it as text", schema.consent, code="type")
            raise DataError([problem]) from None
        # What stands in such a cell may be a withdrawal, which would count in all of the person's records.
        doubted = {person for person, given in zip(persons, read, strict=True) if given is None}
        given = [() if person in doubted else read[row] or () for row, person in enumerate(persons)]
        every = with_withdrawals(persons, given)
        consent = tuple(every[row] for row in there)
    return Records(
        schema=schema,
        ids=tuple(ids[row] for row in there),
        person=tuple(persons[row] for row in there),
        columns={},
        label=None,
        test=np.zeros(len(there), dtype=bool),
        consent=consent,
    )


def _identifiers(table: Table, name: str, of_persons: bool) -> list[str]:
    if name not in table.frame.columns:
        raise DataError([Problem(table.source, "the column is missing", "add it", name)])
    try:
        texts, doubted = identifiers(table.frame[name], of_persons)
    except WrongTypeError as error:
        fix = "write it as text or as a whole number"
        raise DataError([Problem(table.source, str(error), fix, name, code="type")]) from None
    return ["" if bad else text or "" for text, bad in zip(texts.to_list(), doubted.tolist(), strict=True)]
