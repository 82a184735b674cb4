"""The process of `bench many`: lenders, records and rounds as arguments."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from sealscore.simulations.bench.research.fixed_work import plan_of, records_of
from sealscore.simulations.engine.fast.federation import FastFederation


def main(lenders: int, records: int, rounds: int) -> None:
    """Run the plan once and throw its results away."""
    plan = plan_of(lenders, records, rounds)
    with tempfile.TemporaryDirectory() as folder:
        FastFederation.of(plan, records_of(plan, records)).run(Path(folder) / "run")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
