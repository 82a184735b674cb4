"""How many bits of each person a data set has disclosed, without noise, over its life."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from shared.privacy.register import Register


class BitsUsedUp(ValueError):
    """A disclosure that would exceed the bits that may ever be told of a person."""


class Disclosed:
    """Bits that were told of each person, to all recipients together, as the register of the data set has them.

    Recipients may put together what they were told, so the same value told to another one is nothing new, and another
    value is, whoever gets it. Each kind of disclosure ("signal", "groups") is counted and limited by itself.
    """

    def __init__(self, register: Register | None = None) -> None:
        self._register = register or Register()

    def check(self, kind: str, what: str, bits: int, values: Mapping[str, int], limit: int) -> list[str]:
        """The persons of whom these values (of `bits` bits, person to value) are new; `what` names their meaning.

        Raises:
            BitsUsedUp: somebody would have more than `limit` bits of this kind told of.
        """
        known = self._register.values(kind, what)
        new = [person for person, value in values.items() if known.get(person) != value]
        if any(self._register.bits(kind, person) + bits > limit for person in new):
            raise BitsUsedUp(f"no more than {limit} bits of a person may ever be disclosed ({kind})")
        return new

    def spend(
        self,
        kind: str,
        what: str,
        bits: int,
        values: Mapping[str, int],
        limit: int,
        recipient: str = "",
        plan: str = "",
    ) -> int:
        """Note that the values are told, and return of how many persons anew; none of them where `check` raises.

        Raises:
            BitsUsedUp: see `check`.
            RegisterError: it cannot be noted, so nothing may be sent.
        """
        self.check(kind, what, bits, values, limit)
        return self._register.tell(kind, what, bits, recipient, plan, values)

    def bits(self, kind: str, persons: Iterable[str]) -> int:
        """The most bits of this kind that were told of one of these persons."""
        return max((self._register.bits(kind, person) for person in persons), default=0)
