"""A party's disclosure store on consents: in use, withdrawn, expired, by purpose; and all about one person."""

from __future__ import annotations

import sqlite3
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from urllib.parse import quote

from sealscore.shared.ledger.disclosure_store import DisclosureStore, DisclosureStoreError, ToldValue
from sealscore.shared.persons.consent import Consent

EVERY_PURPOSE = "every purpose"
# Of several consents of a record to one recipient and purpose, the first of these states that any is in counts.
STATES = ("live", "not-yet", "withdrawn", "expired")


@dataclass(frozen=True)
class ConsentCount:
    """Records by the state of their consent to one recipient for one purpose."""

    purpose: str
    recipient: str
    states: dict[str, int]


@dataclass(frozen=True)
class PersonView:
    """All that is stored of one person, for that person: consents with their state, what was disclosed, what came.

    `received` is (plan, peer, kind, value) of what peers disclosed and was not deleted.
    """

    consents: list[tuple[str, Consent, str]]
    told: list[ToldValue]
    received: list[tuple[str, str, str, int]]

    @property
    def empty(self) -> bool:
        """Whether the disclosure store does not know the person."""
        return not (self.consents or self.told or self.received)


def open_disclosure_store(path: Path) -> DisclosureStore:
    """The disclosure store in a file; DisclosureStoreError where there is none, or where it is damaged."""
    if not path.is_file():
        raise DisclosureStoreError(f"{path}: there is no such disclosure store")
    _require_store(path)
    return DisclosureStore(path)


def _require_store(path: Path) -> None:
    """DisclosureStoreError where a file is another one: a store opened there would write its tables into it."""
    try:
        database = sqlite3.connect(f"file:{quote(str(path.resolve()))}?mode=ro", uri=True)
        try:
            names = {str(name) for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        finally:
            database.close()
    except sqlite3.Error as error:
        raise DisclosureStoreError(f"{path}: is no disclosure store ({error}); name the party's register.db") from None
    if not names >= {"batches", "told", "consents"}:
        is_ledger = "; it is a ledger, which `verify` reads" if "entries" in names else ""
        raise DisclosureStoreError(f"{path}: is no disclosure store{is_ledger}; name the party's register.db")


def consent_counts(disclosure_store: DisclosureStore, day: date) -> list[ConsentCount]:
    """Records by purpose, recipient and state on a day, in the order of these names.

    A consent for every purpose is separate: it counts beside each of the others.
    """
    states: dict[tuple[str, str], dict[tuple[str, str], set[str]]] = defaultdict(lambda: defaultdict(set))
    for person, record, consent in disclosure_store.consents():
        key = (consent.purpose or EVERY_PURPOSE, consent.recipient)
        states[key][person, record].add(state_of(consent, day))
    found = []
    for (purpose, recipient), records in sorted(states.items()):
        counts = Counter(next(state for state in STATES if state in of) for of in records.values())
        found.append(ConsentCount(purpose, recipient, {state: counts[state] for state in STATES}))
    return found


def state_of(consent: Consent, day: date) -> str:
    """One of `STATES`: the state of a consent on a day, for its own purpose."""
    return consent.state(consent.purpose or "", day)


def person_view(disclosure_store: DisclosureStore, person: str, day: date) -> PersonView:
    """Everything about one person, by the identifier that the data has."""
    consents = [(record, consent, state_of(consent, day)) for _, record, consent in disclosure_store.consents(person)]
    return PersonView(consents, disclosure_store.told_of(person), disclosure_store.received_of(person))
