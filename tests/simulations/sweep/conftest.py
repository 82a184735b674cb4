"""A small sweep on the invented set, without noise, and rows that look like those of runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from builders import NO_NOISE, small_scenario

from sealscore.simulations.sweep.row import Row

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a sweep's file beside the scenario `tiny.toml`: its text after the line that names the plan."""
    small_scenario(tmp_path, noise=NO_NOISE)

    def make(text: str, name: str = "mine.toml", plan: str = "tiny.toml") -> Path:
        path = tmp_path / name
        path.write_text(f'plan = "{plan}"\n{text}', encoding="utf-8")
        return path

    return make


def made_row(number: int, **changed: Any) -> Row:
    """A row with the columns of a run; the figures are invented."""
    return {
        "id": f"{number:016x}",
        "plan": "tiny",
        "dataset": "synthetic",
        "label": None,
        "seed": 1,
        "lenders": 3,
        "auc": 0.7 + number / 1000,
        "ks": 0.4,
        "ece": 0.01,
        "auc_dp": None,
        "epsilon": 1.0,
        "bytes_per_party": 1_000_000,
        "rounds": 100,
        "seconds": 2.0,
        **changed,
    }


@pytest.fixture
def rows() -> Callable[[Sequence[dict[str, Any]]], list[Row]]:
    """Rows that differ in what is given."""
    return lambda changes: [made_row(number, **change) for number, change in enumerate(changes)]
