"""A party's own records in memory: checked columns, and who is a test person. Nothing here ever leaves the party."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime

import numpy as np

from sealscore.shared.persons.consent import FEDERATION, Consent, may
from sealscore.shared.plan.schema import TableSchema


@dataclass(frozen=True)
class Records:
    """Checked records of one party; every array has one entry a record.

    `columns` maps a feature's name to float64 [n]: the value of a numeric feature, the index of the level of a
    categorical one, NaN where it is missing. `label` is int8 [n] (1 is bad) or None, `test` bool [n] tells which
    records belong to test persons. `consent` lists the consents of each record; without it everything is consented to.
    `person` and `ids` are text and are compared, never sent.
    """

    schema: TableSchema
    ids: tuple[str, ...] = field(repr=False)
    person: tuple[str, ...] = field(repr=False)
    columns: dict[str, np.ndarray] = field(repr=False)
    label: np.ndarray | None = field(repr=False)
    test: np.ndarray = field(repr=False)
    consent: tuple[tuple[Consent, ...], ...] | None = field(default=None, repr=False)

    @classmethod
    def none(cls, schema: TableSchema) -> Records:
        """No records. They list no consents either, so nobody counts as having withdrawn."""
        names = [feature.name for feature in (*schema.features, *schema.derived)]
        label = None if schema.label is None else np.zeros(0, dtype=np.int8)
        return cls(schema, (), (), {name: np.zeros(0) for name in names}, label, np.zeros(0, dtype=bool))

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: np.ndarray) -> Records:
        """The records at `rows`, an index array or a mask [n]."""
        chosen = np.arange(len(self))[rows]
        return Records(
            schema=self.schema,
            ids=tuple(self.ids[row] for row in chosen),
            person=tuple(self.person[row] for row in chosen),
            columns={name: values[chosen] for name, values in self.columns.items()},
            label=None if self.label is None else self.label[chosen],
            test=self.test[chosen],
            consent=None if self.consent is None else tuple(self.consent[row] for row in chosen),
        )

    def live(self, recipient: str, purpose: str, today: date | None = None) -> np.ndarray:
        """Which records, bool [n], the recipient may have for that purpose; `today` is by default the day in UTC."""
        if self.consent is None:
            return np.ones(len(self), dtype=bool)
        day = today or datetime.now(UTC).date()
        return np.array([may(given, recipient, purpose, day) for given in self.consent], dtype=bool)

    def consenting(self, recipient: str, purpose: str, today: date | None = None) -> tuple[str, ...]:
        """Persons all of whose records are live for the recipient, each once, in the order of records."""
        live = self.live(recipient, purpose, today)
        withheld = {self.person[row] for row in np.flatnonzero(~live)}
        return tuple(person for person in dict.fromkeys(self.person) if person not in withheld)

    def joined(self, peer: str, purpose: str, today: date | None = None) -> tuple[str, ...]:
        """Persons of whom something may be told to the peer, and used of what it tells: all of it ends in sums.

        All of their records are live for the peer, and for sums.
        """
        summed = set(self.consenting(FEDERATION, purpose, today))
        return tuple(person for person in self.consenting(peer, purpose, today) if person in summed)

    def training_part(self) -> Records:
        """The records of training persons."""
        return self.take(~self.test)

    def test_part(self) -> Records:
        """The records of test persons."""
        return self.take(self.test)
