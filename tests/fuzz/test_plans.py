"""Plans of a stranger: read, refused or reviewed within a bound of time and memory, whatever numbers they name."""

from __future__ import annotations

import json
import tomllib
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from builders import PLAN, small_plan
from counted_loans import counts_plan
from hypothesis import example, given
from hypothesis import strategies as st
from mutations import MEBIBYTE, ODD, TEXT_ONLY, altered, deep, fuzz, limits, noise
from vertical_builders import PLAN as VERTICAL
from vertical_builders import vertical_plan

from sealscore.clients.setup.config import DataSection
from sealscore.clients.setup.plan_review import review
from sealscore.shared.dp.effort import TooMuchWork, limited
from sealscore.shared.dp.mechanisms import Mechanisms
from sealscore.shared.identity.identity import Identity
from sealscore.shared.ledger.entries import Ceilings
from sealscore.shared.ledger.ledger import Ledger
from sealscore.shared.plan.errors import PlanError
from sealscore.shared.plan.plan import Plan
from sealscore.simulations.engine.enrolment import enrolled

WHOLE = [enrolled(plan).canonical() for plan in (small_plan(), vertical_plan(), counts_plan())]
PLAIN = [json.loads(data) for data in WHOLE]
TOML = [tomli_w.dumps(plan).encode() for plan in (PLAN, VERTICAL)]
PARTY = Identity.simulated(7, "lender-1", "lender")
DATA = DataSection(id="loans", file=Path("loans.csv"), identifier="id", form="exact", row_local=True)
LEDGER = Ledger.create(None, PARTY, "loans", Ceilings(epsilon=2.0, delta=1e-5))


def read(data: bytes) -> Plan | None:
    """The plan whose canonical bytes these are, None for any others."""
    with limits(memory=8 * MEBIBYTE + 200 * len(data)):
        try:
            found = Plan.from_canonical(data)
        except PlanError:
            return None
    assert found.canonical() == data
    return found


def canonical(plain: Any) -> bytes:
    """As a server that means ill would write it."""
    return json.dumps(plain, sort_keys=True, separators=(",", ":")).encode("ascii")


@fuzz(300)
@given(noise(WHOLE))
@example(b"9" * 5_000)
@example(b'{"a":' * 5_000)
@example(b"[" * 200_000)
@example(b'{"version":' + b"1" * 4_301 + b"}")
@example("{}".encode("utf-32"))
@example(canonical({str(n): 0 for n in range(20_000)}))
@example(canonical(PLAIN[0] | {"parties": [{"name": "a", "group": "lender", "nominal_records": 1}] * 12_000}))
def test_bytes(data: bytes):
    read(data)


@fuzz(600)
@given(altered(PLAIN, [*ODD, *TEXT_ONLY]))
def test_fields(plain: Any):
    read(canonical(plain))


@fuzz(200)
@given(noise(TOML))
@example(b"a = " + b"[" * 100_000)
@example(b"a = " + b"{a = " * 100_000)
@example(b"a" + b".a" * 100_000 + b" = 1")
@example(b'"=".' * 100_000 + b"a = 1")
@example(b"version = 0x" + b"f" * 20_000)
@example(b"version = " + b"9" * 5_000)
@example(b"seed = 1e999\nexpires = 0001-01-01T00:00:00+23:59")
@example(b"a" * (2**20 + 1))
def test_toml(data: bytes):
    with limits(seconds=20, memory=16 * MEBIBYTE + 200 * len(data)):
        try:
            Plan.loads(data.decode("utf-8", "replace"))
        except PlanError:
            return


