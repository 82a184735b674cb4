"""The main job: run a scenario's plan for one seed, judge the model exactly, and compare it with the baselines."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from sealscore.server.releases.making import PURPOSE, Wanted, make_release
from sealscore.server.run.rounds import Observer
from sealscore.server.transport.exchange import MissingParties, PhaseFailed
from sealscore.shared.crypto.psi import Progress
from sealscore.shared.model.score_model import ScoreModel
from sealscore.shared.phases.cautions import cautions
from sealscore.shared.plan.errors import PlanError
from sealscore.shared.plan.plan import FALLBACK, Plan
from sealscore.shared.plan.toml import load_toml
from sealscore.simulations.data.datasets import REAL, WORLD
from sealscore.simulations.data.scenario import Scenario
from sealscore.simulations.engine.engines import federated
from sealscore.simulations.engine.federation import Engine
from sealscore.simulations.experiments.baselines import judged_towers
from sealscore.simulations.experiments.custom_baseline import CustomBaseline, chosen_baselines
from sealscore.simulations.experiments.judges import Judge, judged_parties
from sealscore.simulations.experiments.oracle import Oracle, outcomes_by_bin
from sealscore.simulations.experiments.runs import RUNS, NewRun, Run
from sealscore.simulations.experiments.segments import segments
from sealscore.simulations.experiments.verdicts import verdicts

LEDGERS, RELEASE = "ledgers", "release"
NO_RELEASE = (
    "this run has no release: it is one of counts, which have no model, or of an earlier version, whose plan has to be "
    "run again"
)
# Of a release in a simulation; a run is for whoever looks at it later.
_YEARS = 3
_SENTENCES = Path(__file__).parents[1] / "sentences"


class RunFailed(RuntimeError):
    """A federation that could not carry out its plan, with what nodes told their own operators."""

    def __init__(self, reason: str, faults: list[str]) -> None:
        self.lines = [reason, *dict.fromkeys(faults)]
        super().__init__("\n".join(self.lines))


def released(plan: Plan, dataset: str = "") -> Wanted:
    """What a simulation makes a release of its run with: the server's defaults, and sentences of a data set."""
    day, path = datetime.now(UTC).date(), _SENTENCES / f"{dataset}.toml"
    wanted = Wanted(plan.name, PURPOSE, day, day + timedelta(days=365 * _YEARS))
    if dataset not in REAL or not path.exists():
        return wanted
    features = {feature.name for feature in plan.groups[plan.lenders].table.scored if feature.reason is None}
    return replace(wanted, sentences={name: text for name, text in load_toml(path).items() if name in features})


def run_job(
    scenario: Scenario,
    engine: Engine = "in-process",
    observer: Observer | None = None,
    baselines: bool | Collection[str | CustomBaseline] = True,
    tell: Callable[[str], None] = lambda what: None,
    runs: Path = RUNS,
    progress: Progress | None = None,
    judge: Judge = "test",
) -> Run:
    """One whole run, as a folder under `runs`.

    `baselines` are all, none, or those named or given. `tell` is told in a few words what is being done, `progress`
    (done, total) of an alignment or a baseline. `judge` says on whom figures are made. DataError or PlanError before
    anything is charged where the input is bad; RunFailed where the federation fails; no folder is left then.
    """
    if scenario.plan.monitoring is not None:
        what = "monitoring: a plan of counts has no model to judge or to compare; sealscore-sim run shows its figures"
        raise PlanError(scenario.plan.name, [what])
    wanted = chosen_baselines(scenario.plan, baselines)
    tell("reading and checking records")
    plan, records = judged_parties(scenario, judge, tell)
    oracle = Oracle(plan, records, progress or (lambda done, total: None))
    with NewRun(f"{plan.name}-seed{plan.seed}", runs) as new:
        federation = federated(engine, plan, records, progress, new.folder / LEDGERS)
        try:
            federation.run(new.folder, observer)
        except (PhaseFailed, MissingParties) as error:
            raise RunFailed(str(error), federation.faults) from error
        # Nodes go on, since their server must not learn it; here it is the researcher's own mistake.
        if short := federation.shortfalls:
            raise RunFailed("pairs share fewer persons than the plan's alignment.min_overlap", short)
        model, scored = ScoreModel.load(new.folder / "model"), federation.scored_records()
        exact = oracle.judge(model, scored)
        own: dict[str, dict[str, float]] = {}
        if plan.model.fallback:
            own[FALLBACK] = oracle.judge(ScoreModel.load(new.folder / FALLBACK), oracle.lenders.values())
        compared = {}
        for name, baseline in wanted.items():
            tell(f"baseline {name}")
            compared[name] = baseline(plan, oracle)
        if baselines is True and plan.platforms:
            compared["platform_alone_dp"] = float(np.mean(list(judged_towers(plan, oracle, new.folder).values())))
        found = {
            "exact": exact,
            "bins": outcomes_by_bin(model, (part.training_part() for part in scored)),
            **own,
            "baselines": compared,
            "data": scenario.settings.model_dump(mode="json"),
            "judge": judge,
            "warnings": [
                asdict(caution)
                for caution in (*cautions(plan), *verdicts(exact["auc"], compared, own.get(FALLBACK, {}).get("auc")))
            ],
        }
        if baselines is True and scenario.settings.dataset == WORLD and judge == "test":
            found["segments"] = segments(plan, oracle, model, scored, scenario.world().facts(plan), tell)
        make_release(new.folder, new.folder / RELEASE, released(plan, scenario.settings.dataset))
        (new.folder / "oracle.json").write_text(json.dumps(found, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        return new.finish()
