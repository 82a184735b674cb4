"""How far the protocol's own figures are from the exact ones of the same persons, and how often intervals hold.

A plan is run once. Its test records are counted exactly, and noise of the deviation that the plan's mechanism has is
drawn `REDRAWS` times onto the tables; each time figures are taken as a run's record and report take them. Plans whose
data is not there are left out.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from sealscore.clients.data import DataError
from sealscore.clients.roles.bands import band_of
from sealscore.compliance.run_figures.fairness import cutoff, fairness
from sealscore.shared.dp.mechanisms import Mechanisms
from sealscore.shared.model.calibration import Calibration
from sealscore.shared.model.score_model import ScoreModel
from sealscore.shared.model.score_table import score_table
from sealscore.shared.model.score_tables import ScoreTables
from sealscore.shared.model.table_figures import TableFigures
from sealscore.shared.model.table_posterior import TablePosterior
from sealscore.shared.phases.evaluate import table_weights
from sealscore.shared.phases.kind import Kind
from sealscore.shared.plan.plan import Plan
from sealscore.simulations.data.scenario import Scenario
from sealscore.simulations.engine.federation import Federation, load_parties
from sealscore.simulations.experiments.oracle import Oracle, figures

PLANS = ("uci_horizontal_eps1", "creators_eps2")
REDRAWS = 200
METRICS = ("auc", "ks", "brier", "ece")
_PLANS = Path(__file__).parents[1] / "plans"


def noisy(exact: ScoreTables, random: np.random.Generator) -> ScoreTables:
    """Exact tables with noise drawn anew, of the deviations that they state."""

    def drawn(table: np.ndarray, std: float) -> np.ndarray:
        return table + random.normal(0.0, std, table.shape)

    bands = {
        name: {key: drawn(table, exact.band_noise_std) for key, table in tables.items()}
        for name, tables in exact.bands.items()
    }
    return ScoreTables(drawn(exact.overall, exact.noise_std), bands, exact.noise_std, exact.band_noise_std)


def coverage(
    exact: ScoreTables, truth: dict[str, float], calibration: Calibration, redraws: int = REDRAWS, seed: int = 0
) -> dict[str, float]:
    """Bias, standard deviation and coverage of each figure that is not lost, and how often it is not.

    `truth` are the exact figures of the persons that the exact tables count.
    """
    random = np.random.default_rng(seed)
    tables = (noisy(exact, random).best for _ in range(redraws))
    found = [TableFigures.of(table, calibration, std) for table, std in tables]
    result: dict[str, float] = {"noise_std": exact.best[1]}
    for name in METRICS:
        told = [figure for one in found if (figure := getattr(one, name)) is not None]
        result[f"{name}.told"] = len(told) / redraws
        if told:
            values = np.array([figure.value for figure in told])
            result[f"{name}.exact"] = truth[name]
            result[f"{name}.bias"] = float(values.mean() - truth[name])
            result[f"{name}.sd"] = float(values.std())
            result[f"{name}.half"] = float(np.mean([figure.half for figure in told]))
            result[f"{name}.covered"] = float(np.mean([f.low <= truth[name] <= f.high for f in told]))
    return result


def group_coverage(
    exact: ScoreTables, approval_rate: float, calibration: Calibration, redraws: int = REDRAWS, seed: int = 0
) -> dict[str, float]:
    """How often all intervals of approval-rate ratios hold at once, the share of ratios told, and their mean half."""
    random = np.random.default_rng(seed)
    comparisons = sum(len(bands) - 1 for bands in exact.bands.values())
    held: list[bool] = []
    halves: list[float] = []
    for _ in range(redraws):
        tables, holds = noisy(exact, random), True
        cut = cutoff(TablePosterior.of(*tables.best, calibration), approval_rate, calibration)
        for name, bands in tables.bands.items():
            posteriors = {
                key: TablePosterior.of(table, tables.band_noise_std, calibration, seed=place)
                for place, (key, table) in enumerate(bands.items(), 1)
            }
            shown = fairness(posteriors, cut, calibration, comparisons)
            rates = {
                key: float(table.reshape(2, -1)[:, : cut.cells].sum() / max(1.0, table.sum()))
                for key, table in exact.bands[name].items()
            }
            reference = next((band.band for band in shown if band.reference), None)
            for band in shown:
                if band.ratio is not None and reference is not None:
                    halves.append(band.ratio.high - band.ratio.value)
                    holds &= band.ratio.low <= rates[band.band] / rates[reference] <= band.ratio.high
        held.append(holds)
    return {
        "groups.covered_at_once": float(np.mean(held)),
        "groups.told": len(halves) / (redraws * comparisons),
        "groups.half": float(np.mean(halves)) if halves else 0.0,
    }


def exact_tables(plan: Plan, oracle: Oracle, logits: np.ndarray, labels: np.ndarray) -> ScoreTables:
    """The tables of all test records without noise, with the deviation of the noise that the plan adds."""
    mechanisms, cells = Mechanisms(plan), plan.evaluation.judged_cells
    phase = next(phase for phase in mechanisms.phases if (phase.kind, phase.tower) == (Kind.EVALUATE, plan.lenders))
    mechanism = mechanisms.mechanism(phase, mechanisms.longest(phase))
    weights, std = table_weights(plan, plan.lenders), mechanism.total_std(len(plan.members(plan.lenders)))
    bands = {}
    for name in plan.evaluation.groups:
        band = band_of(plan, name, np.concatenate([part.columns[name] for part in oracle.test]))
        bands[name] = {
            key: score_table(logits[band == place], labels[band == place], cells).astype(np.float64)
            for place, key in enumerate(plan.bands(name))
        }
    overall = score_table(logits, labels, cells).astype(np.float64)
    return ScoreTables(overall, bands, std / weights[0], std / weights[1])


def _of_plan(name: str) -> dict[str, float]:
    scenario = Scenario.load(_PLANS / f"{name}.toml")
    plan, records = scenario.plan, load_parties(scenario)
    federation = Federation.of(plan, records)
    with tempfile.TemporaryDirectory(prefix="sealscore-") as folder:
        federation.run(Path(folder))
        model = ScoreModel.load(Path(folder) / "model")
    parts = [part.test_part() for part in federation.scored_records()]
    logits = np.concatenate([model.logits(part.columns) for part in parts])
    labels = np.concatenate([part.label for part in parts if part.label is not None])
    exact = exact_tables(plan, Oracle(plan, records), logits, labels)
    truth = figures(labels, model.calibration.pd(logits))
    groups = group_coverage(exact, plan.evaluation.approval_rate, model.calibration, REDRAWS // 2)
    return coverage(exact, truth, model.calibration) | groups


def run() -> dict[str, Any]:
    """Figures of each plan by `PLAN.FIGURE.WHAT`; `missing` names the plans whose data is not there."""
    result: dict[str, Any] = {"redraws": REDRAWS, "missing": []}
    for name in PLANS:
        try:
            result |= {f"{name}.{key}": value for key, value in _of_plan(name).items()}
        except DataError:
            result["missing"].append(name)
    return result
