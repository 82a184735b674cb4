"""The plan of the quick start, trained in seconds on a smaller world: one, which the cache keeps for all tests."""

from __future__ import annotations

from pathlib import Path

from sealscore.simulations.data.scenario import PLANS

_QUICK = f"""
extends = "{PLANS / "creators_small.toml"}"

[alignment]
method = "exact"
min_overlap = 50

[training]
rounds = 4
optimizer = {{ learning_rate = 1.0 }}

[simulation]
creators = 6_000
"""


def quick_creators(folder: Path) -> Path:
    """The file of a scenario whose first lender has more than a thousand loans."""
    path = folder / "quick_creators.toml"
    path.write_text(_QUICK, encoding="utf-8")
    return path
