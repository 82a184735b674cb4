"""What a measure would look like if nothing had changed: invented lives of counts, as many a month as there were.

Each kind knows its statistic of one month, and draws it for many lives at once. A reference that was itself counted is
drawn once a life, since its chance stays in all months that are compared with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from sealscore.clients.watch.noise.statistics import against_expected, psi, smoothed, two_rates

LEAST = 30
"""Cases below which a month of a measure is not judged."""


class Null(Protocol):
    """A measure without a change. `sizes` has the cases of each month that is judged."""

    @property
    def sizes(self) -> Mapping[int, int]:
        """Cases by month."""

    def statistic(self, month: int) -> float:
        """The statistic of a month that is judged."""

    def statistics(self, random: np.random.Generator, lives: int, months: Mapping[int, int]) -> dict[int, np.ndarray]:
        """Statistics [lives] by month, of invented months with so many cases."""


@dataclass(frozen=True)
class SharesNull:
    """Shares of cells against a reference: `reference` are shares [cells] that are taken as they are, or the counts
    [cells] of `counted` cases, which have chance in them too. `counts` has those of each month.
    """

    counts: Mapping[int, np.ndarray]
    reference: np.ndarray
    counted: int | None = None

    @property
    def sizes(self) -> Mapping[int, int]:
        """Cases by month."""
        return {month: int(counts.sum()) for month, counts in self.counts.items() if counts.sum() >= LEAST}

    @property
    def shares(self) -> np.ndarray:
        """The shares that months are compared with."""
        return self.reference if self.counted is None else smoothed(self.reference)

    def statistic(self, month: int) -> float:
        """The index of a month."""
        return float(psi(self.counts[month], self.shares))

    def statistics(self, random: np.random.Generator, lives: int, months: Mapping[int, int]) -> dict[int, np.ndarray]:
        """See `Null`."""
        likely = self.shares / self.shares.sum()
        before = likely if self.counted is None else smoothed(random.multinomial(self.counted, likely, lives))
        return {month: psi(random.multinomial(size, likely, lives), before) for month, size in months.items()}


@dataclass(frozen=True)
class RateNull:
    """A rate against that of the reference months: hits and cases by month, and those of the reference."""

    counts: Mapping[int, tuple[int, int]]
    reference: tuple[int, int]

    @property
    def sizes(self) -> Mapping[int, int]:
        """Cases by month."""
        return {month: of for month, (_, of) in self.counts.items() if of >= LEAST}

    def statistic(self, month: int) -> float:
        """Standard errors between a month and the reference."""
        (hits, of), (before, of_before) = self.counts[month], self.reference
        return float(two_rates(np.array(hits), np.array(of), np.array(before), np.array(of_before)))

    def statistics(self, random: np.random.Generator, lives: int, months: Mapping[int, int]) -> dict[int, np.ndarray]:
        """See `Null`."""
        hits, of = self.reference
        # Half a case more of each kind: after a reference without a hit, a hit is no miracle.
        rate = (hits + 0.5) / (of + 1)
        before = random.binomial(of, rate, lives)
        return {
            month: two_rates(random.binomial(size, rate, lives), np.array(size), before, np.array(of))
            for month, size in months.items()
        }


@dataclass(frozen=True)
class ExpectedNull:
    """Bads of a vintage against what was predicted: `bads` and the PDs [loans] of each month whose window closed.

    Months to come are taken to have the PDs of all that are known.
    """

    bads: Mapping[int, int]
    pds: Mapping[int, np.ndarray]

    @property
    def sizes(self) -> Mapping[int, int]:
        """Loans by month."""
        return {month: len(pds) for month, pds in self.pds.items() if len(pds) >= LEAST}

    def statistic(self, month: int) -> float:
        """Standard errors between what was predicted of a month and what came."""
        pds = self.pds[month]
        return float(against_expected(np.array(self.bads[month]), pds.sum(), (pds * (1 - pds)).sum()))

    def statistics(self, random: np.random.Generator, lives: int, months: Mapping[int, int]) -> dict[int, np.ndarray]:
        """See `Null`."""
        known = np.concatenate([self.pds[month] for month in self.sizes])
        return {
            month: _drawn(random, lives, self.pds[month] if month in self.sizes else _thinned(known, size))
            for month, size in months.items()
        }


_GROUPS = 40


def _thinned(pds: np.ndarray, size: int) -> np.ndarray:
    """So many PDs, spread as these are."""
    return np.asarray(np.quantile(pds, (np.arange(size) + 0.5) / size))


def _drawn(random: np.random.Generator, lives: int, pds: np.ndarray) -> np.ndarray:
    """Statistics [lives] of loans with these PDs, of which those that are close count as equal."""
    groups = np.array_split(np.sort(pds), min(_GROUPS, len(pds)))
    sizes, rates = np.array([len(group) for group in groups]), np.array([group.mean() for group in groups])
    hits = random.binomial(sizes, rates, (lives, len(groups))).sum(axis=1)
    return against_expected(hits, sizes @ rates, sizes @ (rates * (1 - rates)))
