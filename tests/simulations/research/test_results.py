"""Runs from Python: figures over seeds, one seed, the model on frames, plots, the report; and Ctrl-C."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

import sealscore as ss
from sealscore.clients.data import DataError
from sealscore.simulations.experiments import job
from sealscore.simulations.experiments.runs import BadSetting, NoSuchRun
from sealscore.simulations.extras import NoExtra
from sealscore.simulations.research.drafts import DraftedPlan
from sealscore.simulations.research.results import SimulatedRuns


def test_figures_over_seeds_are_those_of_each_seed(run: SimulatedRuns):
    assert run.seeds == (1, 2)
    each = [run.seed(seed).metrics["auc"].mean for seed in run.seeds]
    assert run.metrics["auc"].values == tuple(each)
    assert run.metrics["auc"].mean == pytest.approx(np.mean(each))
    assert run.metrics["auc"].sd == pytest.approx(np.std(each, ddof=1))
    assert float(run.seed(2).metrics["ks"]) == run.seed(2).oracle["exact"]["ks"]
    assert run.epsilon is not None
    assert 0 < run.epsilon <= 8
    assert repr(run.metrics["auc"]) in repr(run)
    with pytest.raises(BadSetting, match="there are 1, 2"):
        run.seed(3)


def test_rounds_are_those_of_all_seeds(run: SimulatedRuns):
    assert run.rounds["seed"].unique().sort().to_list() == [1, 2]
    assert {"phase", "round", "gradient_norm", "noise_norm"} <= set(run.rounds.columns)


def test_a_run_is_found_again(run: SimulatedRuns):
    again = ss.load_run("last", run.folder.parent)
    assert again.record == run.seed(2).record
    assert ss.load_run(run.folder).metrics["auc"].values == run.seed(1).metrics["auc"].values
    with pytest.raises(NoSuchRun):
        ss.load_run("nothing", run.folder.parent)


class TestModel:
    def test_it_ranks_the_loans(self, run: SimulatedRuns, loans: pl.DataFrame):
        pd_of = run.model.pd(loans)
        assert pd_of.shape == (1500,)
        assert roc_auc_score(loans["default"], pd_of) > 0.65
        # Points are those of the PDs before they are rounded.
        assert np.corrcoef(run.model.points(loans), np.log(pd_of / (1 - pd_of)))[0, 1] < -0.999

    def test_pandas_gives_the_same(self, run: SimulatedRuns, loans: pl.DataFrame):
        frame = pd.DataFrame(loans.drop("default").to_dict(as_series=False), index=range(5, 1505))
        assert np.array_equal(run.model.pd(frame), run.model.pd(loans))

    def test_reasons_are_the_codes_of_the_score(self, run: SimulatedRuns, loans: pl.DataFrame):
        scored, reasons = run.model.score(loans), run.model.reasons(loans)
        assert reasons["points"].min() > 0
        first = reasons.filter(pl.col("place") == 1)
        given = scored.filter(pl.col("reason_1").is_not_null())
        assert first["row"].to_list() == given["row"].to_list()
        assert first["code"].to_list() == given["reason_1"].to_list()
        assert first.filter(pl.col("code") == "late.high").height > 100
        assert set(reasons["place"]) <= {1, 2, 3}

    def test_frames_that_do_not_fit(self, run: SimulatedRuns, loans: pl.DataFrame):
        for frame in (loans.drop("late"), loans.with_columns(late=pl.lit("often"))):
            with pytest.raises(DataError, match="'late'") as refused:
                run.model.pd(frame)
            assert "often" not in str(refused.value)


def test_the_card_in_python_as_csv_and_in_the_report(run: SimulatedRuns, tmp_path: Path):
    card = run.model.scorecard()
    counts = run.oracle["bins"]["late"]
    assert sum(map(sum, counts)) == pytest.approx(0.8 * 1500, rel=0.1)
    late = card.filter(pl.col("feature") == "late")
    assert late["bad_rate"].to_list() == [
        bad / (good + bad) if good + bad else None for good, bad in zip(*counts, strict=True)
    ]
    # Those who were late often are worse, and the card takes points off.
    seen = late.drop_nulls("bad_rate")
    assert np.corrcoef(seen["bad_rate"], seen["points"])[0, 1] < -0.5
    assert pl.read_csv(run.model.to_csv(tmp_path / "card.csv"))["points"].to_list() == card["points"].to_list()
    page = run.report(tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count(">late<") >= late.height


def test_plots_are_figures_of_matplotlib(run: SimulatedRuns, tmp_path: Path):
    figures = [run.plot.roc(), run.plot.calibration(), run.plot.scores(), run.plot.privacy(), run.plot.training()]
    for place, figure in enumerate([*figures, run.plot.bins("late")]):
        figure.savefig(tmp_path / f"{place}.svg")
        assert (tmp_path / f"{place}.svg").stat().st_size > 2000
    axes = figures[0].axes[0]
    assert run.plot.roc(axes) is figures[0]
    with pytest.raises(BadSetting, match="income, kind, late"):
        run.plot.bins("default")


def test_without_the_extra_it_says_what_to_install(run: SimulatedRuns, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(NoExtra, match=r"pip install 'sealscore\[notebooks\]'"):
        run.seed(1).plot.roc()


def test_ctrl_c_keeps_whole_runs_and_says_so(plan: DraftedPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    started: list[int] = []
    whole = job.run_job

    def begin(scenario: object, *rest: object) -> object:
        started.append(1)
        if len(started) == 2:
            monkeypatch.setattr(job.Oracle, "judge", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        return whole(scenario, *rest)

    monkeypatch.setattr(job, "run_job", begin)
    with pytest.raises(KeyboardInterrupt, match="stopped at seed 2; 1 finished run kept"):
        ss.simulate(plan, seeds=3, runs=tmp_path)
    assert [path.name.partition("-2")[0] for path in tmp_path.iterdir()] == ["table-seed1"]


@pytest.mark.parametrize(
    ("choice", "value"), [("engine", "slow"), ("judge", "nobody"), ("seeds", 0), ("seeds", 1.5), ("seeds", True)]
)
def test_choices_that_there_are_not(plan: DraftedPlan, tmp_path: Path, choice: str, value: object):
    with pytest.raises(BadSetting, match=choice):
        ss.simulate(plan, runs=tmp_path, **{choice: value})
    assert list(tmp_path.iterdir()) == []
