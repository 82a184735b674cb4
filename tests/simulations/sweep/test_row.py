"""A run as a row: what was asked, what came out, and a failure that is told and not raised."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from builders import small_scenario

from sealscore.simulations.experiments.runs import Run
from sealscore.simulations.sweep.config import Sweep
from sealscore.simulations.sweep.row import Done, carry_out

Write = Callable[..., Path]


def test_a_row_says_what_the_folder_of_its_run_says(write: Write, tmp_path: Path):
    sweep = Sweep.load(write('baselines = ["pooled_xgboost"]\n[grid]\ntraining.rounds = [20]\nparties.lender = [2]\n'))
    (task,) = sweep.tasks
    done = carry_out(task, tmp_path / "kept")
    run = Run.load(tmp_path / "kept")
    row = done.row
    assert row is not None
    assert (done.id, done.failure) == (task.id, None)
    assert json.loads(json.dumps(row)) == row
    assert (row["training.rounds"], row["parties.lender"], row["seed"], row["lenders"]) == (20, 2, 1, 2)
    assert {name: row[name] for name in ("auc", "ks", "brier", "ece")} == run.oracle["exact"]
    assert row["auc_dp"] == run.record["evaluation"]["all"]["auc"]
    assert set(run.oracle["baselines"]) == {"pooled_xgboost"}
    assert row["baseline.pooled_xgboost"] == run.oracle["baselines"]["pooled_xgboost"]
    assert row["bytes_per_party"] == run.record["bytes_per_party"]
    # Bins, twenty rounds of training, calibration, evaluation.
    assert row["rounds"] == 23
    assert row["epsilon"] is None
    assert not [name for name in row if name.startswith("budget.")]
    assert 0 < row["fairness.gender: female.approved"] <= 1


def test_epsilon_by_phase(tmp_path: Path):
    small_scenario(tmp_path, epsilon="epsilon = 2.0 -> epsilon = 8.0")
    path = tmp_path / "s.toml"
    path.write_text('plan = "tiny.toml"\n')
    row = carry_out(Sweep.load(path).tasks[0]).row
    assert row is not None
    alone = [row[f"budget.{phase}:lender.alone"] for phase in ("bin", "train_tower", "calibrate", "evaluate")]
    assert all(0 < figure <= row["epsilon"] for figure in alone)
    assert row["budget.evaluate:lender.total"] == pytest.approx(row["epsilon"], rel=1e-6)
    assert row["epsilon"] <= 8.0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[set]\nsimulation.partition = "quantity"\nsimulation.alpha = 1e-6\n', "some party gets fewer than 10 rows"),
        ('[set]\nprivacy.noise = "discrete-gaussian"\nprivacy.epsilon = 1e-7\n', "privacy.epsilon = 1e-07"),
    ],
)
def test_a_run_that_cannot_be_carried_out_tells_why(write: Write, text: str, said: str):
    (task,) = Sweep.load(write(text)).tasks
    done = carry_out(task)
    assert isinstance(done, Done)
    assert done.row is None
    assert said in str(done.failure)
