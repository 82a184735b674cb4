"""A run's folder is read whole or not at all, and the message says what is amiss."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import small_plan

from sealscore.compliance.run_figures.record import NotARun, Protection, RunFolder
from sealscore.simulations.engine.enrolment import enrolled


def test_a_run(horizontal: Path):
    run = RunFolder.load(horizontal)
    assert run.plan == enrolled(small_plan())
    assert run.oracle["exact"]["auc"] == 0.7654
    assert run.towers == {}
    assert run.tables.bands["sex"]["m"].shape == (16,)
    assert run.tables.overall.dtype == np.float64
    assert run.tables.noise_std == run.record["score_tables"]["noise_std"] > 0
    assert run.answered("train_tower:lender") == 4
    assert run.answered("nothing:lender") == 0
    assert run.answers_of("lender-1") == 7
    assert run.answers_of("nobody") == 0


def test_towers_come_with_their_groups(vertical: Path):
    run = RunFolder.load(vertical)
    assert sorted(run.towers) == ["video", "wallet"]
    assert [feature.name for feature in run.towers["video"].features] == ["views", "shop"]


def test_without_an_oracle_nothing_is_known_exactly(copy_of: Callable[..., Path], horizontal: Path):
    folder = copy_of(horizontal)
    (folder / "oracle.json").unlink()
    assert RunFolder.load(folder).oracle is None


@pytest.mark.parametrize(
    "name", ["run.json", "plan.json", "rounds.parquet", "model/card.json", "model/model.safetensors"]
)
def test_a_missing_or_broken_file(copy_of: Callable[..., Path], horizontal: Path, name: str):
    folder = copy_of(horizontal)
    (folder / name).write_bytes(b"{")
    with pytest.raises(NotARun, match="holds no whole run"):
        RunFolder.load(folder)
    (folder / name).unlink()
    with pytest.raises(NotARun, match="holds no whole run"):
        RunFolder.load(folder)


def test_a_missing_tower(copy_of: Callable[..., Path], vertical: Path):
    folder = copy_of(vertical)
    (folder / "towers" / "wallet" / "card.json").unlink()
    with pytest.raises(NotARun, match="wallet"):
        RunFolder.load(folder)


def test_an_older_record(copy_of: Callable[..., Path], horizontal: Path):
    folder = copy_of(horizontal)
    record = json.loads((folder / "run.json").read_text())
    del record["score_tables"], record["payloads"]
    (folder / "run.json").write_text(json.dumps(record))
    with pytest.raises(NotARun, match=r"lacks score_tables, payloads: an older run\? Run the plan again"):
        RunFolder.load(folder)


def test_parts_of_another_plan(copy_of: Callable[..., Path], horizontal: Path):
    other = small_plan(seed=8)
    folder = copy_of(horizontal)
    (folder / "plan.json").write_bytes(other.canonical())
    with pytest.raises(NotARun, match=rf"run.json belongs to the plan .*, and plan.json to {other.hash}"):
        RunFolder.load(folder)
    record = json.loads((folder / "run.json").read_text())
    record["plan"]["hash"] = other.hash
    (folder / "run.json").write_text(json.dumps(record))
    with pytest.raises(NotARun, match="model belongs to the plan"):
        RunFolder.load(folder)


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        ({}, (False, False, False)),
        ({"protection": None}, (False, False, False)),
        ({"protection": {"sums": "masked"}}, (True, False, False)),
        ({"protection": {"sums": "plain", "payloads": "sealed", "alignment": "psi"}}, (False, True, True)),
        ({"protection": {"sums": "masked", "payloads": "open", "alignment": "exact"}}, (True, False, False)),
    ],
)
def test_only_what_a_record_states_protects(stated: dict[str, Any], expected: tuple[bool, bool, bool]):
    found = Protection.of(stated)
    assert (found.masked, found.sealed, found.private) == expected
