"""How many bits scoring can have told of one person, by the entries of the platform's ledger alone.

Formal guarantee. A level is computed once a person, tower and calendar month (a watch bit once a quarter), and nothing
is told on a day that is not charged. So by kind no more is told of anybody than the bits of each meaning in each of
these periods of which a day is charged; within the approvals' limits of a period and of a life, which the node keeps
person by person. A correction of wrong data is beyond the limits; the node makes one of a person, kind, meaning and
month at most, of what was told within them, so corrections at most double the bits. The ledger knows no person, so all
that is charged is taken to be of one: an upper bound. Bits of training are counted apart.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date

from sealscore.shared.ledger.entries import ServeCorrect, ServeDay
from sealscore.shared.ledger.serving_state import ReleaseState, ServingState
from sealscore.shared.serving.watch import period_of


@dataclass(frozen=True)
class ToldForScoring:
    """The most bits of one person by kind, and of how many days the entries are, `first` to `last` ("" if none).

    `corrections` is how many corrections of wrong data there were, of whomever; their bits are among `bits`.
    """

    bits: Mapping[str, int] = field(default_factory=dict)
    days: int = 0
    first: str = ""
    last: str = ""
    corrections: int = 0

    @classmethod
    def of(cls, state: ServingState, lender: str | None = None) -> ToldForScoring:
        """What one lender can have been told, or all of them together."""
        charged = [(release, day) for release, day in _charged(state) if lender in (None, day.peer)]
        days = sorted({day.day for _, day in charged})
        # What was corrected for one lender is told to all of them who ask in that month.
        months = {day[:7] for day in days}
        corrected = [
            (release, one) for release, one in _corrected(state) if lender in (None, one.peer) or one.day[:7] in months
        ]
        bits = _with_corrections(_bits(charged), corrected)
        return cls(bits, len(days), days[0] if days else "", days[-1] if days else "", len(corrected))

    def __bool__(self) -> bool:
        return self.days > 0 or self.corrections > 0


def told_by_lender(state: ServingState) -> dict[str, ToldForScoring]:
    """What each lender can have been told: those of which a day is charged."""
    lenders = sorted({day.peer for _, day in _charged(state)})
    return {lender: ToldForScoring.of(state, lender) for lender in lenders}


def _charged(state: ServingState) -> Iterator[tuple[ReleaseState, ServeDay]]:
    for release in state.releases.values():
        for days in release.days.values():
            yield from ((release, day) for day in days)


def _corrected(state: ServingState) -> Iterator[tuple[ReleaseState, ServeCorrect]]:
    for release in state.releases.values():
        yield from ((release, one) for one in release.corrections)


def _meaning(release: ReleaseState, kind: str) -> str:
    """By what the node knows that a value of a kind was told before: a band under other edges is another one."""
    # An entry that is not allowed can name a kind that the release does not tell.
    return next((release.told.definition(one) for one in release.told.bits if one == kind), "") if release.told else ""


def _period(kind: str, day: str) -> str:
    """The period of a day; an entry that is not allowed can have one that no calendar has, in whose month it is."""
    try:
        return period_of(kind, date.fromisoformat(day))
    except ValueError:
        return day[:7]


def _with_corrections(
    bits: Mapping[str, int], corrections: Iterable[tuple[ReleaseState, ServeCorrect]]
) -> dict[str, int]:
    again: dict[tuple[str, str, str], int] = {}
    for release, one in corrections:
        for kind, more in one.bits.items():
            place = kind, one.day[:7], _meaning(release, kind)
            again[place] = max(again.get(place, 0), more)
    total = defaultdict(int, bits)
    for (kind, *_), more in again.items():
        total[kind] += more
    return dict(sorted(total.items()))


def _bits(charged: list[tuple[ReleaseState, ServeDay]]) -> dict[str, int]:
    told: defaultdict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    month_limit: defaultdict[tuple[str, str], float] = defaultdict(float)
    life_limit: defaultdict[str, float] = defaultdict(float)
    for release, day in charged:
        for kind, bits in day.bits.items():
            month = _period(kind, day.day)
            known, meaning = told[kind, month], _meaning(release, kind)
            known[meaning] = max(known.get(meaning, 0), bits)
            limit = release.limits.get(kind)
            # An entry that is not allowed can name a kind without a limit: then none is counted on.
            month_limit[kind, month] = max(month_limit[kind, month], limit.month if limit else math.inf)
            life_limit[kind] = max(life_limit[kind], limit.life if limit else math.inf)
    total: defaultdict[str, float] = defaultdict(float)
    for (kind, month), meanings in told.items():
        total[kind] += min(sum(meanings.values()), month_limit[kind, month])
    return {kind: int(min(bits, life_limit[kind])) for kind, bits in sorted(total.items())}
