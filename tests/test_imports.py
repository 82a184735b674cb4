"""Imports go one way, Flower stays behind its adapters, and the bundle that Flower ships is whole and holds no node."""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("shared", "clients", "server", "simulations")
# What each package may import of the others.
ALLOWED = {"shared": {"shared"}, "clients": {"clients", "shared"}, "server": {"server", "shared"}}
ADAPTERS = {
    "server/app.py",
    "server/deploy/bundle.py",
    "server/deploy/control.py",
    "server/deploy/enrolled.py",
    "server/deploy/executor.py",
    "server/deploy/launcher.py",
    "clients/app.py",
    "clients/deploy/connection.py",
    "clients/deploy/executor.py",
    "clients/deploy/launcher.py",
    "simulations/grid.py",
    "simulations/sweep/cluster.py",
}
FILES = sorted(path.relative_to(ROOT).as_posix() for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def imported(path: str) -> Iterator[str]:
    """Every module that a file imports, anywhere in it: in functions and under TYPE_CHECKING too."""
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively, which this test does not follow"
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def top(module: str) -> str:
    return module.split(".")[0]


def test_there_is_something_to_look_at():
    assert {"shared/plan.py", "clients/node.py", "server/coordinator.py", "simulations/cli.py"} <= set(FILES)
    assert "shared.messages" in set(imported("clients/node.py"))


@pytest.mark.parametrize("path", [path for path in FILES if not path.startswith("simulations/")])
def test_imports_go_one_way(path: str):
    package = top(path.replace("/", "."))
    others = {top(module) for module in imported(path)} & {*PACKAGES, "tests"}
    assert others <= ALLOWED[package]


@pytest.mark.parametrize("path", FILES)
def test_flower_stays_behind_its_adapters(path: str):
    uses = any(top(module) in ("flwr", "ray") for module in imported(path))
    assert not uses or path in ADAPTERS or "flower" in Path(path).name


def test_no_name_of_a_module_is_hidden_in_a_string():
    """`importlib.import_module` and the like would go round this test."""
    for path in FILES:
        if not path.startswith("simulations/"):
            assert not {"importlib", "importlib.import_module", "pkgutil", "runpy"} & set(imported(path)), path


@pytest.fixture(scope="module")
def bundle() -> set[str]:
    """The files that Flower carries to every node."""
    app = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["flwr"]["app"]
    return {path.relative_to(ROOT).as_posix() for pattern in app["fab-include"] for path in ROOT.glob(pattern)}


class TestBundle:
    """The courier, and nothing of the partner's own."""

    def test_holds_the_apps_and_no_node(self, bundle: set[str]):
        assert {"server/app.py", "server/entry.py", "clients/app.py"} <= bundle
        assert "clients/node.py" not in bundle
        assert not any(path.startswith(("clients/data/", "simulations/", "tests/")) for path in bundle)

    def test_everything_that_it_imports_is_in_it(self, bundle: set[str]):
        absent = set()
        for path in bundle:
            for module in imported(path):
                if top(module) in PACKAGES:
                    place = module.replace(".", "/")
                    known = {f"{place}.py", f"{place}/__init__.py"} & set(FILES)
                    absent |= {(path, missing) for missing in known - bundle}
        assert absent == set()

    def test_the_courier_uses_the_standard_library_and_flower_only(self, bundle: set[str]):
        for path in bundle:
            if path.startswith("clients/"):
                outside = {top(module) for module in imported(path)} - set(sys.stdlib_module_names)
                assert outside <= {"clients", "flwr"}, path
