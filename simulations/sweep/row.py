"""One run of a sweep as one row: what was asked, what came out, and what it cost."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sealscore.compliance.run_figures.record import RunFolder
    from sealscore.simulations.sweep.config import Task
    from sealscore.simulations.tracking.tracked import Tracked

Row = dict[str, Any]

METRICS = ("auc", "ks", "brier", "ece")
FAIRNESS = ("approved", "ratio", "good_gap", "bad_gap", "calibration_gap")


@dataclass(frozen=True)
class Done:
    """What became of a run: its row, or why there is none."""

    id: str
    row: Row | None
    failure: str | None = None
    tracked: Tracked | None = None


def carry_out(task: Task, keep: Path | None = None, track: bool = False) -> Done:
    """Run a task and give its row, and with `track` its rounds; the run's folder is moved to `keep`, or removed.

    Input that is refused and a federation that fails are told in the answer, so that other runs go on.
    """
    from sealscore.clients.data import DataError
    from sealscore.shared.dp.noise_calibration import UnreachableBudget
    from sealscore.shared.plan.errors import PlanError
    from sealscore.simulations.experiments.job import RunFailed, run_job
    from sealscore.simulations.experiments.seeds import Unheard
    from sealscore.simulations.tracking.tracked import Tracked

    with tempfile.TemporaryDirectory(prefix="sealscore-") as folder:
        try:
            run = run_job(
                task.scenario,
                task.engine,
                observer=Unheard(),
                baselines=task.baselines,
                runs=Path(folder),
                judge=task.judge,
            )
        except (DataError, PlanError, UnreachableBudget, RunFailed) as error:
            return Done(task.id, None, str(error))
        row, tracked = row_of(task, run.folder), Tracked.of(run) if track else None
        if keep is not None:
            shutil.move(run.folder, keep)
    return Done(task.id, row, tracked=tracked)


def row_of(task: Task, folder: Path) -> Row:
    """The row of a run from its folder.

    Keys of the sweep stand under their own dotted names; `auc` and its like are exact on the pooled rows of the task's
    judge, with `_dp` behind them as the protocol released them, and with `fallback.` before them those of the score
    without signals. `fairness.GROUP: BAND.*` follow from the released tables at the plan's approval rate. Both are None
    where they are lost in noise, and have the ends of their 95 % intervals beside them, `.low` and `.high`, those of a
    run's groups at once. `budget.PHASE.alone` is epsilon of a phase by itself, `budget.PHASE.total` of all phases up to
    it.
    """
    from sealscore.compliance.run_figures.epsilon import phase_costs
    from sealscore.compliance.run_figures.record import RunFolder
    from sealscore.shared.dp.mechanisms import Mechanisms
    from sealscore.shared.plan.plan import FALLBACK

    run = RunFolder.load(folder)
    plan, record, oracle = run.plan, run.record, run.oracle or {}
    privacy, noisy = record["privacy"], record["evaluation"]["all"]
    row: Row = {
        "id": task.id,
        "plan": plan.name,
        "plan_hash": task.scenario.plan.hash,
        "dataset": task.scenario.settings.dataset,
        "label": task.label,
        "judge": task.judge,
        **task.keys,
        "seed": plan.seed,
        "lenders": len(plan.members(plan.lenders)),
        "platforms": len(plan.parties) - len(plan.members(plan.lenders)),
        **{name: oracle["exact"][name] for name in METRICS},
        **{f"{name}_dp": noisy[name] for name in METRICS},
        **{f"{name}_dp.{end}": value for name in METRICS for end, value in _ends(noisy["intervals"][name])},
        **{f"{FALLBACK}.{name}": value for name, value in sorted(oracle.get(FALLBACK, {}).items())},
        **{f"baseline.{name}": value for name, value in sorted(oracle["baselines"].items())},
        **{name: privacy[name] for name in ("epsilon", "epsilon_budgeted", "epsilon_against_platforms")},
        **{name: privacy[name] for name in ("label_epsilon", "delta", "signal_bits")},
        "bytes_per_party": record["bytes_per_party"],
        "rounds": sum(max(counts.values(), default=0) for counts in record["answered"].values()),
        "seconds": record["seconds"],
        "started": record["started"],
        **_fairness(run),
    }
    if plan.privacy.noise != "none":
        for cost in phase_costs(Mechanisms(plan), run.answered):
            row[f"budget.{cost.phase.name}.alone"] = cost.alone
            row[f"budget.{cost.phase.name}.total"] = cost.total
    return row


def _fairness(run: RunFolder) -> Row:
    from sealscore.compliance.run_figures.findings import groups_at, overall_cutoff

    found: Row = {}
    for name, bands in groups_at(run, overall_cutoff(run)).items():
        for band in bands:
            for what in FAIRNESS:
                estimate = getattr(band, what)
                key = f"fairness.{name}: {band.band}.{what}"
                found[key] = None if estimate is None else estimate.value
                found |= {f"{key}.{end}": v for end, v in _ends(estimate and (estimate.low, estimate.high))}
    return found


def _ends(interval: Sequence[float] | None) -> list[tuple[str, float | None]]:
    """The ends of an interval by the names that columns have; none where the figure is lost in noise."""
    low, high = interval or (None, None)
    return [("low", low), ("high", high)]
