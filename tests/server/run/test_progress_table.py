"""The live table of a run: rounds, attempts, who was lost, epsilon so far."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from builders import BIN, TRAIN, phase_of, small_plan
from rich.console import Console

import sealscore.server.run.progress.table as watching
from sealscore.server.run.progress.table import RunTable


def row(phase: str, number: int, **more: Any) -> dict[str, Any]:
    plain = {"phase": phase, "round": number, "attempts": 1, "cohort": 3, "failures": {}, "seconds": 0.5}
    return plain | more


def text(table: RunTable) -> str:
    console = Console(width=200, file=StringIO())
    console.print(table.shown())
    return console.file.getvalue()


def cells(table: RunTable, phase: str) -> list[str]:
    (line,) = [line for line in text(table).splitlines() if phase in line]
    return [cell.strip() for cell in line.strip("│").split("│")]


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> RunTable:
    monkeypatch.setattr(watching, "_COMPOSE", -1.0)
    return RunTable(small_plan())


def test_nothing_was_asked_yet(table: RunTable):
    assert "small: epsilon 0 of 8 for a person so far" in text(table)


def test_rounds_add_up(table: RunTable):
    table.phase(phase_of(small_plan(), TRAIN))
    assert cells(table, TRAIN) == [TRAIN, "0 of 4", "0", "", "", ""]
    table.round(row(TRAIN, 1, seconds=1.0))
    table.round(row(TRAIN, 2, attempts=3, cohort=2, failures={"lender-2": "timeout"}, seconds=2.0))
    table.round(row(TRAIN, 3, failures={"lender-2": "unavailable"}, cohort=2, seconds=3.0))
    assert cells(table, TRAIN) == [TRAIN, "3 of 4", "5", "2", "2.00", "lender-2 (2)"]


def test_epsilon_is_that_of_the_attempts_so_far(table: RunTable):
    plan = small_plan()
    table.phase(phase_of(plan, BIN))
    table.round(row(BIN, 1))
    table.phase(phase_of(plan, TRAIN))
    seen = []
    for number in range(1, 5):
        table.round(row(TRAIN, number))
        text(table)
        seen.append(table._epsilon._epsilon)
    assert seen == sorted(set(seen))
    expected = table._epsilon._mechanisms.claim(lambda phase: {BIN: 1, TRAIN: 4}.get(phase.name, 0))
    assert seen[-1] == expected
    assert f"epsilon {expected:.3g} of 8" in text(table)


def test_a_plan_without_noise_has_no_epsilon():
    table = RunTable(small_plan(privacy__noise="none"))
    table.phase(phase_of(small_plan(privacy__noise="none"), BIN))
    table.round(row(BIN, 1))
    assert "epsilon 0 of 8" in text(table)
