"""All measures that are judged each month, from frames: a simulated life calls this as the command does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from sealscore.clients.watch.frames import WatchBook
from sealscore.clients.watch.noise.nulls import LEAST, ExpectedNull, Null, RateNull, SharesNull
from sealscore.clients.watch.noise.thresholds import Planned
from sealscore.clients.watch.portfolio import ROLLS, outcomes, rolls
from sealscore.clients.watch.settings import Family, WatchedRelease, WatchSettings

_BANDS = 10


@dataclass(frozen=True)
class WatchedMeasure:
    """A measure by its name: what it belongs to, what is compared with what, and from which month on it is judged."""

    name: str
    family: Family
    reference: str
    planned: Planned


def watched_measures(
    book: WatchBook, release: WatchedRelease, settings: WatchSettings, month: int
) -> list[WatchedMeasure]:
    """The measures of a book, as far as it reaches by the end of a month.

    Raises:
        ValueError: there is no score.
    """
    if book.first is None:
        raise ValueError("there is no score")
    made = _Maker(book, release, settings, month, book.first)
    return [*made.population(), *made.calibration(), *made.repayment(), *made.operations(), *made.fairness()]


class _Maker:
    def __init__(
        self, book: WatchBook, release: WatchedRelease, settings: WatchSettings, month: int, first: int
    ) -> None:
        self._book, self._release, self._settings, self._first, self._month = book, release, settings, first, month
        self._judged = first + settings.reference_months

    def population(self) -> Iterator[WatchedMeasure]:
        """Bins of each feature, and points, by the role of the model that answered."""
        months = self._settings.reference == "months"
        for role, features in sorted(self._release.shares.items()):
            scores = self._until(self._book.scores).filter(pl.col("role") == role)
            for place, (name, shares) in enumerate(features.items()):
                bins = scores.select("month", cell=pl.col("bins").list.get(place, null_on_oob=True))
                counts = _cells(bins, len(shares))
                if months:
                    yield self._compared(f"psi.{role}.{name}", counts, len(shares))
                else:
                    null = SharesNull(counts, np.array(shares) / sum(shares))
                    yield WatchedMeasure(
                        f"psi.{role}.{name}", "population", "the release's shares", Planned(self._first, null)
                    )
            yield self._points(role, scores)

    def calibration(self) -> Iterator[WatchedMeasure]:
        """Bads of the vintage whose window closed, against what was predicted, by role."""
        begins = self._release.closes(self._first)
        loans = self._book.loans.drop_nulls("role")
        found = outcomes(loans, self._book.repayments, self._month, self._release.window, self._settings.bad_days)
        for role in sorted(self._release.shares):
            vintages = found.filter(pl.col("role") == role).partition_by("closes", as_dict=True)
            of = {int(key[0]): frame for key, frame in vintages.items()}
            null = ExpectedNull(
                {month: int(frame["bad"].sum()) for month, frame in of.items()},
                {month: frame["pd"].to_numpy() for month, frame in of.items()},
            )
            yield WatchedMeasure(f"calibration.{role}", "calibration", "predicted PDs", Planned(begins, null))

    def repayment(self) -> Iterator[WatchedMeasure]:
        """Loans that roll from one bucket of days past due to a worse one."""
        moved = self._until(rolls(self._book.repayments))
        for place, (before, after) in enumerate(ROLLS):
            rows = moved.filter(pl.col("before") == place)
            counts = {int(month): (int(worse), int(of)) for month, _, of, worse in rows.iter_rows()}
            yield self._rate(f"roll.{before}.to.{after}", "repayment", counts)

    def operations(self) -> Iterator[WatchedMeasure]:
        """How decisions are made: by the fallback, over the policy's head, reversed, late."""
        book = self._book
        decisions, reviews = self._until(book.decisions), self._until(book.reviews)
        yield self._rate("fallback.share", "operations", _hits(decisions, pl.col("role") == "fallback"))
        declined = reviews.filter(pl.col("proposal") == "decline-proposed")
        yield self._rate("reviews.overrides", "operations", _hits(declined, pl.col("override")))
        disputed = reviews.filter(pl.col("disputed"))
        yield self._rate("reviews.reversals", "operations", _hits(disputed, pl.col("reversal")))
        yield self._rate("reviews.late", "operations", _hits(reviews.drop_nulls("late"), pl.col("late")))

    def fairness(self) -> Iterator[WatchedMeasure]:
        """Offers by group, where groups were given."""
        # By the month that settled them: what is decided later by a person changes no month that was judged.
        decisions = self._until(self._book.decisions.with_columns(month="settled")).drop_nulls("group")
        for group in sorted(decisions["group"].unique().to_list()):
            rows = decisions.filter(pl.col("group") == group)
            yield self._rate(f"offers.{group}", "fairness", _hits(rows, pl.col("offered")))

    def _until(self, frame: pl.DataFrame) -> pl.DataFrame:
        return frame.filter(pl.col("month").is_between(self._first, self._month))

    def _points(self, role: str, scores: pl.DataFrame) -> WatchedMeasure:
        """Points in tenths of the reference months: a release has no shares of points."""
        before = scores.filter(pl.col("month") < self._judged)["points"].to_numpy()
        edges = np.unique(np.quantile(before, np.arange(1, _BANDS) / _BANDS)) if len(before) else np.zeros(0)
        cells = np.searchsorted(edges, scores["points"].to_numpy(), side="left")
        counts = _cells(scores.select("month").with_columns(cell=pl.Series(cells, dtype=pl.Int64)), len(edges) + 1)
        return self._compared(f"psi.{role}.points", counts, len(edges) + 1)

    def _compared(self, name: str, counts: dict[int, np.ndarray], cells: int) -> WatchedMeasure:
        """Shares against those of the reference months."""
        before = sum((one for month, one in counts.items() if month < self._judged), np.zeros(cells, dtype=np.int64))
        later = {month: one for month, one in counts.items() if month >= self._judged}
        null = SharesNull(later, before, int(before.sum())) if before.sum() >= LEAST else None
        return WatchedMeasure(name, "population", "the first months", Planned(self._judged, null))

    def _rate(self, name: str, family: Family, counts: dict[int, tuple[int, int]]) -> WatchedMeasure:
        """A rate against that of the reference months."""
        before = [counts[month] for month in counts if month < self._judged]
        hits, of = (sum(one[place] for one in before) for place in (0, 1))
        later = {month: one for month, one in counts.items() if month >= self._judged}
        null: Null | None = RateNull(later, (hits, of)) if of >= LEAST else None
        return WatchedMeasure(name, family, "the first months", Planned(self._judged, null))


def _cells(rows: pl.DataFrame, size: int) -> dict[int, np.ndarray]:
    """Counts [size] of cells by month; rows have `month` and `cell`."""
    return {
        int(key[0]): np.bincount(frame["cell"].drop_nulls().to_numpy(), minlength=size)[:size]
        for key, frame in rows.partition_by("month", as_dict=True).items()
    }


def _hits(rows: pl.DataFrame, of: pl.Expr) -> dict[int, tuple[int, int]]:
    """Hits and cases by month, in order: lives are drawn in it, and the same run again must draw the same."""
    counted = rows.group_by("month").agg(of.sum().alias("hits"), pl.len().alias("of")).sort("month")
    return {int(month): (int(hits), int(all)) for month, hits, all in counted.iter_rows()}
