"""Files that another user owns than the folder they are in, and commands of root in another user's folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sealscore.shared.owners import files_of_others, others_words, root_elsewhere

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to other users")
SOMEBODY = 54_321


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "node"
    (made / "keys").mkdir(parents=True)
    for name in ("keys/identity", "ledger.db", "loans.csv"):
        (made / name).touch()
    return made


@AS_ROOT
def test_what_root_left_behind_is_found_by_name(folder: Path):
    for path in (folder, folder / "keys", folder / "keys" / "identity", folder / "ledger.db"):
        os.chown(path, SOMEBODY, -1)
    assert files_of_others(folder, ("keys", "ledger.db", "scores.db")) == {}
    (folder / "keys" / "label-secret").touch()
    found = files_of_others(folder, ("keys", "ledger.db"))
    assert found == {folder / "keys" / "label-secret": 0}
    words = others_words(folder, found)
    assert "keys/label-secret" in words
    assert f"chown -R {SOMEBODY} {folder}" in words


@AS_ROOT
def test_root_works_in_a_folder_of_its_own_alone(folder: Path):
    assert root_elsewhere(folder) is None
    os.chown(folder, SOMEBODY, -1)
    assert str(SOMEBODY) in str(root_elsewhere(folder))


def test_its_owner_is_never_refused(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "geteuid", lambda: SOMEBODY)
    assert root_elsewhere(folder) is None
    assert files_of_others(folder, ("keys", "ledger.db")) == {}
