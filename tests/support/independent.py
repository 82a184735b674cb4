"""Epsilon once more, from what entries say, with dp-accounting alone: none of the project's accounting is used.

Events are plain data, as they stand in a ledger's file.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from dp_accounting.pld import privacy_loss_distribution as pld

GRID = 1e-3


def loss_of(event: Mapping[str, Any], times: int = 1) -> Any:
    """The privacy loss distribution of an event that happened so often."""
    return _loss(json.dumps(event, sort_keys=True), times)


@lru_cache(maxsize=64)
def _loss(text: str, times: int) -> Any:
    event = json.loads(text)
    count = event["count"] * times
    if event["kind"] == "gaussian":
        # Gaussians compose to one of the squares' sum.
        deviation = event["noise_multiplier"] / event["sensitivity"] / math.sqrt(count)
        return pld.from_gaussian_mechanism(deviation, value_discretization_interval=GRID)
    if event["kind"] == "sampled-gaussian":
        return _sampled(event, count)
    if event["kind"] == "randomized-response":
        flipped = 2 / (1 + math.exp(event["epsilon"]))
        single = pld.from_randomized_response(flipped, 2, value_discretization_interval=GRID)
        return single.self_compose(count)
    raise AssertionError(f"no loss is known here of {event['kind']}")


def _sampled(event: Mapping[str, Any], count: int) -> Any:
    deviation, rate, most = event["noise_multiplier"], event["sample_rate"], event["multiplicity"]
    if rate == 1.0:
        return pld.from_gaussian_mechanism(deviation / most / math.sqrt(count), value_discretization_interval=GRID)
    if most == 1:
        single = pld.from_gaussian_mechanism(deviation, value_discretization_interval=GRID, sampling_prob=rate)
        return single.self_compose(count)
    weights = [math.comb(most, k) * rate**k * (1 - rate) ** (most - k) for k in range(most + 1)]
    single = pld.from_mixture_gaussian_mechanism(
        deviation, sensitivities=range(most + 1), sampling_probs=weights, value_discretization_interval=GRID
    )
    return single.self_compose(count)


def composed(events: Iterable[tuple[Mapping[str, Any], int]], delta: float) -> float:
    """Epsilon at delta of (event, how often), composed."""
    losses = [loss_of(event, times) for event, times in events if times]
    if not losses:
        return 0.0
    total = losses[0]
    for loss in losses[1:]:
        total = total.compose(loss)
    return float(total.get_epsilon_for_delta(delta))
