"""A client-round of the sealed in-process engine against a bare Opacus loop: 10 lenders of 3,000 records, one core.

`research.fixed_work` has the work of both. `ratio` is the CPU of one step of the loop over that of one lender's part of
a round: messages, seals, masks, ledgers and the server's step are counted.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch

from sealscore.simulations.bench.research.fixed_work import RoundClock, opacus_seconds, plan_of, records_of
from sealscore.simulations.engine.federation import Federation

LENDERS, RECORDS, ROUNDS = 10, 3_000, 24


def run() -> dict[str, Any]:
    """`ratio`, and milliseconds of CPU of both sides for one lender and round."""
    torch.set_num_threads(1)
    plan, clock = plan_of(LENDERS, RECORDS, ROUNDS), RoundClock()
    with tempfile.TemporaryDirectory() as folder:
        federation = Federation.of(plan, records_of(plan, RECORDS), None, Path(folder) / "ledgers")
        federation.run(Path(folder) / "run", clock)
    opacus, own = opacus_seconds(RECORDS), clock.seconds / LENDERS
    return {"ratio": opacus / own, "opacus_ms": 1e3 * opacus, "sealed_ms": 1e3 * own, "lenders": LENDERS}
