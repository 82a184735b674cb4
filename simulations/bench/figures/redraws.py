"""Noise drawn anew onto exact score tables, and how well the figures taken from them hold."""

from __future__ import annotations

import numpy as np

from sealscore.clients.roles.bands import band_of
from sealscore.compliance.run_figures.fairness import cutoff, fairness
from sealscore.shared.dp.mechanisms import Mechanisms
from sealscore.shared.model.calibration import Calibration
from sealscore.shared.model.released.score_tables import ScoreTables
from sealscore.shared.model.released.table_figures import TableFigures
from sealscore.shared.model.released.table_posterior import TablePosterior
from sealscore.shared.model.score_table import score_table
from sealscore.shared.phases.evaluate import table_weights
from sealscore.shared.phases.kind import Kind
from sealscore.shared.plan.plan import Plan
from sealscore.simulations.experiments.oracle import Oracle

REDRAWS = 200
METRICS = ("auc", "ks", "brier", "ece")


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
