"""The texts that the code looks up in the catalogue."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from paths import ROOT

HOUSES = ("clients", "compliance", "server", "shared", "simulations")


def used() -> Iterator[tuple[str, ...]]:
    """The texts that the code looks up: one, or the singular and the plural."""
    for house in HOUSES:
        for file in sorted((ROOT / house).rglob("*.py")):
            source = file.read_text(encoding="utf-8")
            if "text.catalogue import" not in source:
                continue
            for call in ast.walk(ast.parse(source)):
                name = call.func.id if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) else ""
                if isinstance(call, ast.Call) and name in ("tr", "marked", "trn"):
                    texts = call.args[: 2 if name == "trn" else 1]
                    constant = [one.value for one in texts if isinstance(one, ast.Constant)]
                    # `tr` of a constant that was marked elsewhere has none here.
                    if constant:
                        yield tuple(str(one) for one in constant)
