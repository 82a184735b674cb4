"""Builds of the project from a folder that has a part of its tree."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from paths import ROOT

HOUSES = sorted(path.name for path in (ROOT / "sealscore").iterdir() if path.is_symlink())
# All that a wheel is built of.
SOURCE_TREE = ("pyproject.toml", "README.md", "LICENSE", "sealscore", *HOUSES)


def run(command: list[str], folder: Path, given: str | None = None) -> str:
    """What a command writes that ends well in a folder."""
    done = subprocess.run(command, cwd=folder, input=given, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def copy_tree(names: Iterable[str], folder: Path) -> Path:
    """A copy of these files and folders of the root, links as links.

    Building leaves files in a tree, and reads what an earlier build left there.
    """
    folder.mkdir()
    for name in names:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=ignored)
        else:
            shutil.copy(ROOT / name, folder)
    return folder


def build_wheel(source: Path, out: Path) -> Path:
    """The wheel of a tree, by what is installed here: nothing is fetched."""
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--wheel-dir", str(out)]
    run([sys.executable, "-m", "pip", "wheel", *options, str(source)], source)
    (wheel,) = out.glob("*.whl")
    return wheel
