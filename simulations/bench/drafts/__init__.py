"""How far drafted plans, without an edit, are from boosted trees tuned on the same split, and from going alone.

`TABLE.epsE.gap` is the AUC of `pooled_xgboost` less the plan's, a mean over `SPLITS` split keys, each the key of a
draft with another word; `.se` is its standard error over them. `TABLE.epsE.ahead` is the plan's AUC less that of
`lender_alone_dp`, or of the platform's tower by itself where that is better, a mean over `SEEDS` seeds on one split,
with its own standard error; UCI is cut for it until 4,000 rows train. Three lenders share the rows, as in any draft,
but for `uci-vertical`, where a platform has some of the columns. Tables that are not there are left out.
"""

from __future__ import annotations

import math
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sealscore.shared.plan.plan import Plan
from sealscore.simulations.bench.drafts.tables import TABLES, drafted_scenario
from sealscore.simulations.data.any_table import read_any
from sealscore.simulations.data.datasets import data_folder
from sealscore.simulations.data.scenario import Scenario
from sealscore.simulations.engine.federation import load_parties
from sealscore.simulations.experiments.baselines import (
    judged_towers,
    lender_alone_dp,
    pooled_xgboost,
    trained,
    trained_into,
)
from sealscore.simulations.experiments.oracle import Oracle

SPLITS, SEEDS = 5, 5
LEADS = 1.0, 2.0


def run() -> dict[str, Any]:
    """Figures by `TABLE.epsE.WHAT`; `missing` names the tables whose file is not there."""
    result: dict[str, Any] = {"splits": SPLITS, "seeds": SEEDS, "missing": []}
    for name, table in TABLES.items():
        path = data_folder() / table.file
        if not path.is_file():
            result["missing"].append(name)
            continue
        frame = read_any(path)[0].frame.drop(table.without)
        with tempfile.TemporaryDirectory(prefix="sealscore-") as folder:
            found = gaps(drafted_scenario(Path(folder), name, frame, table), table.gaps) if table.gaps else {}
            few = frame if table.rows is None else frame.sample(table.rows, seed=1)
            found |= leads(drafted_scenario(Path(folder), f"{name}-few", few, table), LEADS)
        result |= {f"{name}.{key}": value for key, value in found.items()}
    return result


def gaps(scenario: Scenario, epsilons: Sequence[float]) -> dict[str, float]:
    """Of each epsilon, by `epsE.WHAT`, and the trees' AUC: means over split keys."""
    trees: list[float] = []
    aucs: dict[float, list[float]] = {epsilon: [] for epsilon in epsilons}
    for split in range(1, SPLITS + 1):
        key = f"{scenario.plan.evaluation.split.key} {split}"
        moved = scenario.replace(evaluation__split__key=key)
        oracle = Oracle(moved.plan, load_parties(moved))
        trees.append(pooled_xgboost(moved.plan, oracle))
        for epsilon, found in aucs.items():
            found.append(trained(moved.plan.replace(privacy__epsilon=epsilon), oracle))
    result = {"pooled_xgboost": statistics.mean(trees)}
    for epsilon, found in aucs.items():
        result[f"eps{epsilon:g}.auc"] = statistics.mean(found)
        result |= means(f"eps{epsilon:g}.gap", [tree - auc for tree, auc in zip(trees, found, strict=True)])
    return result


def leads(scenario: Scenario, epsilons: Sequence[float]) -> dict[str, float]:
    """Of each epsilon, by `epsE.WHAT`: means over seeds."""
    oracle = Oracle(scenario.plan, load_parties(scenario))
    result: dict[str, float] = {}
    for epsilon in epsilons:
        found = []
        for seed in range(1, SEEDS + 1):
            plan = scenario.plan.replace(privacy__epsilon=epsilon, seed=seed)
            found.append(lead(plan, oracle))
        result |= means(f"eps{epsilon:g}.ahead", found)
    return result


def lead(plan: Plan, oracle: Oracle) -> float:
    """Exact AUC of a plan less that of a lender alone, or of the best tower of platforms where that is better."""
    with tempfile.TemporaryDirectory(prefix="sealscore-") as folder:
        auc = trained_into(Path(folder), plan, oracle)
        towers = judged_towers(plan, oracle, Path(folder))
    return auc - max([lender_alone_dp(plan, oracle), *towers.values()])


def means(name: str, values: Sequence[float]) -> dict[str, float]:
    """The mean of some values under a name, and under `name.se` its standard error."""
    return {name: statistics.mean(values), f"{name}.se": statistics.stdev(values) / math.sqrt(len(values))}
