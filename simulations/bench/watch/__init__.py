"""Alerts in quiet months, and what the thresholds of a month cost."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from sealscore.clients.watch.noise.thresholds import HORIZON, thresholds
from sealscore.simulations.bench.watch.quiet import QuietLender, with_alert

LENDERS, SEEDS = 4, 500


def run() -> dict[str, Any]:
    """The share of 2,000 quiet lives with an alert, and what the thresholds of one month cost."""
    lenders = [QuietLender.drawn(seed) for seed in range(LENDERS)]
    alerts = [with_alert(lender, seed, SEEDS) for seed, lender in enumerate(lenders)]
    measures, begun = lenders[0].measures(np.random.default_rng(0)), time.process_time()
    thresholds(measures, HORIZON - 1, range(HORIZON), np.random.default_rng(0))
    return {
        "measures": len(measures),
        "lives": LENDERS * SEEDS,
        "with_alert": sum(alerts),
        "share_with_alert": sum(alerts) / (LENDERS * SEEDS),
        "thresholds_cpu_s": time.process_time() - begun,
    }