NUMBERS: dict[str, list[Any]] = {
    "privacy.epsilon": [1e-9, 0.01, 49.0, 50.0],
    "privacy.delta": [1e-30, 1e-12, 1e-9, 1e-3],
    "privacy.label_epsilon": [1e-3, 20.0],
    "privacy.clip_norm": [1e-9, 1e9],
    "privacy.max_records_per_person": [1, 2, 30, 100],
    "privacy.max_parties_per_person": [1, 2, None],
    "privacy.spare_attempts": [0.0, 1.0],
    "privacy.shares.bins": [1e-6, 0.9],
    "privacy.shares.evaluation": [1e-6],
    "training.rounds": [1, 1000, 100_000],
    "training.sample_rate": [1e-6, 1e-4, 0.01, 0.5, 1.0],
    "training.local": [None, {"steps": 1000}],
    "training.algorithm": ["fedavg"],
    "model.grid_cells": [8, 4096],
    "model.hidden": [0, 256],
    "evaluation.cells": [8, 512],
    "parties.0.nominal_records": [1, 10**9],
    "groups.lender.table.features.0.upper": [1e-300, 1e300, 1.7e308],
    "groups.lender.table.features.0.scale": [5e-324, 1e300],
}


def _with(plain: dict[str, Any], key: str, value: Any) -> None:
    *path, last = key.split(".")
    place: Any = plain
    for step in path:
        place = place[int(step)] if step.isdigit() else place[step]
    place[last] = value


@st.composite
def extreme(draw: st.DrawFn) -> dict[str, Any]:
    """A plan whose numbers are at the borders of what they may be."""
    plain: dict[str, Any] = json.loads(draw(st.sampled_from(WHOLE[:2])))
    for key in draw(st.lists(st.sampled_from(sorted(NUMBERS)), min_size=1, max_size=5, unique=True)):
        _with(plain, key, draw(st.sampled_from(NUMBERS[key])))
    if plain["training"]["algorithm"] == "fedavg" and plain["training"]["local"] is None:
        plain["training"]["local"] = {"steps": 10}
    elif plain["training"]["local"] is not None:
        plain["training"]["algorithm"] = "fedavg"
    return plain


@fuzz(12, few=2)
@given(extreme())
@example(json.loads(WHOLE[0]) | {"training": {"rounds": 100_000, "sample_rate": 1e-6}})
def test_a_review_ends_whatever_the_plan_asks(plain: dict[str, Any]):
    _reviewed(plain)


@pytest.mark.parametrize(
    "values",
    [
        {"parties.0.nominal_records": 10**9, "privacy.epsilon": 0.01},
        {"parties.0.nominal_records": 1, "privacy.epsilon": 50.0, "privacy.delta": 1e-30},
        {"monitoring.last_month": "2025-02", "monitoring.reference_months": 1},
        {"monitoring.last_month": "2034-12", "outcome.cutoff": "2034-12-31", "privacy.max_records_per_person": 100},
        {"monitoring.originations": False, "monitoring.passing": 1e-300},
    ],
    ids=str,
)
def test_a_review_of_a_plan_of_counts_ends(values: dict[str, Any]):
    plain: dict[str, Any] = json.loads(WHOLE[2])
    for key, value in values.items():
        _with(plain, key, value)
    Plan.parse(plain)
    _reviewed(plain)


def _reviewed(plain: dict[str, Any]) -> None:
    try:
        plan = Plan.parse(plain)
    except PlanError:
        return
    with limits(seconds=120, memory=1024 * MEBIBYTE), limited(60_000):
        try:
            review(plan, PARTY.card, {}, LEDGER.state, DATA, date(2031, 1, 6))
            made = Mechanisms(plan)
            for phase in made.phases:
                if not phase.paired:
                    assert made.mechanism(phase, 100).shape.bits <= 64
        except (PlanError, TooMuchWork):
            return


def test_a_person_with_a_thousand_records_is_the_most():
    thousand = {"name": "{}", "group": "lender", "nominal_records": 10}
    parties = [thousand | {"name": f"lender-{n}"} for n in range(500)]
    data = PLAN | {"parties": parties, "privacy": {"epsilon": 2.0, "delta": 1e-5, "max_records_per_person": 3}}
    with pytest.raises(PlanError, match="1500 records"):
        Plan.parse(data)


def test_lists_in_lists_are_told_in_one_line():
    with pytest.raises(PlanError) as told:
        Plan.parse(PLAN | {"name": deep(2_000), "seed": int("9" * 4_000) ** 2})
    assert len(str(told.value)) < 1_000


def test_toml_of_this_python_reads_what_is_let_through():
    assert tomllib.loads(TOML[0].decode()) == PLAN
