"""How often a watch raises an alert where nothing changed: invented counts of lenders, 24 months each, no full life.

Thresholds are those of `sealscore-node watch`, month by month, from the counts of one life of a lender; the other lives
of the same lender are drawn apart from them, references too. Shares and rates are drawn by lender.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from sealscore.clients.watch.noise.nulls import ExpectedNull, RateNull, SharesNull
from sealscore.clients.watch.noise.statistics import against_expected, psi, two_rates
from sealscore.clients.watch.noise.thresholds import HORIZON, LIVES, Planned, Thresholds, thresholds

_REFERENCE, _WINDOW = 3, 12
_FEATURES, _RATES = 10, (0.3, 0.05, 0.4)


@dataclass(frozen=True)
class QuietLender:
    """What never changes at a lender: shares of bins, rates, PDs of each month's loans, and cases by month."""

    shares: tuple[np.ndarray, ...]
    rates: tuple[float, ...]
    pds: np.ndarray
    cases: np.ndarray

    @classmethod
    def drawn(cls, seed: int, features: int = _FEATURES) -> QuietLender:
        """An invented one of 300 to 700 applications a month."""
        random = np.random.default_rng(seed)
        shares = tuple(random.dirichlet(np.full(bins, 3.0)) for bins in random.integers(3, 17, features))
        pds, cases = random.beta(1, 12, (HORIZON, 200)), random.integers(300, 701, HORIZON)
        return cls(shares, _RATES, pds, cases)

    def measures(self, random: np.random.Generator) -> dict[str, Planned]:
        """The measures of one life, as a watch has them."""
        months = range(HORIZON)
        found = dict[str, Planned]()
        for place, shares in enumerate(self.shares):
            counts = {month: random.multinomial(self.cases[month], shares) for month in months}
            found[f"psi.{place}"] = Planned(0, SharesNull(counts, shares))
        for place, rate in enumerate(self.rates):
            hits = {month: (int(random.binomial(self.cases[month], rate)), int(self.cases[month])) for month in months}
            before = (sum(hits[month][0] for month in range(_REFERENCE)), int(self.cases[:_REFERENCE].sum()))
            later = {month: hits[month] for month in months if month >= _REFERENCE}
            found[f"rate.{place}"] = Planned(_REFERENCE, RateNull(later, before))
        closed = range(_WINDOW, HORIZON)
        bads = {month: int((random.random(self.pds.shape[1]) < self.pds[month]).sum()) for month in closed}
        null = ExpectedNull(bads, {month: self.pds[month] for month in closed})
        return found | {"calibration": Planned(_WINDOW, null)}

    def statistics(self, random: np.random.Generator, seeds: int) -> Iterator[tuple[str, dict[int, np.ndarray]]]:
        """Of other lives the statistics [seeds] by measure and month."""
        cases = self.cases
        for place, shares in enumerate(self.shares):
            drawn = {month: random.multinomial(cases[month], shares, seeds) for month in range(HORIZON)}
            yield f"psi.{place}", {month: psi(counts, shares) for month, counts in drawn.items()}
        of_before = cases[:_REFERENCE].sum()
        for place, rate in enumerate(self.rates):
            before = random.binomial(of_before, rate, seeds)
            yield (
                f"rate.{place}",
                {
                    month: two_rates(random.binomial(cases[month], rate, seeds), cases[month], before, of_before)
                    for month in range(_REFERENCE, HORIZON)
                },
            )
        moved = {}
        for month in range(_WINDOW, HORIZON):
            pds = self.pds[month]
            bads = (random.random((seeds, len(pds)), dtype=np.float32) < pds).sum(axis=1)
            moved[month] = against_expected(bads, pds.sum(), (pds * (1 - pds)).sum())
        yield "calibration", moved


def with_alert(lender: QuietLender, seed: int, seeds: int, lives: int = LIVES) -> int:
    """In how many of so many quiet lives of 24 months any measure breaches twice in a row."""
    measures = lender.measures(np.random.default_rng((seed, 1)))
    months = range(HORIZON)
    found = [thresholds(measures, month, months, np.random.default_rng((seed, 2, month)), lives) for month in months]
    alert = np.zeros(seeds, dtype=bool)
    for name, statistics in lender.statistics(np.random.default_rng((seed, 3)), seeds):
        breaches = {month: drawn > _threshold(found[month], name) for month, drawn in statistics.items()}
        for month in breaches.keys() & {other - 1 for other in breaches}:
            alert |= breaches[month] & breaches[month + 1]
    return int(alert.sum())


def _threshold(of: Thresholds, name: str) -> float:
    return of.values.get(name, np.inf)
