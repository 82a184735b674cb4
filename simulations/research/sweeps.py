"""One plan under many keys and seeds: what `sealscore.sweep` does."""

from __future__ import annotations

import json
from collections.abc import Collection, Generator, Mapping
from concurrent.futures.process import BrokenProcessPool
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

import polars as pl
from pydantic import ValidationError

from sealscore.shared.plan.errors import PlanError, explain
from sealscore.shared.plan.plan import Plan
from sealscore.simulations.data.scenario import Scenario
from sealscore.simulations.experiments.job import RunFailed
from sealscore.simulations.experiments.judges import VALIDATION
from sealscore.simulations.experiments.runs import BadSetting
from sealscore.simulations.experiments.seeds import judge_named
from sealscore.simulations.research.plan import dotted, scenario_of
from sealscore.simulations.sweep.carrying import Heard, collected, in_this_process, judged_best, stopped
from sealscore.simulations.sweep.cluster import NoCluster, RunsLost, look, on_cluster
from sealscore.simulations.sweep.config import Sweep, SweepEngine, SweepFile, Task
from sealscore.simulations.sweep.pool import in_processes
from sealscore.simulations.sweep.report import write_report
from sealscore.simulations.sweep.results import Results
from sealscore.simulations.sweep.row import METRICS, Done
from sealscore.simulations.sweep.store import Store, SweepFolderError
from sealscore.simulations.tracking.trackers import tracker_named


class SweepRuns:
    """The finished runs of a sweep.

    `failures` says of each run that failed why; the same call tries it again, and no other.
    """

    def __init__(self, folder: Path, failures: Mapping[str, str]) -> None:
        self.folder, self.failures = folder, dict(failures)

    @cached_property
    def _results(self) -> Results:
        return Results.read(self.folder)

    @property
    def frame(self) -> pl.DataFrame:
        """A row a run: the sweep's keys by their dotted names (`privacy.epsilon`), `seed`, exact figures (`auc`, `ks`,
        `brier`, `ece`), the protocol's (`auc_dp`), `epsilon`, budgets, cost; docs/research.md has all columns.
        """
        return self._results.frame

    @property
    def settings(self) -> pl.DataFrame:
        """A row a setting: its keys, `runs`, and mean and sample deviation over seeds of each exact figure."""
        frame, keys = self.frame, list(self._results.axes)
        figures = [made for name in METRICS for made in (pl.col(name).mean(), pl.col(name).std().alias(f"{name}_sd"))]
        if not keys:
            return frame.select(pl.len().alias("runs"), *figures)
        return frame.group_by(keys, maintain_order=True).agg(pl.len().alias("runs"), *figures)

    @property
    def best(self) -> dict[str, Any] | None:
        """The row on test persons of the setting that validation chose; None where nothing was chosen."""
        return self._results.best

    def report(self, output: str | Path | None = None) -> Path:
        """Write the sweep's report, one HTML file, by default into its folder; returns where it is."""
        return write_report(self.folder, None if output is None else Path(output))

    def __repr__(self) -> str:
        failed = f", {len(self.failures)} failed" if self.failures else ""
        return f"<sweep of {self._results.name}: {self.frame.height} runs{failed}, in {self.folder}>"


def swept(
    source: str | Path | Plan | Scenario,
    *,
    seeds: int | Collection[int],
    judge: str,
    baselines: bool | Collection[str],
    folder: Path | None,
    jobs: int,
    engine: str,
    ray: str | None,
    track: str | None,
    heard: Heard,
    keys: Mapping[str, Any],
) -> SweepRuns:
    """See `sealscore.sweep`."""
    tracker = None if track is None else tracker_named(track, folder or Path("runs"))
    scenario = scenario_of(source)
    if isinstance(jobs, bool) or not isinstance(jobs, int) or jobs < 1:
        raise BadSetting("jobs", f"{jobs!r}: must be a whole number from 1 up")
    if ray is not None and jobs != 1:
        raise BadSetting("jobs", "they are of this machine; a Ray cluster has its own")
    if engine not in get_args(SweepEngine):
        raise BadSetting("engine", f"{engine!r}: a sweep is run by {' or '.join(get_args(SweepEngine))}")
    sweep = _sweep(scenario, seeds, judge, baselines, engine, keys)
    if ray is not None:
        _look(ray)
    target = folder or Path("runs") / f"sweep-{sweep.name}"
    store = Store(target, sweep)
    try:
        with store.opened():
            failures = collected(store, _runs(store.missing(), jobs, ray, tracker is not None), heard, tracker)
            rows = store.write_table()
            if not failures and sweep.judge == VALIDATION:
                judged_best(store, lambda told: None)
    except SweepFolderError as error:
        raise BadSetting("folder", str(error)) from None
    except NoCluster as error:
        raise BadSetting("ray", str(error)) from None
    except (RunsLost, BrokenProcessPool) as error:
        raise RunFailed(f"{error}; finished runs are kept, and the same call goes on from there", []) from error
    except KeyboardInterrupt:
        raise KeyboardInterrupt(stopped(store)) from None
    if rows.is_empty():
        raise RunFailed("all runs failed", [f"{name}: {why}" for name, why in failures.items()])
    return SweepRuns(target, failures)


def _look(address: str) -> None:
    try:
        look(address)
    except NoCluster as error:
        raise BadSetting("ray", str(error)) from None


def _runs(missing: list[Task], jobs: int, ray: str | None, track: bool) -> Generator[Done, None, None]:
    """Where runs are carried out."""
    if ray is not None:
        return on_cluster(missing, ray, track)
    return in_this_process(missing, track) if jobs == 1 else in_processes(missing, jobs, track=track)


def _sweep(
    scenario: Scenario,
    seeds: int | Collection[int],
    judge: str,
    baselines: bool | Collection[str],
    engine: str,
    keys: Mapping[str, Any],
) -> Sweep:
    named = dotted(keys, scenario.plan)
    content = {
        "plan": scenario.plan.name,
        "name": scenario.plan.name,
        "seeds": seeds if isinstance(seeds, int) else list(seeds),
        "baselines": baselines if isinstance(baselines, bool) else list(baselines),
        "judge": judge_named(judge),
        "engine": engine,
        "set": {key: value for key, value in named.items() if not isinstance(value, list | tuple)},
        "grid": {key: list(value) for key, value in named.items() if isinstance(value, list | tuple)},
    }
    try:
        found = SweepFile.model_validate(content)
    except ValidationError as error:
        raise PlanError("sweep", explain(error, SweepFile)) from None
    return Sweep.of(found, scenario, Path("sweep"), json.dumps(content, indent=2, default=str))
