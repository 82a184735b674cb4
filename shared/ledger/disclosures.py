"""How many bits of each person a data set has disclosed, without noise, over its life.

The limit is counted by meaning (the tower and edges that levels come from, the bands that codes come from), and not by
person: values of a meaning are disclosed only while the bits of all meanings that were ever disclosed, of whomever and
to whomever, are within the limit together. So no more bits than the limit are disclosed of anybody, and whether a place
has a value or a fill follows from what was asked of the data set before, never from who else knows that person. Were it
decided person by person, a lender that knows what a level should be (a server can publish a tower that gives everybody
the same one) would read from a fill that the person is at another lender.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sealscore.shared.ledger.disclosure_store import DisclosureStore
from sealscore.shared.randomness.fills import Fills
from sealscore.shared.randomness.streams import StreamSource


@dataclass(frozen=True)
class ToldNumbers:
    """The numbers of a message by person, fills among them.

    `persons` is of how many a value is disclosed, `fresh` of how many for the first time, `over` how many values the
    limit kept back.
    """

    numbers: Mapping[str, int]
    persons: int
    fresh: int
    over: int


class Disclosed:
    """Values that were disclosed of each person, as the disclosure store of the data set has them.

    Recipients may put together what they got, so a value that one of them got is nothing new to another.
    Each kind of disclosure ("signal", "groups") is counted and limited by itself. `secret` keys the fills.
    """

    def __init__(self, secret: StreamSource, disclosure_store: DisclosureStore | None = None) -> None:
        self._fills, self._disclosure_store = Fills(secret), disclosure_store or DisclosureStore()

    def spend(
        self,
        kind: str,
        what: str,
        bits: int,
        levels: int,
        values: Mapping[str, int],
        limit: int,
        recipient: str = "",
        plan: str = "",
    ) -> ToldNumbers:
        """The numbers below `levels` to send of persons with these values, -1 where there is none; they are noted.

        A recipient that got a number of somebody under the meaning `what`, a value or a fill, gets the same again. Of
        everybody else it gets the value (of `bits` bits) if the meaning is within `limit`, and a fill if not. A value
        is the same for all recipients: a later correction is not sent.

        Raises:
            DisclosureStoreError: it cannot be noted, so nothing may be sent.
        """
        disclosure_store, filling = self._disclosure_store, f"{kind}-fill"
        with disclosure_store.alone():
            kept = disclosure_store.values(kind, what)
            earlier, filled = (disclosure_store.told_to(one, what, recipient) for one in (kind, filling))
            fits = sum((disclosure_store.meanings(kind) | {what: bits}).values()) <= limit
            told: dict[str, int] = {}
            fills: dict[str, int] = {}
            over = 0
            for person, value in values.items():
                fill = self._fills.of_person(kind, what, person, levels)
                if person in earlier:
                    told[person] = earlier[person]
                elif value >= 0 and person not in filled and fits and self._holds(kind, bits, person, kept, limit):
                    told[person] = kept.get(person, value)
                else:
                    fills[person] = filled.get(person, fill)
                    over += value >= 0
            if new := {person: number for person, number in fills.items() if person not in filled}:
                disclosure_store.tell(filling, what, 0, recipient, plan, new)
            # A meaning that was disclosed of nobody counts like any other: who was there must not show in the next one.
            fresh = disclosure_store.tell(kind, what, bits, recipient, plan, told) if fits or told else 0
            numbers = told | fills
            return ToldNumbers({person: numbers[person] for person in values}, len(told), fresh, over)

    def bits(self, kind: str, persons: Iterable[str]) -> int:
        """The most bits of this kind that were disclosed of one of these persons."""
        return max((self._disclosure_store.bits(kind, person) for person in persons), default=0)

    def _holds(self, kind: str, bits: int, person: str, kept: Mapping[str, int], limit: int) -> bool:
        """Whether a person's value is within the limit, too.

        It is where its meaning is, except for persons in a store of earlier versions, which disclosed a value that had
        changed as another one.
        """
        return person in kept or self._disclosure_store.bits(kind, person) + bits <= limit
