"""Consents from a table of their own, one a row: they become the consent column of the records."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sealscore.clients.data.cells import (
    IDENTIFIER_MEND,
    NO_IDENTIFIER,
    TORN,
    TORN_FIX,
    WrongTypeError,
    days,
    identifiers,
    texts,
)
from sealscore.clients.data.errors import DataError, Problem
from sealscore.clients.data.sources.sources import Source, read_source
from sealscore.clients.data.table import Table
from sealscore.shared.persons.consent import Consent, ConsentError, parse_consents
from sealscore.shared.persons.identifiers import NORMAL_FORMS

# A cell that is no list of consents.
_IN_DOUBT = "?"


@dataclass(frozen=True)
class ConsentTable:
    """Where consents lie, and the names of the columns; `days` maps given, expires and withdrawn to theirs."""

    source: Source
    person: str
    recipient: str
    purpose: str | None
    days: Mapping[str, str | None]

    def cells(
        self, identifier: str, zone: str | None = None, lenient: bool = False, of_persons: bool = True
    ) -> dict[str, str]:
        """The consents of each person, by the normal form of the identifier, as a consent column writes them.

        Days of moments are those of `zone` (see `cells.days`). Where it is `lenient`, a row that is no consent makes
        its person's cell no list of consents either: what stands in that row may be a withdrawal. `of_persons` is
        false where the data's records are the persons (see `identifiers`).

        Raises:
            DataError: the table cannot be read, lacks a column, or has a row that is no consent and is not `lenient`.
        """
        columns = [self.person, self.recipient, *(name for name in (self.purpose, *self.days.values()) if name)]
        table = read_source(self.source, columns, (self.person,))
        if lacking := [name for name in columns if name not in table.header]:
            fix = "name the columns of the consents under [data.consents]"
            raise DataError([Problem(table.source, "the column is missing", fix, column=name) for name in lacking])
        form, found = NORMAL_FORMS[identifier], defaultdict(list)
        wrong: dict[tuple[str, str, str], list[int]] = defaultdict(list)
        doubted: set[str] = set()
        read = self._read(table, zone, of_persons)
        for row, (person, recipient, purpose, *dates) in enumerate(read.texts):
            try:
                if not person:
                    raise _RowError("blank", "the person is blank, or a word for nobody")
                if fault := read.faults.get(row):
                    raise fault
                consent = Consent(recipient, purpose or None, *dates)
                # A cell may hold several; here days and purpose of a row would be those of the last one only.
                if parse_consents(consent.text) != (consent,):
                    raise _RowError("consent", "a row names one recipient")
            except (_RowError, ConsentError) as error:
                code, fix = (error.code, error.fix) if isinstance(error, _RowError) else ("consent", _ROW_FIX)
                wrong[str(error), fix, code].append(row)
                doubted.add(form(person))
                continue
            found[form(person)].append(consent.text)
        if wrong and not lenient:
            raise DataError(
                [
                    Problem(table.source, what, fix, rows=table.rows(rows), unit=table.unit, code=code)
                    for (what, fix, code), rows in sorted(wrong.items())
                ]
            )
        return {person: "; ".join(texts) for person, texts in found.items()} | dict.fromkeys(doubted, _IN_DOUBT)

    def _read(self, table: Table, zone: str | None, of_persons: bool) -> _Rows:
        """The columns of a consent, as the data's own are read: 7, 7.0 and " 7" are one person."""
        frame, height = table.frame, table.frame.height
        columns: list[list[Any]] = []
        try:
            persons, inexact = identifiers(frame[self.person], of_persons)
        except WrongTypeError as error:
            raise _type_error(table, self.person, error) from None
        if (at := np.flatnonzero(inexact)).size:
            rows, value = table.rows(at.tolist()), f"the person is {NO_IDENTIFIER}"
            problem = Problem(table.source, value, IDENTIFIER_MEND, self.person, rows, table.unit, code="inexact")
            raise DataError([problem])
        columns.append(persons.fill_null("").to_list())
        faults: dict[int, _RowError] = {}
        for name in (self.recipient, self.purpose):
            try:
                columns.append([""] * height if name is None else texts(frame[name]).fill_null("").to_list())
            except WrongTypeError as error:
                raise _type_error(table, str(name), error) from None
        for name in (self.days.get(key) for key in ("given", "expires", "withdrawn")):
            if name is None:
                columns.append([None] * height)
                continue
            try:
                read, unread, torn = days(frame[name], zone)
            except WrongTypeError as error:
                raise _type_error(table, name, error) from None
            columns.append(read.tolist())
            faults |= {int(at): _RowError("day", "a day is not written 2027-03-31") for at in np.flatnonzero(unread)}
            faults |= {int(at): _RowError("zone", TORN, TORN_FIX) for at in np.flatnonzero(torn)}
        return _Rows(list(zip(*columns, strict=True)), faults)


_ROW_FIX = "fix the row, or leave it out"


class _RowError(ValueError):
    """Why a row is no consent, with the code and the fix."""

    def __init__(self, code: str, value: str, fix: str = _ROW_FIX) -> None:
        super().__init__(value)
        self.code, self.fix = code, fix


@dataclass(frozen=True)
class _Rows:
    """Person, recipient, purpose, given, expires and withdrawn of each row, and why some of them are no days."""

    texts: list[tuple[Any, ...]]
    faults: Mapping[int, _RowError]


def _type_error(table: Table, column: str, error: WrongTypeError) -> DataError:
    return DataError([Problem(table.source, str(error), "export it as text or as a date", column, code="type")])
