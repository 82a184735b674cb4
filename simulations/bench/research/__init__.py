"""A client-round of the research engine against a bare Opacus loop: 100 lenders of 300 records, one core.

`fixed_work` has the work of both. `ratio` is the CPU of one step of the loop over that of one lender's part of a
round: sampling, clipped sum, rounding, noise, addition and the server's step. The sides take turns.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from sealscore.simulations.bench.research.fixed_work import RoundClock, opacus_seconds, plan_of, records_of
from sealscore.simulations.engine.fast.federation import FastFederation

LENDERS, RECORDS, ROUNDS, STEPS = 100, 300, 154, 60


def run() -> dict[str, Any]:
    """`ratio`, and microseconds of CPU of both sides for one lender and round."""
    torch.set_num_threads(1)
    plan, clock = plan_of(LENDERS, RECORDS, ROUNDS), RoundClock(lambda: opacus_seconds(RECORDS, STEPS))
    federation = FastFederation.of(plan, records_of(plan, RECORDS))
    with tempfile.TemporaryDirectory() as folder:
        federation.run(Path(folder), clock)
    opacus, own = fmean(clock.others), clock.seconds / LENDERS
    return {"ratio": opacus / own, "opacus_us": 1e6 * opacus, "fast_us": 1e6 * own, "lenders": LENDERS}
