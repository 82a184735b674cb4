"""A run of a plan of counts: its noisy tables, and beside them the exact ones, which only a simulation knows."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np

from sealscore.server.run.rounds import Observer
from sealscore.server.transport.exchange import MissingParties, PhaseFailed
from sealscore.shared.monitoring.counting import first_passages, tables_of
from sealscore.shared.phases.cautions import cautions
from sealscore.simulations.data.scenario import Scenario
from sealscore.simulations.engine.engines import federated
from sealscore.simulations.engine.federation import Engine, load_parties
from sealscore.simulations.experiments.job import LEDGERS, RunFailed
from sealscore.simulations.experiments.runs import RUNS, NewRun, Run


def run_monitoring(
    scenario: Scenario,
    engine: Engine = "in-process",
    observer: Observer | None = None,
    tell: Callable[[str], None] = lambda what: None,
    runs: Path = RUNS,
) -> Run:
    """One whole run, as a folder under `runs`; raises as `job.run_job`."""
    plan = scenario.plan
    tell("reading and checking records")
    records = load_parties(scenario, tell)
    with NewRun(f"{plan.name}-seed{plan.seed}", runs) as new:
        federation = federated(engine, plan, records, None, new.folder / LEDGERS)
        try:
            federation.run(new.folder, observer)
        except (PhaseFailed, MissingParties) as error:
            raise RunFailed(str(error), federation.faults) from error
        counted = np.sum([first_passages(plan, loans.columns) for loans in records.values()], axis=0)
        found = {
            "tables": {name: counts.tolist() for name, counts in tables_of(plan, counted).items()},
            "data": scenario.settings.model_dump(mode="json"),
            "warnings": [asdict(caution) for caution in cautions(plan)],
        }
        (new.folder / "oracle.json").write_text(json.dumps(found, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        return new.finish()
