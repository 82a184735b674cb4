"""Imports go one way, and Flower stays behind its adapters."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from paths import ROOT

HOUSES = ("shared", "compliance", "clients", "server", "simulations")
# What each package may import of the others.
ALLOWED = {
    "shared": {"shared"},
    "compliance": {"compliance", "shared"},
    "clients": {"clients", "shared"},
    "server": {"server", "shared"},
}
ADAPTERS = {
    "server/app.py",
    "server/deploy/control.py",
    "server/deploy/enrolled.py",
    "server/deploy/executor.py",
    "server/deploy/launcher.py",
    "clients/app.py",
    "clients/deploy/connection.py",
    "clients/deploy/executor.py",
    "clients/deploy/launcher.py",
    "simulations/engine/grid.py",
    "simulations/sweep/cluster.py",
}
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


def house(module: str) -> str:
    """The house of a module of the project; an empty string for others."""
    first, _, rest = module.partition(".")
    return rest.split(".")[0] if first == "sealscore" else ""


def test_there_is_something_to_look_at():
    assert {"shared/plan/plan.py", "clients/node/node.py", "server/run/coordinator.py", "simulations/cli.py"} <= set(
        FILES
    )
    assert "sealscore.shared.messages.messages" in set(imported("clients/node/node.py"))


def test_imports_go_one_way():
    for path in FILES:
        home = path.split("/")[0]
        if home in ALLOWED:
            others = {house(module) for module in imported(path)} - {""} | {top(m) for m in imported(path)} & {"tests"}
            assert others <= ALLOWED[home], path


def test_flower_stays_behind_its_adapters():
    for path in FILES:
        uses = any(top(module) in ("flwr", "ray") for module in imported(path))
        assert not uses or path in ADAPTERS or "flower" in Path(path).name, path


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
    assert {(ROOT / "sealscore" / house).resolve() for house in HOUSES} == {ROOT / house for house in HOUSES}
