"""All that a run's report computes before it writes: post-processing of what was released."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import count

from sealscore.compliance.run_figures.curves import Curves
from sealscore.compliance.run_figures.epsilon import Moment, PhaseCost, moments, phase_costs
from sealscore.compliance.run_figures.fairness import BandFigures, Cutoff, Estimate, approved_share, cutoff, fairness
from sealscore.compliance.run_figures.record import RunFolder
from sealscore.compliance.run_figures.scorecard import FeatureEffect, effects
from sealscore.shared.dp.events import UnknownEvent, parse_event
from sealscore.shared.dp.mechanisms import Mechanisms
from sealscore.shared.model.released.table_figures import TableFigures
from sealscore.shared.model.released.table_posterior import TablePosterior
from sealscore.shared.model.score_model import ScoreModel
from sealscore.shared.plan.plan import FALLBACK

# A claim computed on another machine may differ in the last digits of its floats.
_SAME = 1e-3


@dataclass(frozen=True)
class Findings:
    """What a report shows of a run.

    `figures` are those of all test records with their intervals, by all noisy tables; `exact` and `baselines` come
    from a simulation's oracle, and are empty without one. `groups` are the fairness figures by attribute. `costs` and
    `moments` are empty for a plan without noise. `faults` names what in the record does not agree with its plan.
    `apart` tells whether training and test persons are surely different people. `fallback` and `fallback_exact` are the
    figures of the score that reads no signal, where the plan has one.
    """

    run: RunFolder
    figures: TableFigures
    curves: Curves
    exact: dict[str, float]
    baselines: dict[str, float]
    cut: Cutoff
    approved: Estimate | None
    groups: dict[str, tuple[BandFigures, ...]]
    costs: list[PhaseCost]
    moments: list[Moment]
    apart: bool
    effects: dict[str, tuple[FeatureEffect, ...]]
    faults: list[str]
    fallback: TableFigures | None
    fallback_exact: dict[str, float]

    @classmethod
    def of(cls, run: RunFolder) -> Findings:
        """Compute everything."""
        plan, calibration = run.plan, run.model.calibration
        table, noise = run.tables.best
        posterior = TablePosterior.of(table, noise, calibration)
        cut = cutoff(posterior, plan.evaluation.approval_rate, calibration)
        mechanisms, private = Mechanisms(plan), plan.privacy.noise != "none"
        oracle = run.oracle or {}
        return cls(
            run=run,
            figures=TableFigures.of(table, calibration, noise),
            curves=Curves(posterior, calibration),
            exact=dict(oracle.get("exact", {})),
            baselines=dict(oracle.get("baselines", {})),
            cut=cut,
            approved=approved_share(posterior, cut),
            groups=groups_at(run, cut),
            costs=phase_costs(mechanisms, run.answered) if private else [],
            moments=moments(mechanisms, run.answered) if private else [],
            apart=len(mechanisms.composed) > 1,
            effects={name: effects(model) for name, model in _models(run).items()},
            faults=_faults(run, mechanisms) if private else [],
            fallback=_fallback(run),
            fallback_exact=dict(oracle.get(FALLBACK, {})),
        )

    @property
    def simulated(self) -> bool:
        """Whether a simulation left this run."""
        return self.run.oracle is not None

    @property
    def privacy(self) -> dict[str, float | None]:
        """The figures of the claim by name, None where there is none."""
        record = self.run.record["privacy"]
        names = ("epsilon", "epsilon_budgeted", "epsilon_of_plan", "epsilon_against_platforms", "label_epsilon")
        return {name: record.get(name) for name in names}

    @property
    def told(self) -> list[tuple[str, BandFigures]]:
        """The groups that are no reference and of whose approval ratio something can be told."""
        return [(name, band) for name, bands in self.groups.items() for band in bands if band.ratio is not None]


def _models(run: RunFolder) -> dict[str, ScoreModel]:
    """All models of a run by the name of their tower, the lenders' first."""
    fallback = {} if run.fallback is None else {FALLBACK: run.fallback}
    return {run.plan.lenders: run.model, **fallback, **run.towers}


def _fallback(run: RunFolder) -> TableFigures | None:
    if run.fallback is None or run.fallback_tables is None:
        return None
    table, noise = run.fallback_tables.best
    return TableFigures.of(table, run.fallback.calibration, noise)


def overall_cutoff(run: RunFolder) -> Cutoff:
    """The cut-off of a run's plan, from its released tables."""
    posterior = TablePosterior.of(*run.tables.best, run.model.calibration)
    return cutoff(posterior, run.plan.evaluation.approval_rate, run.model.calibration)


def groups_at(run: RunFolder, cut: Cutoff) -> dict[str, tuple[BandFigures, ...]]:
    """The fairness figures at a cut-off, by attribute, of a run's released tables."""
    calibration, noise, bands = run.model.calibration, run.tables.band_noise_std, run.tables.bands
    # Every attribute has a band for what is missing, and one to compare with.
    comparisons = sum(len(tables) - 1 for tables in bands.values())
    seeds = count(1)
    return {
        name: fairness(
            {key: TablePosterior.of(table, noise, calibration, seed=next(seeds)) for key, table in tables.items()},
            cut,
            calibration,
            comparisons,
        )
        for name, tables in bands.items()
    }


def _faults(run: RunFolder, mechanisms: Mechanisms) -> list[str]:
    """Where the record's events or claims are not what the plan and the answers give."""
    found = []
    recorded = {entry["phase"]: entry["event"] for entry in run.record["privacy"]["phases"]}
    for phase in mechanisms.phases:
        if phase.paired:
            continue
        try:
            same = parse_event(recorded.get(phase.name, {})) == mechanisms.event(phase)
        except UnknownEvent:
            same = False
        if not same:
            found.append(f"the mechanism recorded for {phase.name} is not the one that the plan prescribes")
    claims = {
        "epsilon": mechanisms.claim(lambda phase: run.answered(phase.name)),
        "epsilon_against_platforms": mechanisms.platform_claim(lambda phase: run.answered(phase.name)),
    }
    for name, computed in claims.items():
        stated = run.record["privacy"].get(name)
        if (stated is None) != (computed is None) or (
            stated is not None and computed is not None and not math.isclose(stated, computed, rel_tol=_SAME)
        ):
            found.append(f"the record states {name} = {stated}, and its plan and answers give {computed}")
    return found
