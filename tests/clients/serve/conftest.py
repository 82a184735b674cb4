"""A scorer's folder, and the scorer as a process on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from scorer_home import ScorerHome, ScorerProcess, new_home


@pytest.fixture
def home(tmp_path: Path) -> ScorerHome:
    return new_home(tmp_path / "home")


@pytest.fixture
def scorer(home: ScorerHome) -> Iterator[ScorerProcess]:
    """It is ended whatever a test finds, and must end well."""
    made = ScorerProcess(home).ready()
    yield made
    assert made.end() == 0
