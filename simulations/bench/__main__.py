"""Run one benchmark by its name: a small table, or with --json one object on one line."""

from __future__ import annotations

import argparse
import importlib
import json
import pkgutil
from typing import Any

import sealscore.simulations.bench


def names() -> list[str]:
    """The benchmarks there are: the modules of this package."""
    return sorted(
        info.name for info in pkgutil.iter_modules(sealscore.simulations.bench.__path__) if info.name[0] != "_"
    )


def show(result: dict[str, Any]) -> str:
    """The figures of a benchmark, one a line."""
    width = max(len(name) for name in result)
    figures = {name: f"{value:.3f}" if isinstance(value, float) else str(value) for name, value in result.items()}
    return "\n".join(f"{name:<{width}}  {figure}" for name, figure in figures.items())


def main(arguments: list[str] | None = None) -> int:
    """Run and print; 2 where there is no benchmark of that name."""
    parser = argparse.ArgumentParser(prog="python -m sealscore.simulations.bench", description=__doc__)
    parser.add_argument("name", choices=names(), help="which benchmark")
    parser.add_argument("--json", action="store_true", help="print one JSON object on one line")
    given = parser.parse_args(arguments)
    result = importlib.import_module(f"sealscore.simulations.bench.{given.name}").run()
    print(json.dumps(result, sort_keys=True) if given.json else show(result))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
