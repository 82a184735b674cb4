"""Whatever the umask, what is written of persons is its owner's alone."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from sealscore.clients.features import Settings, build_table

TODAY = date(2024, 12, 1)


def modes(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.rglob("*"))}


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o277])
def test_files_and_folders_of_a_build(lay: Callable[..., Path], tmp_path: Path, umask: int):
    papers = pl.read_parquet(lay("lender") / "applications.parquet")
    later = pl.when(pl.int_range(pl.len()) == 3).then(date(1970, 1, 1)).otherwise("applied_at").alias("applied_at")
    folder = lay("lender", applications=papers.with_columns(later))
    out = tmp_path / "new" / "below" / "out"
    before = os.umask(umask)
    try:
        build_table(folder, "lender", out, TODAY, Settings(most_rejected=0.1))
        build_table(folder, "lender", out, TODAY, Settings(most_rejected=0.1))
    finally:
        os.umask(before)
    found = modes(tmp_path / "new")
    files = {"features.parquet", "flags.parquet", "rejected/faults.csv", "rejected/applications.parquet"}
    assert {name for name, mode in found.items() if mode == 0o600} == {f"below/out/{name}" for name in files}
    assert {mode for name, mode in found.items() if f"{name}".removeprefix("below/out/") not in files} == {0o700}


def test_a_folder_that_is_there_keeps_its_mode(lay: Callable[..., Path], tmp_path: Path):
    out = tmp_path / "shared"
    out.mkdir(mode=0o750)
    out.chmod(0o750)
    (out / "features.parquet").touch(mode=0o644)
    build_table(lay("wallet"), "wallet", out, TODAY)
    assert modes(out) == {".": 0o750, "features.parquet": 0o600}
