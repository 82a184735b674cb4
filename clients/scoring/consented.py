"""Who of a platform's persons consents today, by its records, its withdrawals and what was asked."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from sealscore.clients.scoring.serving_store import Transaction
from sealscore.shared.persons.consent import Consent, may
from sealscore.shared.persons.records import Records


class ConsentedRows:
    """The rows of a platform's records by person."""

    def __init__(self, records: Records) -> None:
        self.records = records
        self._rows: dict[str, list[int]] = {}
        for row, one in enumerate(records.person):
            self._rows.setdefault(one, []).append(row)

    def row(self, person: str) -> int:
        """The first row of a person; KeyError where there is none."""
        return self._rows[person][0]

    def has(self, person: str) -> bool:
        """Whether there is a row of a person."""
        return person in self._rows

    def live_row(
        self,
        store: Transaction,
        person: str,
        lender: str,
        purposes: Iterable[str],
        asked_on: date | None,
        today: date,
        named: bool = False,
    ) -> int | None:
        """The row of a person who consents to all of these purposes; None of who does not, or is unknown.

        `asked_on` is the day of a request that is a consent itself, where there is one. With `named` a consent counts
        for the purpose alone that it names: one for every purpose is none for this one.
        """
        rows, table = self._rows.get(person, []), self.records.consent
        day = store.withdrew(person, lender)
        withdrawn = [] if day is None else [Consent(lender, withdrawn=date.fromisoformat(day))]
        for purpose in purposes:
            asked = [Consent(lender, purpose, given=asked_on)] if asked_on else []
            given = [(*asked, *withdrawn, *(table[at] if table else ())) for at in rows]
            if named:
                # What ended stays: a withdrawal without a purpose is of each.
                given = [
                    tuple(one for one in cell if one.purpose or one.state(purpose, today) == "withdrawn")
                    for cell in given
                ]
            if not all(may(one, lender, purpose, today) for one in given):
                return None
        return rows[0] if rows else None
