"""Scoring by a release of UCI credit default, vertical, epsilon 2: what one score, a table, a token and a replay cost,
and what the fallback is worth and costs.

The champion and the fallback are judged exactly on test rows, over some seeds, beside one lender alone with the same
budget, and beside the champion of the same plan without a fallback. CPU is that of this process. The way of one number
through numpy, as a table's rows go, takes turns with the score of one applicant.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from sealscore.shared.serving.release import Release
from sealscore.simulations.bench.score.costs import many, one, replays, token
from sealscore.simulations.data.scenario import PLANS, Scenario
from sealscore.simulations.engine.federation import load_parties
from sealscore.simulations.experiments.job import RELEASE, run_job

PLAN, SEEDS, ALONE = "uci_vertical_eps2", 3, "lender_alone_dp"


def run(seeds: int = SEEDS) -> dict[str, Any]:
    """All figures; times are CPU, medians of turns."""
    scenario = Scenario.load(PLANS / f"{PLAN}.toml")
    with tempfile.TemporaryDirectory() as folder:
        runs = Path(folder)
        found, release = _worth(scenario, seeds, runs)
        records = load_parties(scenario)
        lender = scenario.plan.members(scenario.plan.lenders)[0].name
        found |= one(release, records[lender])
        found |= many(release, records[lender])
        found |= token(release, records, runs)
        found |= replays(release, records[lender], runs)
    return found


def _worth(scenario: Scenario, seeds: int, runs: Path) -> tuple[dict[str, Any], Release]:
    """Exact AUC of champion and fallback, of the champion without a fallback, and of a lender alone."""
    got: dict[str, list[float]] = {}
    first = scenario.plan.seed
    release: Release | None = None
    for seed in range(first, first + seeds):
        for fallback in (True, False):
            changed = replace(scenario, plan=scenario.plan.replace(model__fallback=fallback)).with_seed(seed)
            done = run_job(changed, baselines={ALONE} if fallback else False, runs=runs)
            exact = done.oracle["exact"]["auc"]
            got.setdefault("champion_auc" if fallback else "champion_without_fallback_auc", []).append(exact)
            if fallback:
                got.setdefault("fallback_auc", []).append(done.oracle["fallback"]["auc"])
                got.setdefault("fallback_ece", []).append(done.oracle["fallback"]["ece"])
                got.setdefault(f"{ALONE}_auc", []).append(done.oracle["baselines"][ALONE])
                release = Release.load(done.folder / RELEASE)
    if release is None:
        raise ValueError("at least one seed is needed")
    lost = [b - a for a, b in zip(got["champion_auc"], got["champion_without_fallback_auc"], strict=True)]
    beside = [a - b for a, b in zip(got["fallback_auc"], got[f"{ALONE}_auc"], strict=True)]
    got |= {"champion_loses": lost, "fallback_over_alone": beside}
    found: dict[str, Any] = {name: mean(values) for name, values in got.items()}
    if seeds > 1:
        found |= {f"{name}_sd": stdev(values) for name, values in got.items()}
    return found, release
