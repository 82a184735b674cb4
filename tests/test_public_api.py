"""`import sealscore`: light, and one call each from a plan to a model."""

from __future__ import annotations

import builtins
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tomli_w
from builders import PLAN

import sealscore
from sealscore.shared.plan.errors import PlanError


def test_importing_it_loads_nothing_heavy():
    code = "import sys, sealscore; print(sorted({'torch', 'flwr', 'numpy', 'pydantic', 'polars'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
    assert set(sealscore.__all__) <= set(dir(sealscore))
    with pytest.raises(AttributeError, match="no attribute 'plans'"):
        sealscore.plans  # noqa: B018


def test_every_error_that_is_documented_has_a_name():
    told = {word for name in sealscore.__all__ if (text := getattr(sealscore, name).__doc__) for word in raised(text)}
    own = {word for word in told if not hasattr(builtins, word)}
    assert {"PlanError", "DataError", "RunFailed"} <= own
    assert own <= set(sealscore.__all__)
    assert issubclass(sealscore.PlanError, ValueError)


def raised(text: str) -> set[str]:
    """The names before a colon in a docstring's section of errors."""
    lines = text.partition("Raises:")[2].splitlines()
    return {word for line in lines for word in re.findall(r"\w+", line.partition(":")[0]) if ":" in line[:60]}


class TestPlan:
    def test_of_a_name_a_file_its_keys_and_its_canonical_form(self, tmp_path: Path):
        small = sealscore.plan("creators_small")
        assert isinstance(small, sealscore.Plan)
        assert sealscore.plan("creators_small", privacy__epsilon=1.5).privacy.epsilon == 1.5
        (tmp_path / "own.toml").write_text(tomli_w.dumps(PLAN), encoding="utf-8")
        (tmp_path / "own.json").write_bytes(sealscore.plan(PLAN).canonical())
        assert sealscore.plan(tmp_path / "own.toml") == sealscore.plan(PLAN) == sealscore.plan(tmp_path / "own.json")

    def test_that_is_none(self):
        with pytest.raises(PlanError, match="did you mean creators_small"):
            sealscore.plan("creator_small")
        with pytest.raises(PlanError, match=r"privacy\.epsilon"):
            sealscore.plan(PLAN, privacy__epsilon=-1.0)


def test_from_a_scenario_to_a_model_that_scores(tmp_path: Path):
    changes = {"simulation__creators": 2000, "training__rounds": 5}
    run = sealscore.simulate("synthetic_horizontal_eps2", seed=3, runs=tmp_path, **changes)
    assert (run.record["plan"]["seed"], run.folder.parent) == (3, tmp_path)
    assert 0.5 < run.oracle["exact"]["auc"] < 1
    assert 0 < run.record["privacy"]["epsilon"] <= 2
    models = [sealscore.load_model(source) for source in (run, run.folder, str(run.folder / "model"))]
    columns = {feature.name: np.array([0.0]) for feature in models[0].features}
    assert len({float(model.pd(columns)[0]) for model in models}) == 1
