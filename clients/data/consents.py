"""Consents from a table of their own, one a row: they become the consent column of the records."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import numpy as np
import polars as pl

from sealscore.clients.data.cells import IDENTIFIER_MEND, NO_IDENTIFIER, WrongTypeError, inexact, texts
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

    def cells(self, identifier: str, lenient: bool = False) -> dict[str, str]:
        """The consents of each person, by the normal form of the identifier, as a consent column writes them.

        Where it is `lenient`, a row that is no consent makes its person's cell no list of consents either: what stands
        in that row may be a withdrawal.

        Raises:
            DataError: the table cannot be read, lacks a column, or has a row that is no consent and is not `lenient`.
        """
        columns = [self.person, self.recipient, *(name for name in (self.purpose, *self.days.values()) if name)]
        table = read_source(self.source, columns, (self.person,))
        if lacking := [name for name in columns if name not in table.header]:
            fix = "name the columns of the consents under [data.consents]"
            raise DataError([Problem(table.source, "the column is missing", fix, column=name) for name in lacking])
        frame = self._as_text(table)
        form, found = NORMAL_FORMS[identifier], defaultdict(list)
        wrong: dict[str, list[int]] = defaultdict(list)
        doubted: set[str] = set()
        for row, cells in enumerate(frame.select(columns).iter_rows(named=True)):
            try:
                consent = self._consent(cells)
                # A cell may hold several; here days and purpose of a row would be those of the last one only.
                if parse_consents(consent.text) != (consent,):
                    raise ConsentError("a row names one recipient")
            except ConsentError as error:
                wrong[str(error)].append(row)
                doubted.add(form(cells[self.person]))
                continue
            found[form(cells[self.person])].append(consent.text)
        if wrong and not lenient:
            raise DataError(
                [
                    Problem(
                        table.source,
                        what,
                        "fix the row, or leave it out",
                        rows=table.rows(rows),
                        unit=table.unit,
                    )
                    for what, rows in sorted(wrong.items())
                ]
            )
        return {person: "; ".join(texts) for person, texts in found.items()} | dict.fromkeys(doubted, _IN_DOUBT)

    def _consent(self, cells: Mapping[str, Any]) -> Consent:
        days = {name: _day(cells[column]) for name, column in self.days.items() if column}
        purpose = cells[self.purpose] if self.purpose else ""
        return Consent(cells[self.recipient], purpose or None, **days)

    def _as_text(self, table: Table) -> pl.DataFrame:
        """Persons, recipients and purposes as the data's own columns are read: 7, 7.0 and " 7" are one person."""
        frame = table.frame
        if (doubted := np.flatnonzero(inexact(frame[self.person]))).size:
            rows, value = table.rows(doubted.tolist()), f"the person is {NO_IDENTIFIER}"
            raise DataError([Problem(table.source, value, IDENTIFIER_MEND, self.person, rows, table.unit)])
        for name in filter(None, (self.person, self.recipient, self.purpose)):
            try:
                frame = frame.with_columns(texts(frame[name]).fill_null("").alias(name))
            except WrongTypeError as error:
                raise DataError([Problem(table.source, str(error), "export it as text", column=name)]) from None
        return frame


def _day(cell: object) -> date | None:
    if cell is None or cell == "":
        return None
    if isinstance(cell, datetime):
        return cell.date()
    if isinstance(cell, date):
        return cell
    try:
        return date.fromisoformat(re.split("[T ]", str(cell), maxsplit=1)[0])
    except ValueError:
        raise ConsentError("a day is not written 2027-03-31") from None
