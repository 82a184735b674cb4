"""Invented months of a lender as frames: scores, decisions, reviews, loans and repayments, quiet or with a shift."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import polars as pl

from sealscore.clients.watch.frames import DECISIONS, LOANS, REPAYMENTS, REVIEWS, SCORES, WatchBook
from sealscore.clients.watch.months import month_number
from sealscore.clients.watch.settings import WatchedRelease

FIRST = month_number("2026-01")
SHARES = {
    "champion": {"income": (0.1, 0.2, 0.3, 0.4), "late": (0.7, 0.2, 0.1), "signal.wallet": (0.2,) * 5},
    "fallback": {"income": (0.1, 0.2, 0.3, 0.4), "late": (0.7, 0.2, 0.1)},
}
RELEASE = WatchedRelease("ab" * 32, 90, SHARES)
_DAYS = (0, 15, 45, 75, 100)
_BEFORE, _LASTS = 8, 6


@dataclass
class InventedLife:
    """A lender of so many applications a month; `shift` has the month from which incomes fall, `worse` that from which
    loans are as many times as bad as was predicted. By default nothing ever changes.
    """

    seed: int = 0
    months: int = 12
    size: int = 400
    shift: int | None = None
    worse: tuple[int, float] | None = None
    groups: tuple[str, ...] = ()
    _rows: dict[str, list[dict[str, object]]] = field(default_factory=lambda: {name: [] for name in "sdrlp"})

    def book(self) -> WatchBook:
        """The frames of this life."""
        random = np.random.default_rng(self.seed)
        # A book that is as old in the first month as in the last.
        for month in range(FIRST - _BEFORE, FIRST + self.months):
            self._month(random, month)
        frames = (SCORES, DECISIONS, REVIEWS, LOANS, REPAYMENTS)
        return WatchBook(*(pl.DataFrame(rows, schema=of) for rows, of in zip(self._rows.values(), frames, strict=True)))

    def _month(self, random: np.random.Generator, month: int) -> None:
        for number in range(self.size):
            name, role = f"{month}-{number}", "champion" if random.random() < 0.7 else "fallback"
            bins = [int(random.choice(len(shares), p=shares)) for shares in SHARES[role].values()]
            if self.shift is not None and month >= self.shift and random.random() < 0.35:
                bins[0] = 0
            pd = float(np.clip(0.02 + 0.05 * (3 - bins[0]) + 0.06 * bins[1], 0.01, 0.6))
            offered, declined = pd < 0.2, pd >= 0.2
            if month < FIRST:
                if offered and random.random() < 0.8:
                    self._loan(random, name, month, None, pd)
                continue
            points = round(600 - 28.9 * np.log(pd / (1 - pd)) + random.normal(0, 3))
            self._rows["s"].append({"application": name, "month": month, "role": role, "points": points, "bins": bins})
            group = self.groups[number % len(self.groups)] if self.groups else None
            signal = role == "champion"
            waited = declined or random.random() < 0.1
            override = declined and random.random() < 0.08
            self._rows["d"].append(
                {"decision": name, "month": month, "role": role, "points": points, "signal": signal,
                 "offered": offered or override, "waited": waited, "group": group, "settled": month}
            )  # fmt: skip
            if waited:
                days = int(random.integers(0, 4))
                disputed = random.random() < 0.3
                self._rows["r"].append(
                    {"month": month, "proposal": "decline-proposed" if declined else "review", "disputed": disputed,
                     "override": override, "reversal": disputed and random.random() < 0.2,
                     "late": None if disputed else days > 2, "days": days, "rules": ["debt"] if declined else []}
                )  # fmt: skip
            if offered and random.random() < 0.8:
                self._loan(random, name, month, role, pd, signal, group)

    def _loan(
        self,
        random: np.random.Generator,
        name: str,
        month: int,
        role: str | None,
        pd: float,
        signal: bool | None = None,
        group: str | None = None,
    ) -> None:
        start = None if role is None else month
        self._rows["l"].append(
            {"loan": name, "start": start, "role": role, "pd": pd, "signal": signal, "group": group, "over": None}
        )
        times = self.worse[1] if self.worse is not None and month >= self.worse[0] else 1.0
        bad = random.random() < pd * times
        for later in range(month, min(month + _LASTS, FIRST + self.months)):
            # Bad loans pay nothing from the start, good ones are late now and then and come back.
            bucket = min(later - month + 1, 4) if bad else int(random.random() < 0.06)
            self._rows["p"].append({"loan": name, "month": later, "days_past_due": _DAYS[bucket]})
