"""A role runs with what its extra installs: `pip install 'sealscore[node]'` is enough for a partner, and so on."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement
from paths import ROOT

import sealscore
from sealscore.shared.model.bins import Binning, FeatureBins
from sealscore.shared.model.calibration import Calibration
from sealscore.shared.model.score_model import ScoreModel
from sealscore.shared.model.weights import TowerWeights
from sealscore.shared.plan.schema import NumericFeature
from sealscore.simulations.extras import EXTRAS

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# The house that a role starts in, and the extra that it installs.
ROLES = {"compliance": "", "clients": "node", "server": "server", "simulations": "sim"}
SCRIPTS = {target.split(".")[1]: (name, target) for name, target in PROJECT["scripts"].items()}

# Run before a test's own lines: what other roles install is as good as not installed.
ABSENT = """
import importlib, json, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in absent:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

absent, given = json.load(sys.stdin)
sys.meta_path.insert(0, Absent())
"""


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def declared(extra: str) -> list[Requirement]:
    """What the description of the project says that a role needs: the base, and the extra's own."""
    found = [*PROJECT["dependencies"], *(PROJECT["optional-dependencies"][extra] if extra else ())]
    return [Requirement(line) for line in found]


def needed(requirement: Requirement) -> Iterator[Requirement]:
    """What a distribution asks for in turn, with the extras that are asked of it."""
    if canonical(requirement.name) == PROJECT["name"]:
        for extra in requirement.extras:
            yield from declared(extra)
        return
    try:
        lines = requires(requirement.name) or []
    except PackageNotFoundError:  # what another platform needs
        return
    for line in map(Requirement, lines):
        if line.marker is None or any(line.marker.evaluate({"extra": extra}) for extra in ("", *requirement.extras)):
            yield line


# What the extra `fast` compiles; numpy does the same where it is not there.
OPTIONAL = {ROOT / "simulations/engine/fast/compiled.py", ROOT / "shared/model/additive/compiled.py"}


@cache
def installed(extra: str) -> frozenset[str]:
    """Every distribution that `pip install 'sealscore[extra]'` brings, by its canonical name."""
    left, seen = declared(extra), set()
    while left:
        requirement = left.pop()
        if str(requirement) not in seen:
            seen.add(str(requirement))
            left += needed(requirement)
    return frozenset({canonical(Requirement(line).name) for line in seen} | {PROJECT["name"]})


def absent(extra: str) -> set[str]:
    """The packages that can be imported here and that the extra does not bring."""
    there = installed(extra)
    return {
        package
        for package, distributions in packages_distributions().items()
        if not any(canonical(name) in there for name in distributions)
    }


def files_of(house: str) -> list[Path]:
    """The files of a house, but for what is passed over where it cannot be imported."""
    return [path for path in (ROOT / house).rglob("*.py") if path not in OPTIONAL]


def modules_of(house: str) -> list[str]:
    """The names of the modules of a house, but for what runs when it is imported."""
    files = (path.relative_to(ROOT).with_suffix("") for path in files_of(house))
    names = (".".join(["sealscore", *path.parts]).removesuffix(".__init__") for path in files)
    return sorted(name for name in names if not name.endswith(".__main__"))


def imports(file: Path) -> Iterator[str]:
    """The packages that a file imports, in functions too; not what is for type checkers alone."""
    left: list[ast.AST] = [ast.parse(file.read_text(encoding="utf-8"))]
    while left:
        node = left.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield str(node.module).partition(".")[0]
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            left += node.orelse
        else:
            left += ast.iter_child_nodes(node)


def run_with(extra: str, lines: str, given: object) -> str:
    """What a Python with this extra alone writes when it runs these lines; `given` is there under that name."""
    command = [sys.executable, "-W", "ignore", "-c", ABSENT + lines]
    told = json.dumps([sorted(absent(extra)), given])
    done = subprocess.run(command, input=told, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(("house", "extra"), ROLES.items())
def test_its_modules_and_its_command_need_nothing_of_other_roles(house: str, extra: str):
    lines = """
script, (module, function), modules = given
for name in modules:
    importlib.import_module(name)
sys.argv = [script, "--help"]
getattr(importlib.import_module(module), function)()
"""
    script, target = SCRIPTS[house]
    assert script in run_with(extra, lines, [script, target.split(":"), modules_of(house)])


@pytest.mark.parametrize(("house", "extra"), ROLES.items())
def test_what_it_imports_when_it_is_used_is_installed_too(house: str, extra: str):
    found = {package for file in files_of(house) for package in imports(file)}
    assert "typer" in found
    # A module asks for these by `optional`, which says what to install; type checkers see them.
    assert found & absent(extra) == set()
    here = EXTRAS.keys() & packages_distributions().keys()
    assert here <= absent(extra)
    assert all(package not in absent(name) for package, name in EXTRAS.items())


def test_plans_and_models_need_the_base_alone(tmp_path: Path):
    bins = Binning((FeatureBins(NumericFeature(name="x", lower=0, upper=1), (0.5,), (0.5, 0.5)),))
    weights = TowerWeights(np.array([1.0, 0.5]), width=1, hidden=0)
    model = ScoreModel([part.feature for part in bins.features], bins, weights, Calibration(), {})
    model.save(tmp_path)
    lines = """
import numpy, sealscore
pd = sealscore.load_model(given).pd({"x": numpy.array([0.75])})
print(sealscore.plan("creators_small").hash, pd[0])
"""
    told = run_with("", lines, str(tmp_path)).split()
    assert told == [sealscore.plan("creators_small").hash, str(model.pd({"x": np.array([0.75])})[0])]


@pytest.mark.parametrize(
    ("extra", "without"),
    [
        ("", {"torch", "flwr", "scikit-learn", "xgboost", "ray", "opendp"}),
        ("node", {"scikit-learn", "snownlp", "xgboost", "ray", "opendp"}),
        ("server", {"scikit-learn", "snownlp", "openmined-psi", "phonenumbers", "psycopg", "xgboost", "ray", "opendp"}),
        ("sim", {"opendp", "pytest"}),
    ],
)
def test_nobody_installs_what_is_heavy_and_not_needed(extra: str, without: set[str]):
    assert without <= installed("dev")
    assert not installed(extra) & without


@pytest.mark.parametrize(("page", "extra"), [("partner.md", "node"), ("server.md", "server")])
def test_the_guides_install_the_extra_of_their_reader(page: str, extra: str):
    commands = re.findall(r"pip install .*SOURCE(?:\[(\w+)\])?", (ROOT / "docs" / page).read_text(encoding="utf-8"))
    assert commands == [extra]
