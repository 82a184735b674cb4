"""Sealscore: lenders and platforms train one loan-default model together; every raw record stays with its owner.

    import sealscore

    plan = sealscore.plan("creators_small", privacy__epsilon=1.0)
    run = sealscore.simulate("creators_small", privacy__epsilon=1.0)
    model = sealscore.load_model(run)

`plan` gives what parties would approve, `simulate` carries it out with all parties on this machine, and `model.pd` maps
columns to probabilities of default. Nothing heavy is loaded before it is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sealscore.shared.model.score_model import ScoreModel
    from sealscore.shared.plan.plan import Plan
    from sealscore.simulations.engine.federation import Engine
    from sealscore.simulations.experiments.runs import Run

__all__ = ["Plan", "load_model", "plan", "simulate"]


def __getattr__(name: str) -> Any:
    if name == "Plan":
        from sealscore.shared.plan.plan import Plan

        return Plan
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)


def plan(source: str | Path | Mapping[str, Any], **changes: Any) -> Plan:
    """A plan: a file of any party, the name of one that comes with Sealscore, or its keys as a mapping.

    A mapping is read as a file is: with platforms, a plan that says nothing of a fallback has one.

    `changes` replace keys; a dotted key is written with `__` for the dot (`privacy__epsilon=1.0`). What only
    simulations know (the table `[simulation]`) is left out.

    Raises:
        PlanError: there is no such plan, or it is wrong; a line for each problem.
    """
    from sealscore.shared.plan.plan import Plan, as_authored

    if isinstance(source, Mapping):
        found = Plan.parse(as_authored(_without_simulation(source)))
    elif Path(source).suffix == ".json":
        found = Plan.from_canonical(Path(source).read_bytes())
    else:
        from sealscore.simulations.data.scenario import read_tables, resolve

        path = resolve(str(source))
        found = Plan.parse(as_authored(_without_simulation(read_tables(path))), str(path))
    return found.replace(**changes) if changes else found


def _without_simulation(tables: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in tables.items() if key != "simulation"}


def simulate(
    source: str | Path,
    *,
    seed: int | None = None,
    engine: Engine = "in-process",
    baselines: bool = False,
    runs: str | Path = "runs",
    **changes: Any,
) -> Run:
    """Run a scenario (a plan file with a table `[simulation]`, or the name of one) with all parties on this machine.

    Writes a run folder below `runs` and returns the run: `run.record` has what the server of a real federation may
    know, `run.oracle` what only a simulation knows, `run.folder` the model, or of a plan of counts its figures.
    `engine` is "in-process" or "flower". `changes` replace keys as in `plan`, and `simulation__...` those of the
    simulation.

    Raises:
        PlanError: there is no such scenario, or it is wrong.
        DataError: a party's table does not fit the plan.
        RunFailed: the federation could not carry it out; it says why.
    """
    from sealscore.simulations.data.scenario import Scenario, resolve
    from sealscore.simulations.experiments.job import run_job
    from sealscore.simulations.monitoring.job import run_monitoring

    scenario = Scenario.load(resolve(str(source)))
    if changes:
        scenario = scenario.replace(**changes)
    if seed is not None:
        scenario = scenario.with_seed(seed)
    if scenario.plan.monitoring is not None:
        return run_monitoring(scenario, engine, runs=Path(runs))
    return run_job(scenario, engine, None, baselines, runs=Path(runs))


def load_model(source: Run | str | Path) -> ScoreModel:
    """The model of a run, of a run's folder or of a folder that a model was saved into.

    Raises:
        ModelFileError: there is no model, or its files are damaged.
    """
    from sealscore.shared.model.score_model import ScoreModel

    folder = Path(source) if isinstance(source, str | Path) else source.folder
    return ScoreModel.load(folder / "model" if (folder / "model").is_dir() else folder)
