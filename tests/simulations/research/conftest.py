"""A table of a researcher's own, and one run of a plan that was drafted from it."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

import sealscore as ss
from sealscore.simulations.research.drafts import DraftedPlan
from sealscore.simulations.research.results import SimulatedRuns


@pytest.fixture(scope="session")
def loans() -> pl.DataFrame:
    """1,500 invented loans that are worse the later somebody paid before; some cells of late are blank."""
    random = np.random.default_rng(7)
    income, late = random.normal(50, 10, 1500).round(2), random.uniform(0, 10, 1500).round(2)
    kind = random.choice(["car", "home", "tour"], 1500)
    bad = random.uniform(size=1500) < 1 / (1 + np.exp(2.5 - 0.4 * late + 0.03 * (income - 50)))
    told = [
        None if blank else value for value, blank in zip(late.tolist(), random.uniform(size=1500) < 0.05, strict=True)
    ]
    return pl.DataFrame({"income": income, "late": told, "kind": kind, "default": bad.astype(int)})


@pytest.fixture(scope="session")
def plan(loans: pl.DataFrame) -> DraftedPlan:
    """A plan for them, with a budget at which the figures say something."""
    return ss.draft(loans, label="default", epsilon=8.0)


@pytest.fixture(scope="session")
def run(plan: DraftedPlan, tmp_path_factory: pytest.TempPathFactory) -> SimulatedRuns:
    """Two seeds of it."""
    return ss.simulate(plan, seeds=2, runs=tmp_path_factory.mktemp("runs"))
