"""The app bundle: the same tree gives the same bytes, and nothing else of the tree gets in."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import zipfile
from pathlib import Path

import pytest

from server.deploy.bundle import BundleError, build_bundle, bundle_files

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small tree with the project's own description."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for name in bundle_files(ROOT):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"# {name}\n")
    return tmp_path


def test_the_same_tree_gives_the_same_bytes_wherever_it_lies(tree: Path, tmp_path_factory: pytest.TempPathFactory):
    first = build_bundle(tree)
    copy = tmp_path_factory.mktemp("copy") / "elsewhere"
    shutil.copytree(tree, copy)
    for path in copy.rglob("*.py"):
        os.utime(path, (1, 1))
        path.chmod(0o755)
    (copy / ".gitignore").write_text("server/\n")
    second = build_bundle(copy)
    assert second == first
    assert first.sha256 == hashlib.sha256(first.content).hexdigest()


def test_a_change_of_one_file_changes_the_hash(tree: Path):
    before = build_bundle(tree).sha256
    (tree / "clients" / "app.py").write_text("# other\n")
    assert build_bundle(tree).sha256 != before


def test_it_holds_the_courier_and_nothing_of_the_node(tree: Path):
    (tree / "clients" / "node.py").write_text("secret = 1\n")
    (tree / "data").mkdir()
    (tree / "data" / "loans.json").write_text("{}")
    bundle = build_bundle(tree)
    names = set(zipfile.ZipFile(io.BytesIO(bundle.content)).namelist())
    assert {"pyproject.toml", "clients/app.py", "server/app.py"} <= names
    assert names - {"pyproject.toml", ".info/CONTENT"} == set(bundle.files)
    assert "clients/node.py" not in names
    assert not any(name.startswith("data") for name in names)


def test_the_projects_own_bundle_fits_flower():
    bundle = build_bundle()
    assert len(bundle.content) < 10_000_000
    assert {"server/app.py", "clients/app.py", "shared/plan.py"} <= set(bundle.files)


class TestErrors:
    def test_no_source_tree(self, tmp_path: Path):
        with pytest.raises(BundleError, match="clone it"):
            build_bundle(tmp_path)

    def test_a_pattern_that_matches_nothing(self, tree: Path):
        (tree / "clients" / "courier.py").unlink()
        with pytest.raises(BundleError, match=r"'clients/courier\.py' matches no file"):
            build_bundle(tree)

    def test_no_patterns(self, tmp_path: Path):
        (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\n")
        with pytest.raises(BundleError, match="names no files"):
            build_bundle(tmp_path)
