"""Every file of live federations is in the group of which one test runs at a time."""

from __future__ import annotations

import ast

from paths import ROOT
from scheduling import FEDERATIONS, group_of

# What starts a SuperLink with SuperNodes, or Ray, or is started with it.
STARTERS = {
    "deployment.federated",
    "live.Live",
    "operators.start_server",
    "sealscore.simulations.engine.flower_engine.run_with_flower",
    "sealscore.simulations.sweep.cluster.on_cluster",
}


def starts_a_federation(source: str) -> bool:
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom)]
    return bool({f"{node.module}.{alias.name}" for node in nodes for alias in node.names} & STARTERS)


def test_each_is_in_it_and_no_other():
    files = {path.relative_to(ROOT).as_posix(): path for path in (ROOT / "tests").rglob("test_*.py")}
    assert {name for name, path in files.items() if starts_a_federation(path.read_text("utf-8"))} == set(FEDERATIONS)


def test_files_are_whole():
    assert group_of(f"{FEDERATIONS[0]}::TestX::test_a[1-2]") == group_of(f"{FEDERATIONS[1]}::test_b") == "federations"
    assert group_of("tests/a/test_b.py::TestX::test_a") == group_of("tests/a/test_b.py::test_c[::]")
    assert group_of("tests/a/test_b.py::test_a") != group_of("tests/b/test_b.py::test_a")
