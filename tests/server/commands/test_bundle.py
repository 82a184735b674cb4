"""`sealscore-server bundle`: the file whose hash plans name."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from homes import BUNDLE, BUNDLE_BYTES, Said, Town

import sealscore.shared.bundle
from sealscore.shared.bundle import Bundle, courier_bundle
from sealscore.shared.text.foreign import grouped

Server = Callable[..., Said]


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealscore.shared.bundle, "courier_bundle", lambda: Bundle(BUNDLE_BYTES, BUNDLE, ()))


def test_writes_what_plans_are_signed_with(server: Server, tmp_path: Path):
    said = server("bundle", "-o", tmp_path / "app.fab")
    found = hashlib.sha256((tmp_path / "app.fab").read_bytes()).hexdigest()
    assert (said.code, found) == (0, courier_bundle().sha256)
    assert grouped(found) in said.text
    assert [path.name for path in tmp_path.iterdir()] == ["app.fab"]


def test_can_be_held_against_a_plan(server: Server, town: Town, built: None, tmp_path: Path):
    given = ("--plan", "small", "--home", town.server.folder)
    assert server("bundle", "-o", tmp_path / "app.fab", *given).code == 0
    assert (tmp_path / "app.fab").read_bytes() == BUNDLE_BYTES


@pytest.mark.parametrize("name", ["small", "none"])
def test_another_plans_is_not_written(server: Server, town: Town, tmp_path: Path, name: str, control: Any):
    plan = town.plan.replace(bundle="5e" * 32)
    (town.server.plans / "small.json").write_bytes(plan.canonical())
    said = server("bundle", "-o", tmp_path / "other" / "app.fab", "--plan", name, "--home", town.server.folder)
    assert said.code == 2
    assert name == "none" or f"{grouped('5e' * 32)} and that of this version is {grouped(BUNDLE)}" in said.text


def test_a_folder_that_is_not_there(server: Server, built: None, tmp_path: Path):
    said = server("bundle", "-o", tmp_path / "other" / "app.fab")
    assert (said.code, "cannot be written" in said.text) == (2, True)
