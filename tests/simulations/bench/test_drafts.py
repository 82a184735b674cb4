"""The benchmark of drafted plans: the plan that `draft` writes, on splits that differ, against what it says."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from strange_loans import stranger
from typer.testing import CliRunner

from sealscore.shared.plan.plan import Plan
from sealscore.simulations.bench import drafts
from sealscore.simulations.bench.drafts.tables import BenchTable
from sealscore.simulations.cli import app
from sealscore.simulations.data.scenario import Scenario
from sealscore.simulations.experiments.oracle import Oracle

TABLE = BenchTable("loans.csv", "status", "charged off", gaps=(1.0, 4.0))


@pytest.fixture
def scenario(tmp_path: Path) -> Scenario:
    return drafts.drafted_scenario(tmp_path, "loans", stranger(), TABLE)


def test_the_plan_is_that_of_the_command(scenario: Scenario, tmp_path: Path):
    given = [str(tmp_path / "loans.csv"), "--label", TABLE.label, "--bad", TABLE.bad, "-o", str(tmp_path / "own.toml")]
    assert CliRunner().invoke(app, ["draft", *given]).exit_code == 0
    assert Scenario.load(tmp_path / "own.toml").plan == scenario.plan
    assert scenario.plan.outcome.cutoff == date.today()


def test_gaps_are_means_over_splits_that_differ(scenario: Scenario, monkeypatch: pytest.MonkeyPatch):
    tests: list[frozenset[str]] = []

    def trees(plan: Plan, oracle: Oracle) -> float:
        tests.append(frozenset(name for part in oracle.test for name in part.ids))
        return 0.8

    def trained(plan: Plan, oracle: Oracle) -> float:
        return 0.7 + 0.01 * len(tests) if plan.privacy.epsilon == 1 else 0.75

    monkeypatch.setattr(drafts, "pooled_xgboost", trees)
    monkeypatch.setattr(drafts, "trained", trained)
    found = drafts.gaps(scenario, TABLE.gaps)
    assert len(set(tests)) == drafts.SPLITS
    steps = 0.01 * np.arange(1, drafts.SPLITS + 1)
    assert found["eps1.gap"] == pytest.approx(0.1 - steps.mean())
    assert found["eps1.gap.se"] == pytest.approx(steps.std(ddof=1) / np.sqrt(drafts.SPLITS))
    assert (found["eps4.auc"], found["eps4.gap.se"]) == (pytest.approx(0.75), pytest.approx(0))


def test_leads_are_means_over_seeds_of_trained_plans(scenario: Scenario, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(drafts, "SEEDS", 2)
    plans: list[Plan] = []

    def alone(plan: Plan, oracle: Oracle) -> float:
        plans.append(plan)
        return 0.5

    monkeypatch.setattr(drafts, "lender_alone_dp", alone)
    found: dict[str, Any] = drafts.leads(scenario, (8.0,))
    assert [(plan.seed, plan.privacy.epsilon) for plan in plans] == [(1, 8.0), (2, 8.0)]
    assert 0.05 < found["eps8.ahead"] < 0.5
    assert found["eps8.ahead.se"] > 0
