"""Run folders of small federations, made once, and a reader of pages."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from builders import small_federation, small_plan
from pages import Reader
from vertical_builders import federation_of, vertical_plan

from sealscore.shared.persons.records import Records
from sealscore.shared.plan.plan import Plan
from sealscore.simulations.engine.federation import Federation


@pytest.fixture(scope="session")
def read() -> Callable[[str], Reader]:
    return Reader


def _made(folder: Path, plan: Plan, records: dict[str, Records]) -> Path:
    Federation.of(plan, records).run(folder)
    # A simulation leaves this; the figures are invented.
    known = {
        "exact": {"auc": 0.7654, "ks": 0.4321, "brier": 0.1234, "ece": 0.0123},
        "baselines": {"pooled_xgboost": 0.7777, "lender_alone_dp": 0.6543, "home_made": 0.5432},
        "data": {"dataset": "invented", "alpha": None},
    }
    (folder / "oracle.json").write_text(json.dumps(known), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def horizontal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three lenders. To be read only."""
    return _made(tmp_path_factory.mktemp("runs") / "horizontal", small_plan(), small_federation())


@pytest.fixture(scope="session")
def vertical(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two lenders, two video platforms and a wallet. To be read only."""
    # With all records in every round, noise and claims are solved in a moment.
    plan = vertical_plan(training__sample_rate=1.0)
    return _made(tmp_path_factory.mktemp("runs") / "vertical", plan, federation_of(plan))


@pytest.fixture
def copy_of(tmp_path: Path) -> Callable[..., Path]:
    """A copy of a run's folder, with changes to its run.json by key."""

    def copied(folder: Path, **changes: Any) -> Path:
        new = Path(shutil.copytree(folder, tmp_path / "copy", dirs_exist_ok=True))
        record = json.loads((new / "run.json").read_text())
        (new / "run.json").write_text(json.dumps({**record, **changes}))
        return new

    return copied
