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

    def live_row(
        self, store: Transaction, person: str, lender: str, purposes: Iterable[str], asked_on: date | None, today: date
    ) -> int | None:
        """The row of a person who consents to all of these purposes; None of who does not, or is unknown.

        `asked_on` is the day of a request that is a consent itself, where there is one.
        """
        rows, table = self._rows.get(person, []), self.records.consent
        day = store.withdrew(person, lender)
        withdrawn = [] if day is None else [Consent(lender, withdrawn=date.fromisoformat(day))]
        for purpose in purposes:
            asked = [Consent(lender, purpose, given=asked_on)] if asked_on else []
            given = [(*asked, *withdrawn, *(table[at] if table else ())) for at in rows]
            if not all(may(one, lender, purpose, today) for one in given):
                return None
        return rows[0] if rows else None
