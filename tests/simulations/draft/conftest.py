"""A table as a stranger has it, and the draft of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from sealscore.simulations.data.scenario import Scenario
from sealscore.simulations.draft.draft import Draft, Wishes, drafted
from sealscore.simulations.draft.text import toml

TODAY = date(2026, 1, 31)
Drafted = Callable[..., tuple[Draft, Scenario]]


@pytest.fixture
def draft_of(tmp_path: Path) -> Drafted:
    """Write tables as NAME.csv, draft them, and load what was drafted; keywords are wishes."""

    def make(tables: dict[str, pl.DataFrame] | pl.DataFrame, **wishes: Any) -> tuple[Draft, Scenario]:
        named = {"loans": tables} if isinstance(tables, pl.DataFrame) else tables
        paths = []
        for name, frame in named.items():
            paths.append(tmp_path / f"{name}.csv")
            frame.write_csv(paths[-1])
        wanted = Wishes(**wishes)
        found = drafted(paths, wanted, tmp_path)
        (tmp_path / "draft.toml").write_text(toml(found, wanted, TODAY), encoding="utf-8")
        return found, Scenario.load(tmp_path / "draft.toml")

    return make
