"""Consents: for what purpose, to whom and until when a record may be used.

A cell of a consent column lists consents, separated by semicolons, each as

    RECIPIENT [for PURPOSE] [from DATE] [until DATE] [withdrawn DATE]

The recipient is a party of the plan with which the record may be joined, or "federation": sums over all parties. A
consent without a purpose is for every purpose, one without dates holds from ever and for ever. A withdrawal ends every
consent of the person to that recipient that was given on its day or before, also where it stands by itself, in an item
or a row of its own; only a consent that is given on a later day holds again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

FEDERATION = "federation"
"""The recipient of everything that a record adds to sums."""

_RECIPIENT = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_PURPOSE = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_WORDS = {"for": "purpose", "from": "given", "until": "expires", "withdrawn": "withdrawn"}


class ConsentError(ValueError):
    """A text that is no list of consents."""


@dataclass(frozen=True)
class Consent:
    """One consent of a record's person; dates are days in UTC. A last day is the last on which it holds."""

    recipient: str
    purpose: str | None = None
    given: date | None = None
    expires: date | None = None
    withdrawn: date | None = None

    def state(self, purpose: str, day: date) -> str:
        """On that day, for that purpose: "live", "withdrawn", "expired", "not-yet" or "other-purpose"."""
        if self.purpose not in (None, purpose):
            return "other-purpose"
        if self.withdrawn is not None and self.withdrawn <= day:
            return "withdrawn"
        if self.expires is not None and self.expires < day:
            return "expired"
        return "not-yet" if self.given is not None and self.given > day else "live"

    @property
    def text(self) -> str:
        """The consent as a cell writes it."""
        said = ((word, getattr(self, name)) for word, name in _WORDS.items())
        return " ".join([self.recipient, *(f"{word} {value}" for word, value in said if value is not None)])


def may(consents: Iterable[Consent], recipient: str, purpose: str, day: date) -> bool:
    """Whether the consents, all of one person, let the recipient have the record for that purpose on that day."""
    own = [one for one in consents if one.recipient == recipient and one.purpose in (None, purpose)]
    ended = [one.withdrawn for one in own if one.withdrawn is not None and one.withdrawn <= day]
    return any(
        one.state(purpose, day) == "live" and all(one.given is not None and one.given > last for last in ended)
        for one in own
    )


def with_withdrawals(persons: Sequence[str], given: Sequence[tuple[Consent, ...]]) -> tuple[tuple[Consent, ...], ...]:
    """The consents of each record, with the withdrawals that stand in other records of its person."""
    withdrawn: dict[str, dict[Consent, None]] = {}
    for person, consents in zip(persons, given, strict=True):
        found = [one for one in consents if one.withdrawn is not None]
        if found:
            withdrawn.setdefault(person, {}).update(dict.fromkeys(found))
    return tuple(
        tuple(dict.fromkeys((*consents, *withdrawn.get(person, ()))))
        for person, consents in zip(persons, given, strict=True)
    )


def parse_consents(cell: str) -> tuple[Consent, ...]:
    """The consents that a cell lists, none where it is empty.

    Raises:
        ConsentError: see the class; says what is wrong, without the cell.
    """
    found = [_parse(part.split()) for part in re.split(r"[;,|]", cell) if part.strip()]
    return tuple(found)


def _parse(words: list[str]) -> Consent:
    if not _RECIPIENT.fullmatch(words[0]):
        raise ConsentError("a consent begins with the name of a party, or with federation")
    given: dict[str, str | date] = {}
    for word, value in zip(words[1::2], words[2::2], strict=False):
        if word not in _WORDS or _WORDS[word] in given:
            raise ConsentError(f"after the recipient come {', '.join(_WORDS)}, each once at most")
        given[_WORDS[word]] = value if word == "for" else _day(value)
    if len(words) % 2 == 0:
        raise ConsentError("the last word of a consent has no value")
    purpose = given.get("purpose")
    if purpose is not None and not _PURPOSE.fullmatch(str(purpose)):
        raise ConsentError("a purpose is of a-z, 0-9 and hyphens")
    return Consent(words[0], **given)  # type: ignore[arg-type]


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ConsentError("dates of a consent are written 2027-03-31") from None
