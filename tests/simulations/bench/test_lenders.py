"""The benchmark of lenders that are not as a draft has them: each case deals the rows out as it says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from strange_loans import stranger

from sealscore.simulations.bench import lenders
from sealscore.simulations.bench.drafts.tables import BenchTable, drafted_scenario
from sealscore.simulations.bench.lenders import cases
from sealscore.simulations.bench.lenders.cases import CASES, Case
from sealscore.simulations.data.scenario import Scenario
from sealscore.simulations.engine.federation import load_parties
from sealscore.simulations.experiments.oracle import Oracle

TABLE = BenchTable("loans.csv", "status", "charged off")
BY_NAME = {case.name: case for case in CASES}


@pytest.fixture
def frame(monkeypatch: pytest.MonkeyPatch) -> pl.DataFrame:
    monkeypatch.setattr(cases, "SPLIT_BY", "late")
    return stranger()


@pytest.fixture
def drafted(tmp_path: Path, frame: pl.DataFrame) -> Scenario:
    return drafted_scenario(tmp_path, "loans", frame, TABLE)


def test_unlike_lenders_have_their_thirds_of_one_table(drafted: Scenario, frame: pl.DataFrame):
    records = load_parties(BY_NAME["unlike"].scenario(drafted, frame))
    late = [records[name].columns["late"] for name in ("lender-1", "lender-2", "lender-3")]
    assert sum(len(column) for column in late) == frame.height
    assert late[0].max() <= late[1].min()
    assert late[1].max() <= late[2].min()
    assert late[0].max() < late[2].min()


def test_shared_persons_are_at_several_lenders_and_count_so(drafted: Scenario, frame: pl.DataFrame):
    assert drafted.plan.multiplicity(drafted.plan.lenders) == 1
    for name in ("shared", "unsaid"):
        changed = BY_NAME[name].scenario(drafted, frame)
        assert changed.plan.multiplicity(changed.plan.lenders) == 3
        ids = np.concatenate([records.ids for records in load_parties(changed).values()])
        assert (len(ids) > len(set(ids))) == (name == "shared")


def test_who_drops_out_is_missed(drafted: Scenario, frame: pl.DataFrame):
    scenario = BY_NAME["four"].scenario(drafted, frame)
    oracle = Oracle(scenario.plan, load_parties(scenario))
    plan = scenario.plan.replace(privacy__epsilon=8.0)
    stays, same, gone = (BY_NAME[name].trained(plan, oracle) for name in ("four", "four", "gone"))
    assert stays == same != gone


def test_figures_are_means_over_seeds_of_what_is_held_out(
    drafted: Scenario, frame: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(lenders, "SEEDS", 2)
    seen: list[tuple[str, int, float, int]] = []

    def alone(plan: object, oracle: Oracle) -> float:
        return 0.5

    def trained(plan, oracle):
        seen.append((plan.name, plan.seed, plan.privacy.epsilon, sum(len(part) for part in oracle.test)))
        return 0.6 + 0.1 * plan.seed

    monkeypatch.setattr(lenders, "lender_alone_dp", alone)
    case = Case("any", lambda scenario, frame: scenario, trained)
    found = lenders.figures(case.scenario(drafted, frame), case, (8.0,))
    assert found["eps8.auc"] == pytest.approx(0.75)
    assert found["eps8.ahead"] == pytest.approx(0.25)
    assert found["eps8.ahead.se"] == pytest.approx(0.05)
    test = sum(len(records.test_part()) for records in load_parties(drafted).values())
    assert [row[1:3] for row in seen] == [(1, 8.0), (2, 8.0)]
    assert 0 < seen[0][3] < frame.height - test
