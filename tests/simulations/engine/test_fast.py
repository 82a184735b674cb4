"""The research engine against the in-process one: the same integers in every sum of whole plans, and the same model."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from builders import auto_plan, small_federation, small_plan
from vertical_builders import auto_vertical_plan, federation_of, vertical_plan

from sealscore.server.transport.journal import Journal, Sum
from sealscore.shared.persons.records import Records
from sealscore.shared.plan.plan import Plan
from sealscore.simulations.engine.fast.federation import FastFederation
from sealscore.simulations.engine.federation import Federation

# What says nothing of the model: when a run was, and how it was carried out.
OTHERWISE = {"started", "seconds", "tries", "engine", "protection", "traffic", "bytes_per_party"}
OTHERWISE |= {"payloads", "payload_bytes_per_applicant"}
LOCAL = {"steps": 3, "learning_rate": 0.5}


@contextmanager
def noted() -> Iterator[dict[tuple[str, int], Sum]]:
    """Every sum that comes about while the context lasts, by phase and round."""
    found: dict[tuple[str, int], Sum] = {}
    kept = Journal.add

    def add(journal: Journal, phase: str, round: int, total: Sum) -> None:
        found[phase, round] = total
        kept(journal, phase, round, total)

    with patch.object(Journal, "add", add):
        yield found


def files(folder: Path) -> dict[str, bytes]:
    """The published models of a run."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for name in ("model", "towers", "signals", "fallback")
        for path in sorted((folder / name).rglob("*"))
        if path.is_file()
    }


def record_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "run.json").read_text())


def assert_same(plan: Plan, records: Mapping[str, Records], folder: Path) -> None:
    """Sums, models and all that a run says of itself but for how it was carried out."""
    with noted() as sealed:
        Federation.of(plan, records).run(folder / "sealed")
    with noted() as fast:
        FastFederation.of(plan, records).run(folder / "fast")
    assert sealed.keys() == fast.keys()
    assert len(sealed) >= 4
    for place, total in sealed.items():
        # The grid is a power of two, so these are integers in another unit.
        assert np.array_equal(total.values, fast[place].values), place
        assert total.cohort == fast[place].cohort
    assert files(folder / "sealed") == files(folder / "fast")
    left, right = (record_of(folder / name) for name in ("sealed", "fast"))
    assert {k: v for k, v in left.items() if k not in OTHERWISE} == {
        k: v for k, v in right.items() if k not in OTHERWISE
    }
    assert (left["engine"], right["engine"]) == ("in-process", "fast")
    assert right["protection"]["sums"] == right["protection"]["payloads"] == "clear"


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"training__sample_rate": 1.0},
        {"groups__lender__crosses": [["income", "sector"]]},
        {"model__hidden": 3},
        {"training__algorithm": "fedavg", "training__local": LOCAL},
        {"privacy__noise": "none"},
    ],
    ids=["sampled", "full", "crosses", "network", "fedavg", "no-noise"],
)
def test_hand_set_keys(tmp_path: Path, changes: dict[str, Any]):
    assert_same(small_plan(training__rounds=5, **changes), small_federation(), tmp_path)


def test_the_recipe(tmp_path: Path):
    assert_same(auto_plan(), small_federation(), tmp_path)


@pytest.mark.parametrize("make", [vertical_plan, auto_vertical_plan], ids=["hand-set", "recipe"])
def test_vertical_plans(tmp_path: Path, make: Any):
    plan = make()
    assert_same(plan, federation_of(plan), tmp_path)
