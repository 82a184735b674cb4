"""Small raw tables of each kind of party, for tests to spoil."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import polars as pl
import pytest
from raw_tables import TABLES, lay_tables

from sealscore.clients.features.sentiment import Sentiment


@pytest.fixture
def lay(tmp_path: Path) -> Callable[..., Path]:
    """Write tables into a folder of their own: lay("wallet", flows=frame) replaces one of them."""
    return partial(lay_tables, tmp_path / "raw")


@pytest.fixture(scope="session")
def drawn() -> dict[str, dict[str, pl.DataFrame]]:
    """The tables of each kind of party."""
    return {kind: draw() for kind, draw in TABLES.items()}


@pytest.fixture(scope="session")
def sentiment() -> Sentiment:
    return Sentiment.shipped()
