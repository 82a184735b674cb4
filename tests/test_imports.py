"""Imports: the contracts of pyproject.toml, no circles, one name for each module."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter

import grimp
import pytest
from paths import ROOT

HOUSES = ("shared", "compliance", "clients", "server", "simulations")
# The courier imports its neighbours relatively: in the bundle there is no `sealscore`.
BUNDLED = {"clients/app.py", "clients/courier.py"}
FILES = sorted(path.relative_to(ROOT).as_posix() for house in HOUSES for path in (ROOT / house).rglob("*.py"))


TESTS = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("*.py"))


def imported(path: str) -> Iterator[str]:
    """Every module that a file imports, anywhere in it: in functions and under TYPE_CHECKING too."""
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 or path in BUNDLED, f"{path} imports relatively, which this test does not follow"
            module = f"sealscore.clients.{node.module}" if node.level else str(node.module)
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def top(module: str) -> str:
    return module.split(".")[0]


def test_there_is_something_to_look_at():
    assert {"shared/plan/plan.py", "clients/node/node.py", "server/run/coordinator.py", "simulations/cli.py"} <= set(
        FILES
    )
    assert "sealscore.shared.messages.messages" in set(imported("clients/node/node.py"))


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    """Every import between modules of the project, those in functions and under TYPE_CHECKING too."""
    return grimp.build_graph("sealscore", cache_dir=None)


def test_the_contracts_of_pyproject_hold():
    """Imports go one way, and Flower stays behind its adapters."""
    # In a process of its own: import-linter writes to the stream that it found when it was imported.
    code = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True, no_logo=True))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_contracts_see_every_module(graph: grimp.ImportGraph):
    named = {"sealscore." + path.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for path in FILES}
    assert graph.modules == named | {"sealscore"}


def test_no_imports_go_in_a_circle(graph: grimp.ImportGraph):
    """`sealscore` itself is the public API: its functions look down on modules that ask where the package lies."""
    modules = graph.modules - {"sealscore"}
    TopologicalSorter({name: graph.find_modules_directly_imported_by(name) & modules for name in modules}).prepare()


def test_no_folder_is_crowded():
    for folder in {(ROOT / path).parent for path in FILES}:
        assert len([path for path in folder.glob("*.py") if path.name != "__init__.py"]) <= 12, folder


def test_no_name_of_a_module_is_hidden_in_a_string():
    """`importlib.import_module` and the like would go round this test."""
    for path in FILES:
        if not path.startswith("simulations/"):
            assert not {"importlib", "importlib.import_module", "pkgutil", "runpy"} & set(imported(path)), path


def test_no_module_is_imported_under_a_second_name():
    """`import shared` works in the root of the tree, and would be a second copy of each module."""
    for path in [*FILES, *TESTS]:
        assert not {top(module) for module in imported(path)} & set(HOUSES), path
    for path in FILES:
        assert "tests" not in {top(module) for module in imported(path)}, path
    assert {(ROOT / "sealscore" / house).resolve() for house in HOUSES} == {ROOT / house for house in HOUSES}
