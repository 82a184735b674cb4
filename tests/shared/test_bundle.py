"""The courier bundle: what partners approve by its hash is the courier, and depends on nothing else of the project."""

from __future__ import annotations

import ast
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from paths import ROOT

from sealscore.shared.bundle import COURIER_FILES, build_bundle, courier_app, courier_bundle, write_app

# With the files below. Whoever changes the courier raises `COURIER_VERSION`, and partners approve anew.
SHA256 = "399390c032b391554218e425b5f99caf8a8d78f01d5a73e85d6516cea4ba8261"
FILES = ("clients/__init__.py", "clients/app.py", "clients/courier.py", "clients/frames.py")


def archive(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def built_in(folder: Path) -> str:
    """The hash that a copy of the project gives, in a process of its own."""
    code = "from sealscore.shared.bundle import courier_bundle; print(courier_bundle().sha256)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the project."""
    for house in ("clients", "compliance", "server", "shared"):
        shutil.copytree(ROOT / house, tmp_path / house, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "sealscore", tmp_path / "sealscore", symlinks=True)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


class TestWhatPartnersApprove:
    def test_it_is_these_files_and_a_description(self):
        bundle = courier_bundle()
        assert bundle.files == COURIER_FILES == FILES
        assert set(archive(bundle.content)) == {"pyproject.toml", ".info/CONTENT", *FILES}
        assert bundle.sha256 == hashlib.sha256(bundle.content).hexdigest() == SHA256

    def test_it_is_short_enough_to_be_read(self):
        assert sum(content.count(b"\n") for content in courier_app().values()) <= 300

    def test_it_uses_the_standard_library_and_flower_only(self):
        for name, content in courier_app().items():
            if name.endswith(".py"):
                for node in ast.walk(ast.parse(content)):
                    if isinstance(node, ast.Import):
                        modules = [alias.name for alias in node.names]
                    elif isinstance(node, ast.ImportFrom) and not node.level:
                        modules = [str(node.module)]
                    else:
                        continue
                    outside = {module.split(".")[0] for module in modules} - set(sys.stdlib_module_names)
                    assert outside <= {"flwr"}, name

    def test_nothing_else_of_the_project_changes_it(self, tree: Path):
        for path in [
            *tree.glob("server/**/*.py"),
            *tree.glob("compliance/pages/*.py"),
            tree / "clients" / "node" / "node.py",
        ]:
            path.write_bytes(path.read_bytes() + b"\n# changed\n")
        description = tree / "pyproject.toml"
        text = description.read_text("utf-8")
        changed = text.replace("line-length = 120", "line-length = 100").replace('"numpy>=1.26', '"numpy>=1.27')
        assert len(changed) == len(text)
        assert changed != text
        description.write_text(changed.replace('version = "0.1.0"', 'version = "9.9.9"'), "utf-8")
        for path in tree.glob("clients/*.py"):
            os.utime(path, (1, 1))
            path.chmod(0o755)
        assert built_in(tree) == SHA256

    @pytest.mark.parametrize("name", FILES)
    def test_a_change_of_one_of_its_files_does(self, tree: Path, name: str):
        (tree / name).write_bytes((tree / name).read_bytes() + b"\n")
        assert built_in(tree) != SHA256


class TestFlower:
    def test_would_build_the_same_bytes(self):
        from flwr.cli.build import build_fab_from_files

        for files in (courier_app(), courier_app("other:app", {"rounds": 0}) | {"other.py": b"app = 1\n"}):
            assert build_fab_from_files(files)[0] == build_bundle(files).content

    def test_gets_a_tree_where_its_commands_want_one(self, tmp_path: Path):
        folder = write_app(tmp_path / "app", courier_app())
        found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
        assert found == {"pyproject.toml", *FILES}

    def test_is_told_what_a_run_may_be_told(self):
        """Flower refuses a run's value for a key that the bundle does not declare."""
        declared = tomllib.loads(courier_app()["pyproject.toml"].decode())["tool"]["flwr"]["app"]["config"]
        assert {"home", "action", "plan", "output", "parties", "node-sockets"} == set(declared)

    @pytest.mark.parametrize("word", ['a"b', "a\nb", "a\\b"])
    def test_no_word_breaks_out_of_the_description(self, word: str):
        with pytest.raises(ValueError, match="quoting"):
            courier_app(word)
        with pytest.raises(ValueError, match="quoting"):
            courier_app(config={"plan": word})
