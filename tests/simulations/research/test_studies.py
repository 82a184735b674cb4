"""Sweeps, accounts and audits from Python; baselines and attacks of a researcher's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from builders import NO_NOISE, small_scenario

import sealscore as ss
from sealscore.shared.dp.mechanisms import Mechanisms
from sealscore.shared.plan.errors import PlanError
from sealscore.simulations.audit.server import scored, summed
from sealscore.simulations.experiments.runs import BadSetting
from sealscore.simulations.research.drafts import DraftedPlan
from sealscore.simulations.research.examples.own_parts import last_rounds, one_column_stump
from sealscore.simulations.research.results import SimulatedRuns
from sealscore.simulations.sweep import carrying


class TestSweep:
    def test_a_row_a_run_and_it_goes_on_where_it_was(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        plan = ss.Plan.load(small_scenario(tmp_path, noise=NO_NOISE))
        told: list[tuple[str, str | None]] = []
        asked = {"judge": "test", "folder": tmp_path / "out", "heard": lambda *run: told.append(run)}
        first = ss.sweep(plan, rounds=[2, 3], seeds=2, **asked)
        assert first.frame["training.rounds"].to_list() == [2, 2, 3, 3]
        assert [failure for _, failure in told] == [None] * 4
        assert first.settings["runs"].to_list() == [2, 2]
        means = first.frame.group_by("training.rounds", maintain_order=True).agg(pl.col("auc").mean())
        assert first.settings["auc"].to_list() == means["auc"].to_list()
        assert first.report().read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
        carried: list[object] = []
        whole = carrying.carry_out
        monkeypatch.setattr(carrying, "carry_out", lambda task, **_: (carried.append(task), whole(task))[1])
        more = ss.sweep(plan, rounds=[2, 3], seeds=[1, 5], **asked)
        assert len(carried) == 2
        assert more.frame["seed"].to_list() == [1, 5, 1, 5]

    def test_engines_give_the_same_figures(self, tmp_path: Path):
        plan = ss.Plan.load(small_scenario(tmp_path, noise=NO_NOISE))
        asked = {"judge": "test", "rounds": 2}
        own, fast = (
            ss.sweep(plan, engine=engine, folder=tmp_path / engine, **asked) for engine in ("in-process", "fast")
        )
        assert own.frame["auc"].to_list() == fast.frame["auc"].to_list()
        assert own.frame["bytes_per_party"][0] > 0
        assert fast.frame["bytes_per_party"][0] is None

    def test_of_counts_is_refused_before_anything_runs(self, tmp_path: Path):
        with pytest.raises(PlanError, match="counts"):
            ss.sweep("creators_monitoring", epsilon=[1, 2], folder=tmp_path / "out")
        assert list(tmp_path.iterdir()) == []

    def test_ctrl_c_keeps_finished_runs(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        plan = ss.Plan.load(small_scenario(tmp_path, noise=NO_NOISE))

        def stops(task: object, **_: object) -> object:
            raise KeyboardInterrupt

        monkeypatch.setattr(carrying, "carry_out", stops)
        with pytest.raises(KeyboardInterrupt, match="0 finished runs kept"):
            ss.sweep(plan, rounds=[2, 3], folder=tmp_path / "out")

    @pytest.mark.parametrize(
        ("keys", "error"),
        [
            ({"epsilon": [1.0, -1.0]}, PlanError),
            ({"nothing": [1]}, PlanError),
            ({"seeds": 0}, PlanError),
            ({"jobs": 0}, BadSetting),
            ({"engine": "flower"}, BadSetting),
            ({"ray": "127.0.0.1:1", "rounds": 2}, BadSetting),
            ({"ray": "auto", "jobs": 2}, BadSetting),
            ({"judge": "nobody"}, BadSetting),
        ],
    )
    def test_it_is_refused_before_anything_is_run(
        self, tmp_path: Path, keys: dict[str, object], error: type[Exception]
    ):
        plan = ss.Plan.load(small_scenario(tmp_path, noise=NO_NOISE))
        with pytest.raises(error):
            ss.sweep(plan, folder=tmp_path / "out", **keys)
        assert not (tmp_path / "out").exists()


def test_an_account_is_what_the_run_budgets(plan: DraftedPlan, run: SimulatedRuns):
    cost = ss.account(run.plan)
    assert cost.epsilon == pytest.approx(run.record["privacy"]["epsilon_budgeted"], rel=1e-6)
    assert ss.account(plan).epsilon == pytest.approx(plan.privacy.epsilon, rel=2e-3)
    assert cost.phases["phase"].to_list() == [p.name for p in Mechanisms(run.plan).phases if not p.paired]
    assert cost.phases["total"].max() == pytest.approx(cost.epsilon, rel=1e-6)
    assert cost.phases["noise_multiplier"].min() > 0
    free = ss.account(run.plan.with_(privacy__noise="none"))
    assert (free.epsilon, free.phases.height) == (None, 0)


class TestAudit:
    def test_with_an_attack_of_ones_own(self, tmp_path: Path):
        plan = ss.Plan.load(small_scenario(tmp_path, rate="sample_rate = 0.05 -> sample_rate = 1.0"))
        seen: list[np.ndarray] = []

        def attack(along: np.ndarray) -> np.ndarray:
            seen.append(along)
            return last_rounds(along)

        own, plain = (
            ss.audit(plan, canaries=1000, guesses=100, attack=attack),
            ss.audit(plan, canaries=1000, guesses=100),
        )
        assert seen[0].shape == (5, 1000)
        assert own.claim == plain.claim > own.bound >= 0
        assert not own.exceeded
        assert own.frame["right"][0] != plain.frame["right"][0]
        assert own.report(tmp_path / "audit.html").stat().st_size > 1000

    def test_the_default_is_the_sum_over_rounds(self):
        along = np.random.default_rng(1).normal(size=(300, 50))
        one_by_one = np.zeros(50)
        for row in along:
            one_by_one += row
        assert np.array_equal(scored(summed, along), one_by_one)

    @pytest.mark.parametrize("given", [np.zeros(3), np.full(50, np.nan)])
    def test_an_attack_that_gives_no_scores(self, given: np.ndarray):
        with pytest.raises(BadSetting, match="attack"):
            scored(lambda along: given, np.zeros((4, 50)))

    def test_faults_by_name(self, tmp_path: Path):
        with pytest.raises(BadSetting, match="there are"):
            ss.audit(small_scenario(tmp_path), fault="everything")


class TestOwnBaseline:
    def test_it_is_judged_beside_the_shipped_ones(self, plan: DraftedPlan, tmp_path: Path):
        run = ss.simulate(plan, runs=tmp_path, baselines=["pooled_logistic_bins", one_column_stump])
        assert set(run.baselines) == {"pooled_logistic_bins", "one_column_stump"}
        # The outcome was drawn by `late` first of all.
        assert 0.65 < run.baselines["one_column_stump"] < 1

    @pytest.mark.parametrize(
        "baselines", [["nothing"], [one_column_stump, one_column_stump], ["platform_alone"], [lambda a, b, c: a]]
    )
    def test_that_is_refused_and_leaves_nothing(self, plan: DraftedPlan, tmp_path: Path, baselines: list[object]):
        with pytest.raises(BadSetting, match="baselines"):
            ss.simulate(plan, runs=tmp_path, baselines=baselines)
        assert list(tmp_path.iterdir()) == []
