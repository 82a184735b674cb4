"""What is built of the tree, and of its source distribution, is the whole of `sealscore` and nothing beside it."""

from __future__ import annotations

import json
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from paths import ROOT
from wheels import HOUSES, SOURCE_TREE, build_wheel, copy_tree, run

import sealscore
from sealscore.shared.bundle import courier_bundle

pytestmark = pytest.mark.slow

# A user's own packages, as any folder may hold them.
FOREIGN = ("shared", "clients", "server")

LOOK = """
import importlib, json, sys
import sealscore
from sealscore.shared.bundle import courier_bundle

modules, foreign = json.load(sys.stdin)
for name in modules:
    importlib.import_module(name)
told = [courier_bundle().sha256, sealscore.plan("creators_small").hash, sorted(set(foreign) & set(sys.modules))]
print(json.dumps([sealscore.__file__, *told]))
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_tree(SOURCE_TREE, tmp_path_factory.mktemp("build") / "tree")


@pytest.fixture(scope="module")
def sdist(tree: Path) -> Path:
    """The source distribution, unpacked."""
    build = "import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])"
    run([sys.executable, "-c", build, str(tree.parent)], tree)
    (packed,) = tree.parent.glob("*.tar.gz")
    with tarfile.open(packed) as archive:
        assert all(member.isfile() or member.isdir() for member in archive)
        archive.extractall(tree.parent, filter="data")
    return tree.parent / packed.name.removesuffix(".tar.gz")


@pytest.fixture(scope="module", params=["tree", "sdist"])
def wheel(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(request.getfixturevalue(request.param), tmp_path_factory.mktemp("wheel"))


def test_it_has_every_file_of_the_houses_and_no_other(wheel: Path):
    folders = [(ROOT / "sealscore", "sealscore"), *((ROOT / house, f"sealscore/{house}") for house in HOUSES)]
    wanted = {
        f"{name}/{file.relative_to(folder).as_posix()}": file.read_bytes()
        for folder, name in folders
        for file in folder.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    with zipfile.ZipFile(wheel) as archive:
        found = {name: archive.read(name) for name in archive.namelist() if ".dist-info/" not in name}
    assert {"sealscore/py.typed", "sealscore/shared/plan/plan.py"} <= found.keys()
    assert found.keys() == wanted.keys()
    assert [name for name in found if found[name] != wanted[name]] == []


def test_it_works_beside_packages_of_the_same_names(wheel: Path, tmp_path: Path):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    for name in FOREIGN:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('a package of somebody else')\n")
    modules = [f"sealscore.{house}" for house in HOUSES]
    modules += [f"sealscore.{house}.cli" for house in HOUSES if house != "shared"]
    given = json.dumps([modules, FOREIGN])
    told = json.loads(run([sys.executable, "-W", "ignore", "-c", LOOK], tmp_path, given))
    assert told == [
        str(tmp_path / "sealscore" / "__init__.py"),
        courier_bundle().sha256,
        sealscore.plan("creators_small").hash,
        [],
    ]
