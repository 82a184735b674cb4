"""The folder of the caches: where the environment says, or the system's own place; all caches are below it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sealscore.shared.caches import cache_folder
from sealscore.shared.dp import noise_calibration_cache
from sealscore.simulations.data import creators


def test_the_environment_says_where(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "sealscore"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the place is the system's own")
@pytest.mark.parametrize("empty", [True, False])
def test_by_default_it_is_where_it_has_always_been(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, empty: bool):
    monkeypatch.setenv("HOME", str(tmp_path))
    if empty:
        monkeypatch.setenv("XDG_CACHE_HOME", "")
    else:
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_folder() == tmp_path / ".cache" / "sealscore"


@pytest.mark.parametrize(
    ("path", "below"),
    [
        (noise_calibration_cache.path, "noise.json"),
        (creators._cache, "worlds"),
    ],
)
def test_every_cache_is_in_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, path: Callable[[], Path], below: str):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert path() == tmp_path / "sealscore" / below
