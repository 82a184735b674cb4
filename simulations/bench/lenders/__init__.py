"""What a draft gives where lenders are not as a draft has them: unlike, with shared borrowers, or gone half way.

UCI's draft of three lenders, judged on the validation part of its training rows, since these figures may steer the
recipe. `CASE.epsE.auc` is exact AUC, a mean over `SEEDS` seeds, and `CASE.epsE.ahead` how far that is above
`lender_alone_dp` on the same records; `.se` is a standard error over seeds.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sealscore.shared.plan.plan import Plan
from sealscore.simulations.bench.drafts import means
from sealscore.simulations.bench.drafts.tables import TABLES, drafted_scenario
from sealscore.simulations.bench.lenders.cases import CASES, Case
from sealscore.simulations.data.any_table import read_any
from sealscore.simulations.data.datasets import data_folder
from sealscore.simulations.data.scenario import Scenario
from sealscore.simulations.experiments.baselines import lender_alone_dp
from sealscore.simulations.experiments.judges import VALIDATION, judged_parties
from sealscore.simulations.experiments.oracle import Oracle

SEEDS = 5
EPSILONS = 1.0, 2.0


def run() -> dict[str, Any]:
    """Figures by `CASE.epsE.WHAT`."""
    table = TABLES["uci"]
    frame = read_any(data_folder() / table.file)[0].frame.drop(table.without)
    result: dict[str, Any] = {"seeds": SEEDS}
    with tempfile.TemporaryDirectory(prefix="sealscore-") as folder:
        drafted = drafted_scenario(Path(folder), "uci", frame, table)
        for case in CASES:
            found = figures(case.scenario(drafted, frame), case, EPSILONS)
            result |= {f"{case.name}.{key}": value for key, value in found.items()}
    return result


def figures(scenario: Scenario, case: Case, epsilons: Sequence[float]) -> dict[str, float]:
    """Of each epsilon, by `epsE.WHAT`: means over seeds."""
    first, records = judged_parties(scenario, VALIDATION)
    oracle = Oracle(first, records)
    result: dict[str, float] = {}
    for epsilon in epsilons:
        aucs, ahead = [], []
        for seed in range(1, SEEDS + 1):
            plan: Plan = first.replace(privacy__epsilon=epsilon, seed=seed)
            aucs.append(case.trained(plan, oracle))
            ahead.append(aucs[-1] - lender_alone_dp(plan, oracle))
        result |= means(f"eps{epsilon:g}.auc", aucs) | means(f"eps{epsilon:g}.ahead", ahead)
    return result
