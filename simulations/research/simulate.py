"""From a plan to its runs: what `sealscore.simulate` does."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from sealscore.shared.plan.plan import Plan
from sealscore.shared.text.numbers import plural
from sealscore.shared.text.terminal import Terminal
from sealscore.simulations.data.scenario import Scenario
from sealscore.simulations.experiments.console import ProgressObserver
from sealscore.simulations.experiments.custom_baseline import CustomBaseline
from sealscore.simulations.experiments.runs import Run
from sealscore.simulations.experiments.seeds import Unheard, Watching, engine_named, judge_named, run_seeds, seeds_of
from sealscore.simulations.research.plan import ResearchPlan, scenario_of
from sealscore.simulations.research.results import SimulatedRuns
from sealscore.simulations.tracking.tracked import keep_run
from sealscore.simulations.tracking.trackers import tracker_named


def simulated(
    source: str | Path | Plan | Scenario,
    *,
    seeds: int,
    seed: int | None,
    engine: str,
    judge: str,
    baselines: bool | Collection[str | CustomBaseline],
    runs: Path,
    progress: bool,
    track: str | None,
    changes: dict[str, Any],
) -> SimulatedRuns:
    """See `sealscore.simulate`."""
    tracker = tracker_named(track, runs)
    scenario, chosen, judged = scenario_of(source), engine_named(engine), judge_named(judge)
    if changes:
        scenario = ResearchPlan.of(scenario).with_(**changes).scenario
    if seed is not None:
        scenario = scenario.with_seed(seed)
    seeds_of(scenario, seeds)
    done: list[Run] = []
    watching: Watching = (lambda seed: ProgressObserver(Terminal(stderr=True))) if progress else lambda seed: Unheard()
    if isinstance(baselines, str):
        baselines = [baselines]
    made = run_seeds(scenario, seeds, engine=chosen, judge=judged, baselines=baselines, runs=runs, watching=watching)
    try:
        for run in made:
            done.append(run)
            keep_run(tracker, run)
    except KeyboardInterrupt:
        kept = f"{plural(len(done), 'finished run')} kept under {runs}" if done else "nothing was kept"
        raise KeyboardInterrupt(f"stopped at seed {scenario.plan.seed + len(done)}; {kept}") from None
    # The plan's own data are held as long as it is, and are needed no more.
    del source
    return SimulatedRuns(done)
