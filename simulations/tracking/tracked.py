"""A finished run, as every tracking tool takes one: settings, figures, and series by round."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Protocol

import polars as pl

from sealscore.simulations.experiments.console import run_figures
from sealscore.simulations.experiments.runs import Run
from sealscore.simulations.tracking.settings import settings_of

_SERIES = ("gradient_norm", "noise_norm", "seconds", "cohort", "failures")


class TrackingFailed(RuntimeError):
    """A tracking tool that cannot be written to, or did not take a run. The run itself is not lost by it."""


@dataclass(frozen=True)
class Tracked:
    """One run.

    `figures` are final, those of the console. `series` are (name, round, value), with a phase's name before a slash and
    a dot for its colon, which some tools refuse: `fit_tables.lender/gradient_norm`. Nothing in it is of a record.
    """

    name: str
    plan: str
    settings: dict[str, Any]
    figures: dict[str, float]
    series: list[tuple[str, int, float]] = field(repr=False)

    @classmethod
    def of(cls, run: Run, name: str | None = None) -> Tracked:
        """What a run's folder holds, under the folder's name or the one given."""
        released = {"auc_dp": run.record["evaluation"]["all"]["auc"]}
        known = {
            key.replace(" ", "."): float(value)
            for key, value in (run_figures(run) | released).items()
            if value is not None and math.isfinite(value)
        }
        series = [
            (f"{row['phase'].replace(':', '.')}/{figure}", int(row["round"]), float(row[figure]))
            for row in pl.read_parquet(run.folder / "rounds.parquet").iter_rows(named=True)
            for figure in _SERIES
            if row[figure] is not None and math.isfinite(row[figure])
        ]
        settings = settings_of(run) | {"engine": run.record.get("engine"), "plan_hash": run.record["plan"]["hash"]}
        return cls(name or run.folder.name, run.record["plan"]["name"], settings, known, series)


class Tracker(Protocol):
    """What takes runs. Each is handed over when it is whole, and shows as finished or not at all."""

    def keep(self, run: Tracked) -> None:
        """Keep one run.

        Raises:
            TrackingFailed: it could not be kept.
        """
        ...


def keep_run(tracker: Tracker, run: Run) -> None:
    """Hand a finished run to a tracker.

    Raises:
        TrackingFailed: it could not be kept; the message says where the run is.
    """
    try:
        tracker.keep(Tracked.of(run))
    except TrackingFailed as error:
        raise TrackingFailed(f"{error}; the run is whole in {run.folder}") from error
