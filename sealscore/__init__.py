"""Sealscore: lenders and platforms train one loan-default model together; every raw record stays with its owner.

    import sealscore as ss

    plan = ss.draft("loans.csv", label="default")
    run = ss.simulate(plan.with_(epsilon=1.0), seeds=5)
    run.metrics["auc"].mean, run.rounds, run.plot.roc(), run.report("report.html")
    run.model.pd(frame), run.model.reasons(frame), run.model.scorecard()

Nothing heavy is loaded before it is used. docs/python.md is the reference.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from sealscore.clients.data import DataError
    from sealscore.clients.scoring.scorer import NoModel
    from sealscore.compliance.run_figures.record import NotARun
    from sealscore.shared.dp.noise_calibration import UnreachableBudget
    from sealscore.shared.model.score_model import ModelFileError, ScoreModel
    from sealscore.shared.plan.errors import PlanError
    from sealscore.shared.serving.release import ReleaseError
    from sealscore.simulations.data.scenario import Scenario
    from sealscore.simulations.experiments.custom_baseline import CustomBaseline
    from sealscore.simulations.experiments.job import RunFailed
    from sealscore.simulations.experiments.runs import BadSetting, NoSuchRun, Run
    from sealscore.simulations.exports.onnx_file import ExportDiffers
    from sealscore.simulations.extras import NoExtra
    from sealscore.simulations.research.audits import AuditedSeeds, PlanCost
    from sealscore.simulations.research.drafts import DraftedPlan
    from sealscore.simulations.research.estimator import FederatedScore
    from sealscore.simulations.research.plan import ResearchPlan as Plan
    from sealscore.simulations.research.results import SimulatedRuns
    from sealscore.simulations.research.sweeps import SweepRuns
    from sealscore.simulations.tracking.tracked import TrackingFailed

__all__ = [
    "BadSetting",
    "DataError",
    "ExportDiffers",
    "FederatedScore",
    "ModelFileError",
    "NoExtra",
    "NoModel",
    "NoSuchRun",
    "NotARun",
    "Plan",
    "PlanError",
    "ReleaseError",
    "RunFailed",
    "TrackingFailed",
    "UnreachableBudget",
    "account",
    "audit",
    "draft",
    "load_model",
    "load_run",
    "plan",
    "simulate",
    "sweep",
]
# Where each class is, by its name here: loaded when it is asked for.
_CLASSES = {
    "BadSetting": "simulations.experiments.runs",
    "DataError": "clients.data",
    "ExportDiffers": "simulations.exports.onnx_file",
    "FederatedScore": "simulations.research.estimator",
    "ModelFileError": "shared.model.score_model",
    "NoExtra": "simulations.extras",
    "NoModel": "clients.scoring.scorer",
    "NoSuchRun": "simulations.experiments.runs",
    "NotARun": "compliance.run_figures.record",
    "Plan": "simulations.research.plan",
    "PlanError": "shared.plan.errors",
    "ReleaseError": "shared.serving.release",
    "RunFailed": "simulations.experiments.job",
    "TrackingFailed": "simulations.tracking.tracked",
    "UnreachableBudget": "shared.dp.noise_calibration",
}


def __getattr__(name: str) -> Any:
    if name in _CLASSES:
        import importlib

        module = importlib.import_module(f"sealscore.{_CLASSES[name]}")
        return getattr(module, "ResearchPlan" if name == "Plan" else name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)


def plan(source: str | Path | Mapping[str, Any], **changes: Any) -> Plan:
    """A plan: a file of any party, the name of one that comes with Sealscore, or its keys as a mapping.

    A mapping is read as a file is: with platforms, a plan that says nothing of a fallback has one.

    Args:
        source: a TOML file, canonical JSON (`.json`), a name from `sealscore-sim plans`, or the keys.
        changes: keys to replace, as `Plan.with_` takes them (`epsilon=1.0`, `privacy__delta=1e-6`).

    Raises:
        PlanError: there is no such plan, or it is wrong; a line for each problem.
    """
    from sealscore.simulations.research.plan import ResearchPlan

    found = ResearchPlan.named(source)
    return found.with_(**changes) if changes else found


def draft(
    tables: Any,
    *,
    label: str | None = None,
    bad: str | float | None = None,
    good: str | float | None = None,
    id: str | None = None,
    person: str | None = None,
    lenders: int | None = None,
    platform: str | None = None,
    epsilon: float = 1.0,
    label_epsilon: float = 2.0,
    output: str | Path | None = None,
    force: bool = False,
) -> DraftedPlan:
    """A plan for tables of your own that runs as it is: each value a guess, with its reason in the plan's `text`.

    For public or simulated tables: bounds and levels are read from the records, and a real node refuses such a plan.

    Args:
        tables: a CSV or Parquet file, a list of them, a frame (polars or pandas), or frames by name. Tables with the
            label are lenders', those without it platforms'.
        label: column of the outcome, or the beginning of its name.
        bad: how the label writes a bad loan; `good` how it writes a good one, where it has further words.
        good: see `bad`.
        id: column that names records or persons.
        person: column that names the person of a record.
        lenders: lenders that share the rows; by default 3, with platforms 1.
        platform: columns that a platform holds instead, as "LIMIT_BAL,PAY_*": a vertical plan.
        epsilon: epsilon for a person.
        label_epsilon: label epsilon of a vertical plan.
        output: also write the plan's file there; `force` writes over one that is there.
        force: see `output`.

    Raises:
        DataError: a table cannot be read, or is none.
        PlanError: something cannot be guessed; the message names the command's option, which is the argument here.
        BadSetting: `label` is no text, or the file is there already or cannot be written.
    """
    from sealscore.simulations.draft.draft import Wishes
    from sealscore.simulations.experiments.runs import BadSetting
    from sealscore.simulations.research.drafts import drafted_plan

    if not (label is None or isinstance(label, str)):
        raise BadSetting("label", f"{label!r}: name a column of the table, as text")
    bad, good = (None if word is None else str(word) for word in (bad, good))
    wishes = Wishes(label, bad, good, id, person, lenders, platform, epsilon, label_epsilon)
    return drafted_plan(tables, wishes, None if output is None else Path(output), force)


def simulate(
    source: str | Path | Plan | Scenario,
    *,
    seeds: int = 1,
    seed: int | None = None,
    engine: str = "in-process",
    judge: str = "test",
    baselines: bool | Collection[str | CustomBaseline] = False,
    runs: str | Path = "runs",
    progress: bool = False,
    track: str | None = None,
    **changes: Any,
) -> SimulatedRuns:
    """Run a plan with all parties on this machine, as `sealscore-sim run` does; a folder a seed is written.

    Args:
        source: a plan that knows its data, its file, or the name of one that comes with Sealscore.
        seeds: so many runs that differ in nothing but the seed, counted up from the plan's own.
        seed: start at this seed instead.
        engine: as `sealscore-sim run --engine` takes it.
        judge: "test", or "validation": a part of the training persons, while you tune.
        baselines: all (True), none, or those named; a function `(training, label, test)` is one of your own.
        runs: the folder under which run folders are made.
        progress: draw bars on the error stream.
        track: "mlflow", into the store that MLflow is set to, or "tensorboard", into `runs`/tensorboard: settings,
            figures, and series by round of each finished run.
        changes: keys to replace, as `Plan.with_` takes them.

    Returns:
        The runs: `metrics["auc"].mean`, `seed(2)`, `rounds`, `model`, `plot.roc()`, `report("report.html")`.

    Raises:
        PlanError: there is no such plan, it is wrong, or says nothing of data.
        BadSetting: there is no such engine, judge, baseline or number of seeds.
        DataError: a party's table does not fit the plan.
        RunFailed: the federation could not carry it out; it says why.
        NoExtra: what tracks is not installed; before anything is run.
        TrackingFailed: its store does not take runs; finished runs stay.
        KeyboardInterrupt: Ctrl-C; runs of finished seeds stay, of the one under way nothing does.
    """
    from sealscore.simulations.research.simulate import simulated

    return simulated(
        source,
        seeds=seeds,
        seed=seed,
        engine=engine,
        judge=judge,
        baselines=baselines,
        runs=Path(runs),
        progress=progress,
        track=track,
        changes=changes,
    )


def sweep(
    source: str | Path | Plan | Scenario,
    *,
    seeds: int | Collection[int] = 1,
    judge: str = "validation",
    baselines: bool | Collection[str] = False,
    folder: str | Path | None = None,
    jobs: int = 1,
    engine: str = "fast",
    ray: str | None = None,
    track: str | None = None,
    heard: Callable[[str, str | None], None] = lambda run, failure: None,
    **keys: Any,
) -> SweepRuns:
    """Run a plan under many keys and seeds, as `sealscore-sim sweep` does; finished runs are kept.

    Called again, it goes on where it was, and runs only what is new.

    Args:
        source: as `simulate` takes it.
        seeds: how many, counted up from the plan's own, or the seeds themselves.
        judge: "validation", or "test" where the figures choose nothing.
        baselines: computed for every run: all (True), none, or those named.
        folder: where rows, table and report go; by default runs/sweep-NAME.
        jobs: so many processes; with more than one a script needs `if __name__ == "__main__":`.
        engine: "fast", or "in-process" for the real path with seals and ledgers: the same figures, and what was sent.
        ray: the address of a Ray cluster that carries out the runs instead, as HOST:PORT or "auto".
        track: as `simulate` has it; event files go to `folder`/tensorboard, by default runs/tensorboard.
        heard: told of each run, and why it failed, or None.
        keys: a list for each key that varies (`epsilon=[0.5, 1, 2]`), of which every combination is run, or one value.
            Keys are those of `Plan.with_`.

    Returns:
        `frame` has a row a run, `settings` a row a setting.

    Raises:
        PlanError, DataError: a key, a value or the data are wrong; before anything is run.
        BadSetting: there is no such engine, the folder cannot be written, another sweep writes into it, or no cluster
            answers.
        RunFailed: no run came to an end, or processes were lost; finished runs are kept.
        NoExtra, TrackingFailed: as `simulate`; finished runs are kept.
        KeyboardInterrupt: Ctrl-C; finished runs are kept.
    """
    from sealscore.simulations.research.sweeps import swept

    where = None if folder is None else Path(folder)
    return swept(
        source,
        seeds=seeds,
        judge=judge,
        baselines=baselines,
        folder=where,
        jobs=jobs,
        engine=engine,
        ray=ray,
        track=track,
        heard=heard,
        keys=keys,
    )


def account(source: str | Path | Plan) -> PlanCost:
    """What a plan may cost a person if its whole budget is used, by phase; nothing is run.

    Returns:
        `epsilon`, `delta`, `label_epsilon`, `against_platforms`, and `phases`, a frame with a row a phase.

    Raises:
        PlanError: there is no such plan, or it is wrong.
        UnreachableBudget: no noise is large enough for its epsilon.
    """
    from sealscore.simulations.research.audits import cost_of

    return cost_of(source)


def audit(
    source: str | Path | Plan | Scenario,
    *,
    seeds: int = 1,
    attack: Callable[[np.ndarray], np.ndarray] | None = None,
    fault: str | None = None,
    **settings: Any,
) -> AuditedSeeds:
    """Hold what an adversary learns against what a plan claims, as `sealscore-sim audit` does.

    Args:
        source: as `simulate` takes it.
        seeds: so many audits, counted up from the plan's own seed.
        attack: an attack of your own: what each round's noisy sum has along each canary's direction, float64
            [rounds, canaries] -> a score for each canary, float64 [canaries], the higher the likelier it is in.
        fault: break this on purpose, by the names of the command's `--break`.
        settings: `group`, `party`, `canaries` (at least 1000), `guesses`, `confidence`, as the command has them.

    Returns:
        `bound`, `claim`, `exceeded`, and `frame`, a row a seed.

    Raises:
        PlanError: the plan claims nothing that could be audited, or has no such group or party.
        ValueError: a setting is not allowed (BadSetting for `attack` and `fault`).
        DataError, RunFailed: as `simulate`.
    """
    from sealscore.simulations.research.audits import audited

    return audited(source, seeds, attack, fault, **settings)


def load_run(name: str | Path = "last", runs: str | Path = "runs") -> SimulatedRuns:
    """A run that was made before: its folder, its name or the start of it under `runs`, or "last".

    Raises:
        NoSuchRun: there is none of that name, or more than one.
    """
    from sealscore.simulations.research.results import SimulatedRuns

    return SimulatedRuns.found(name, runs)


def load_model(source: Run | SimulatedRuns | str | Path) -> ScoreModel:
    """The bare model of a run, of a run's folder or of a folder that a model was saved into.

    `pd(columns)` takes arrays as `Records` have them, float64 [rows] by feature. For frames there is `run.model`.

    Raises:
        ModelFileError: there is no model, or its files are damaged.
    """
    from sealscore.shared.model.score_model import ScoreModel

    folder = Path(source) if isinstance(source, str | Path) else source.folder
    return ScoreModel.load(folder / "model" if (folder / "model").is_dir() else folder)
