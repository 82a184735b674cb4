"""One plan under several seeds, counted up from its own: what `sealscore-sim run` and `sealscore.simulate` do."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from sealscore.shared.phases.order import Phase
from sealscore.simulations.data.scenario import Scenario
from sealscore.simulations.engine.federation import ENGINES, Engine
from sealscore.simulations.experiments import job
from sealscore.simulations.experiments.custom_baseline import CustomBaseline
from sealscore.simulations.experiments.judges import JUDGES, TEST, Judge
from sealscore.simulations.experiments.runs import RUNS, BadSetting, Run


class RunWatch(Protocol):
    """Whoever is told how far a run is."""

    def phase(self, phase: Phase) -> None:
        """A phase begins."""
        ...

    def round(self, row: dict[str, Any]) -> None:
        """A round is done."""
        ...

    def tell(self, what: str) -> None:
        """Something without rounds begins."""
        ...

    def progress(self, done: int, total: int) -> None:
        """How far an alignment or a baseline is."""
        ...


class Unheard:
    """A watch that says nothing. A context manager, as one that draws bars is."""

    def __enter__(self) -> Unheard:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to end."""

    def phase(self, phase: Any) -> None:
        """A phase begins."""

    def round(self, row: Mapping[str, Any]) -> None:
        """A round is done."""

    def tell(self, what: str) -> None:
        """Something without rounds begins."""

    def progress(self, done: int, total: int) -> None:
        """How far an alignment or a baseline is."""


Watching = Callable[[int], AbstractContextManager[RunWatch]]


def engine_named(name: str) -> Engine:
    """The engine of that name; BadSetting where there is none."""
    if name not in ENGINES:
        raise BadSetting("engine", f"{name!r}: the engines are {', '.join(ENGINES)}")
    return ENGINES[name]


def judge_named(name: str) -> Judge:
    """The judge of that name; BadSetting where there is none."""
    if name not in JUDGES:
        raise BadSetting("judge", f"{name!r}: a run is judged on {' or '.join(JUDGES)}")
    return JUDGES[name]


def seeds_of(scenario: Scenario, count: int) -> range:
    """So many seeds, counted up from the plan's own; BadSetting where there is none."""
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise BadSetting("seeds", f"{count!r}: must be a whole number from 1 up")
    return range(scenario.plan.seed, scenario.plan.seed + count)


def run_seeds(
    scenario: Scenario,
    count: int = 1,
    *,
    engine: Engine = "in-process",
    judge: Judge = TEST,
    baselines: bool | Collection[str | CustomBaseline] = True,
    runs: Path = RUNS,
    watching: Watching = lambda seed: Unheard(),
    report: bool = False,
) -> Iterator[Run]:
    """Run a scenario under `count` seeds and give each run, whole, as it is done; `watching` gives each seed's watch.

    Raises:
        BadSetting: `count` is below one.
        DataError, PlanError, RunFailed: as `run_job`; runs of earlier seeds stay.
    """
    from sealscore.compliance.run_report.run_report import write_report

    for seed in seeds_of(scenario, count):
        with watching(seed) as watch:
            done = job.run_job(
                scenario.with_seed(seed), engine, watch, baselines, watch.tell, runs, watch.progress, judge
            )
            if report:
                watch.tell("report")
                write_report(done.folder)
        yield done
