"""The main job: run a scenario's plan for one seed, judge the model exactly, and compare it with the baselines."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from pathlib import Path

from server.coordinator import Observer
from shared.model.score_model import ScoreModel
from simulations.baselines import BASELINES
from simulations.federation import Engine, Federation, load_parties
from simulations.oracle import Oracle
from simulations.runs import RUNS, NewRun, Run
from simulations.scenario import Scenario


def run_job(
    scenario: Scenario,
    engine: Engine = "in-process",
    observer: Observer | None = None,
    baselines: Collection[str] = tuple(BASELINES),
    tell: Callable[[str], None] = lambda what: None,
    runs: Path = RUNS,
) -> Run:
    """One whole run, as a folder under `runs`.

    `tell` is told in a few words what is being done. DataError or PlanError before anything is charged where the
    input is bad; PhaseFailed or MissingParties where the federation fails; no folder is left behind then.
    """
    tell("reading and checking records")
    records = load_parties(scenario)
    plan = scenario.plan
    oracle = Oracle(records)
    with NewRun(f"{plan.name}-seed{plan.seed}", runs) as new:
        Federation.of(plan, records).run(new.folder, observer, engine)
        exact = oracle.judge(ScoreModel.load(new.folder / "model"))
        compared = {}
        for name in baselines:
            tell(f"baseline {name}")
            compared[name] = BASELINES[name](plan, oracle)
        found = {"exact": exact, "baselines": compared, "data": scenario.settings.model_dump(mode="json")}
        (new.folder / "oracle.json").write_text(json.dumps(found, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        return new.finish()
