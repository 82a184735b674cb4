"""A small federation for tests: a plan of three lenders, their records, and a scenario of the synthetic set.

Invented numbers throughout. The default plan solves its noise in a fraction of a second and runs in less.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from sealscore.shared.dp.mechanisms import Mechanisms
from sealscore.shared.model.bins import Binning, histogram, histogram_length
from sealscore.shared.persons.records import Records
from sealscore.shared.phases.kind import Kind
from sealscore.shared.phases.order import Phase
from sealscore.shared.plan.plan import Plan
from sealscore.shared.plan.schema import TableSchema

LENDERS = ("lender-1", "lender-2", "lender-3")
RUN = "run-1"
BIN, TRAIN, CALIBRATE, EVALUATE = (
    f"{kind.value}:lender" for kind in (Kind.BIN, Kind.TRAIN, Kind.CALIBRATE, Kind.EVALUATE)
)

TABLE: dict[str, Any] = {
    "id": "id",
    "label": "bad",
    "features": [
        {"name": "income", "lower": 0, "upper": 1000, "scale": 20},
        {"name": "months", "lower": 0, "upper": 24, "integer": True, "missing": True},
        {"name": "sector", "kind": "categorical", "levels": ["food", "fashion", "other"]},
        {"name": "age", "lower": 18, "upper": 100, "integer": True, "protected": True},
        {"name": "sex", "kind": "categorical", "levels": ["f", "m"], "missing": True, "protected": True},
    ],
}

PLAN: dict[str, Any] = {
    "name": "small",
    "purpose": "a plan for tests",
    "seed": 7,
    "groups": {"lender": {"role": "lender", "min_parties": 2, "max_colluding": 0, "table": TABLE}},
    "parties": [{"name": name, "group": "lender", "nominal_records": 400} for name in LENDERS],
    "outcome": {"definition": "90 days past due", "window_days": 365, "cutoff": "2020-01-01"},
    "model": {"bins": 4, "grid_cells": 16},
    "privacy": {"epsilon": 8.0, "delta": 1e-5, "max_parties_per_person": 1, "spare_attempts": 0.5},
    "training": {"rounds": 4, "sample_rate": 0.5, "optimizer": {"learning_rate": 2.0}},
    "evaluation": {
        "split": {"kind": "hash", "key": "k", "test_fraction": 0.25},
        "groups": {"age": [30, 50], "sex": []},
        "cells": 8,
    },
}


@lru_cache(maxsize=64)
def _plan(changes: tuple[tuple[str, Any], ...]) -> Plan:
    plan = Plan.parse(PLAN)
    return plan.replace(**dict(changes)) if changes else plan


def small_plan(**changes: Any) -> Plan:
    """The small plan with dotted keys replaced, written with __ for the dot."""
    try:
        return _plan(tuple(sorted(changes.items())))
    except TypeError:  # a value that is not hashable
        return Plan.parse(PLAN).replace(**changes)


def auto_plan(**changes: Any) -> Plan:
    """The small plan, trained by the additive recipe."""
    plan = Plan.parse({**PLAN, "training": "auto", "model": {}})
    return plan.replace(**changes) if changes else plan


_solved: dict[str, Mechanisms] = {}


def mechanisms(plan: Plan) -> Mechanisms:
    """The mechanisms of a plan, made once."""
    return _solved.setdefault(plan.hash, Mechanisms(plan))


def phase_of(plan: Plan, name: str) -> Phase:
    """The phase of that name."""
    return next(phase for phase in mechanisms(plan).phases if phase.name == name)


def small_records(n: int = 400, seed: int = 0, test_share: float = 0.25, schema: TableSchema | None = None) -> Records:
    """Invented records of the small plan's table: income and months tell most of the label, sector a little."""
    random = np.random.default_rng(seed)
    income = np.round(random.gamma(2.0, 40.0, n).clip(0, 1000), 2)
    months = random.integers(0, 25, n).astype(np.float64)
    sector = random.integers(0, 3, n).astype(np.float64)
    risk = 1.5 - income / 40 - months / 12 + (sector == 2) * 0.8
    label = (random.random(n) < 1 / (1 + np.exp(-risk))).astype(np.int8)
    columns = {
        "income": income,
        "months": np.where(random.random(n) < 0.1, np.nan, months),
        "sector": sector,
        "age": random.integers(18, 80, n).astype(np.float64),
        "sex": np.where(random.random(n) < 0.05, np.nan, random.integers(0, 2, n)),
    }
    ids = tuple(f"{seed}-{row}" for row in range(n))
    test = random.random(n) < test_share
    return Records(schema or small_plan().groups["lender"].table, ids, ids, columns, label, test)


def small_federation(n: int = 400, parties: Iterable[str] = LENDERS) -> dict[str, Records]:
    """Records of each lender, different for each."""
    return {name: small_records(n, seed=place) for place, name in enumerate(parties, start=1)}


def with_columns(records: Records, **columns: np.ndarray) -> Records:
    """The records with some columns replaced."""
    return dataclasses.replace(records, columns={**records.columns, **columns})


def binning_of(plan: Plan, records: Records) -> Binning:
    """Bins from the exact histogram of training records: as published, without noise."""
    features = plan.groups[plan.lenders].table.scored
    counts = histogram(records.training_part().columns, features, plan.model.grid_cells)
    return Binning.from_histogram(features, plan.model.grid_cells, plan.model.bins, counts.astype(np.float64))


def no_weights() -> np.ndarray:
    """What stands for parameters where a phase has none."""
    return np.zeros(0)


def weights_of(plan: Plan, binning: Binning) -> np.ndarray:
    """The tower's initial weights."""
    # Late: most tests build plans and records alone, and torch takes more than a second of CPU.
    from sealscore.shared.model.build import initial_tower
    from sealscore.shared.model.tower import flatten

    return flatten(initial_tower(plan, plan.lenders, binning))


def length_of(plan: Plan, phase: Phase, binning: Binning) -> int:
    """Entries of a phase's sum."""
    if phase.kind is Kind.BIN:
        return histogram_length(plan.groups[phase.group].table.scored, plan.model.grid_cells)
    if phase.kind is Kind.TRAIN:
        return len(weights_of(plan, binning))
    return mechanisms(plan).longest(phase)


def small_scenario(folder: Path, **replaced: str) -> Path:
    """A scenario's file in `folder`: the packaged synthetic one, with few creators and few rounds.

    `replaced` maps a name to "old -> new", a change of the text that must take place.
    """
    # Late: a scenario knows all data sets and so imports polars.
    from sealscore.simulations.data.scenario import resolve

    text = resolve("synthetic_horizontal_eps2").read_text(encoding="utf-8")
    changes = {
        "creators": "creators = 24_000 -> creators = 1_500",
        "rounds": "rounds = 300 -> rounds = 5",
        "name": 'name = "synthetic_horizontal_eps2" -> name = "tiny"',
        **replaced,
    }
    for change in changes.values():
        old, new = change.split(" -> ")
        assert old in text, old
        text = text.replace(old, new, 1)
    path = folder / "tiny.toml"
    path.write_text(text, encoding="utf-8")
    return path


# Put into a scenario's table of privacy: no noise, so nothing is to be solved and a run takes a moment.
NO_NOISE = 'epsilon = 2.0 -> epsilon = 2.0\nnoise = "none"'
