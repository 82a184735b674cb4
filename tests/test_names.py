"""A name of a class stands once in the code base."""

from __future__ import annotations

import ast
from collections import defaultdict

from paths import ROOT

HOUSES = ("sealscore", "shared", "compliance", "clients", "server", "simulations")


def test_no_two_classes_have_one_name():
    """Private ones and those within functions too."""
    found: dict[str, list[str]] = defaultdict(list)
    # Links are not followed: each house is looked through once.
    for path in (path for house in HOUSES for path in (ROOT / house).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                found[node.name].append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert {"Plan", "Node", "Coordinator", "Verification"} <= set(found)
    assert not {name: places for name, places in found.items() if len(places) > 1}
