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
from sealscore.shared.model.score_model import ScoreModel
from sealscore.simulations.bench.figures.redraws import REDRAWS, coverage, exact_tables, group_coverage
from sealscore.simulations.data.scenario import Scenario, packaged
from sealscore.simulations.engine.federation import Federation, load_parties
from sealscore.simulations.experiments.oracle import Oracle, figures

PLANS = ("uci_horizontal_eps1", "creators_eps2")


def _of_plan(name: str) -> dict[str, float]:
    scenario = Scenario.load(packaged()[name])
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
