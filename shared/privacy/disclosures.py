"""How many bits of each person a data set has disclosed, without noise, over its life."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


class BitsUsedUp(ValueError):
    """A disclosure that would exceed the bits that may ever be told of a person."""


@dataclass
class Disclosed:
    """Bits that were told of each person, to all recipients together; one object a data set, whatever the plan.

    Recipients may put together what they were told, so the same value told to another one is nothing new, and another
    value is, whoever gets it. Each kind of disclosure ("signal", "groups") is counted and limited by itself.
    """

    _bits: Counter[tuple[str, str]] = field(default_factory=Counter, repr=False)
    _told: dict[tuple[str, str], int] = field(default_factory=dict, repr=False)

    def check(self, kind: str, what: str, bits: int, values: Mapping[str, int], limit: int) -> list[str]:
        """The persons of whom these values (of `bits` bits, person to value) are new; `what` names their meaning.

        Raises:
            BitsUsedUp: somebody would have more than `limit` bits of this kind told of.
        """
        new = [person for person, value in values.items() if self._told.get((person, what)) != value]
        if any(self._bits[person, kind] + bits > limit for person in new):
            raise BitsUsedUp(f"no more than {limit} bits of a person may ever be disclosed ({kind})")
        return new

    def spend(self, kind: str, what: str, bits: int, values: Mapping[str, int], limit: int) -> None:
        """Note that the values are told; all of them or, where `check` raises, none."""
        for person in self.check(kind, what, bits, values, limit):
            self._bits[person, kind] += bits
            self._told[person, what] = values[person]

    def bits(self, kind: str, persons: Iterable[str]) -> int:
        """The most bits of this kind that were told of one of these persons."""
        return max((self._bits[person, kind] for person in persons), default=0)
