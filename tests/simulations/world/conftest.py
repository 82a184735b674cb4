"""One small world, built once, and readers of its tables under canonical names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from sealscore.simulations.world.build import build, read_manifest
from sealscore.simulations.world.config import WorldConfig

CREATORS = 3000


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("worlds") / "small"
    build(WorldConfig(creators=CREATORS), folder)
    return folder


@pytest.fixture(scope="session")
def read(world: Path) -> Callable[[str, str], pl.DataFrame]:
    """A table of a party, or of the truth, with the canonical names of its columns."""
    manifest = read_manifest(world)

    def table(party: str, name: str) -> pl.DataFrame:
        frame = pl.read_parquet(world / party / f"{name}.parquet")
        if party == "truth":
            return frame
        names = manifest["parties"][party]["tables"][name]["columns"]
        return frame.rename({own: canonical for canonical, own in names.items()})

    return table


@pytest.fixture(scope="session")
def all_lenders(read: Callable[[str, str], pl.DataFrame]) -> Callable[[str], pl.DataFrame]:
    """A table of the three lenders, one below the other."""
    return lambda name: pl.concat([read(f"lender-{number}", name) for number in (1, 2, 3)])
