"""Runs as tables: all of a folder, and several side by side with the settings in which they differ."""

from __future__ import annotations

import json
from collections.abc import Sequence

import polars as pl

from sealscore.simulations.experiments.console import METRICS, run_figures
from sealscore.simulations.experiments.runs import Run
from sealscore.simulations.sweep.store import tidy
from sealscore.simulations.tracking.settings import settings_of


def listed_runs(runs: Sequence[Run]) -> pl.DataFrame:
    """A row a run: `run`, `plan`, `seed`, `epsilon`, exact figures (null of counts), `seconds`, `started`."""
    names = ("run", "plan", "seed", "epsilon", *METRICS, "seconds", "started")
    rows = [
        (
            run.folder.name,
            run.record["plan"]["name"],
            run.record["plan"]["seed"],
            run.record["privacy"]["epsilon"],
            *(run.oracle.get("exact", {}).get(metric) for metric in METRICS),
            run.record["seconds"],
            run.record["started"],
        )
        for run in runs
    ]
    return pl.DataFrame(rows, schema=names, orient="row")


def compared_runs(runs: Sequence[Run]) -> pl.DataFrame:
    """A row a run: `run`, the settings in which any two differ by their dotted names, then the figures.

    Settings are those of the plan, and after `simulation.` those of its data; a list is JSON. A figure that a run lacks
    is null. Both AUCs stand there: `auc` exact, `auc_dp` as the protocol released it.

    Raises:
        NoSuchRun: a run's folder has no plan that can be read.
    """
    settings = [settings_of(run) for run in runs]
    names = dict.fromkeys(name for one in settings for name in one)
    differing = [name for name in names if len({json.dumps(one.get(name)) for one in settings}) > 1]
    rows = [
        {
            "run": run.folder.name,
            **{name: one.get(name) for name in differing},
            **run_figures(run),
            "auc_dp": run.record["evaluation"]["all"]["auc"],
        }
        for run, one in zip(runs, settings, strict=True)
    ]
    return tidy(rows)


def differing(frame: pl.DataFrame, runs: Sequence[Run]) -> list[str]:
    """The columns of `compared_runs` that are settings."""
    known = {name for run in runs for name in settings_of(run)}
    return [name for name in frame.columns if name in known]
