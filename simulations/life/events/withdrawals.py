"""Consents that are withdrawn, and the batches by which lenders hear of it.

Each month some of those of whom a platform told anything withdraw there from all lenders, on a day of the month. A
batch is made, taken and receipted on each day on which something waits for it; on all others a node's batch is dummies
alone, which change nothing at a lender, and is not played.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date

import numpy as np

from sealscore.simulations.life.parties.lenders import LifeLender
from sealscore.simulations.life.parties.platforms import LifePlatform
from sealscore.simulations.life.rows import Row

_DAYS = 28


class Withdrawing:
    """Who withdraws at one platform, with chance `share` in a month; `random` draws it.

    Persons are in normal form.
    """

    def __init__(self, platform: LifePlatform, share: float, random: np.random.Generator) -> None:
        self._platform, self._share, self._random = platform, share, random
        self._holders: defaultdict[str, defaultdict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        """The applications for which tokens were made, by person and lender."""
        self._days: defaultdict[int, list[str]] = defaultdict(list)
        self._gone: set[str] = set()

    def told(self, person: str, lender: str, application: str) -> None:
        """A token was made."""
        self._holders[person][lender].append(application)

    def has(self, person: str) -> bool:
        """Whether a person withdrew here, and gives no consent any more."""
        return person in self._gone

    def begin_month(self) -> None:
        """Draw who withdraws in it, and on which day."""
        self._days.clear()
        for person in sorted(self._holders):
            if self._random.random() < self._share:
                self._days[int(self._random.integers(1, _DAYS + 1))].append(person)

    def of_day(self, today: date) -> list[Row]:
        """Withdraw those of a day; a row a token."""
        found = []
        for person in self._days.pop(today.day, []):
            self._gone.add(person)
            for lender, applications in sorted(self._holders.pop(person).items()):
                self._platform.withdraw(person, lender, today)
                row = {"platform": self._platform.name, "lender": lender, "day": today}
                found += [{**row, "application_id": one} for one in applications]
        return found


def pass_on(platforms: Mapping[str, LifePlatform], lenders: Sequence[LifeLender], today: date) -> int:
    """Make, take and receipt the day's batches that tell something; how many there were."""
    by_name, count = {lender.name: lender for lender in lenders}, 0
    for platform in platforms.values():
        for name in platform.waiting():
            lender = by_name[name]
            platform.receipt(lender.take(platform.batch(name, today), today), lender.card)
            count += 1
    return count
