"""A private step against a plain one: batch 256 of 10,000 records, MLP 40-64-32-1, one core.

Plain: gather, forward, backward of the mean loss, SGD. Private: gather, fused clipped sum, divide, the same SGD on
the flat weights that a server keeps; with noise, a draw of the discrete Gaussian on a grid is added. The sides take
turns within one run and the medians of a step are compared.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import nn

from sealscore.shared.dp.gradients import gradient_engine
from sealscore.shared.dp.mechanisms import to_grid
from sealscore.shared.dp.rounding import grid_for
from sealscore.shared.model.tower import cross_entropy, flatten, parameter_count
from sealscore.shared.randomness.noise import FastDiscreteGaussian
from sealscore.shared.randomness.streams import Purpose, StreamSource

RECORDS, FEATURES, BATCH = 10_000, 40, 256
RATE, CLIP, NOISE = 0.05, 1.0, 1.0
TURNS, STEPS = 30, 10

Step = Callable[[torch.Tensor], None]


def _model(dtype: torch.dtype) -> nn.Sequential:
    layers = nn.Linear(FEATURES, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 1)
    return nn.Sequential(*layers).to(dtype)


def _plain(codes: torch.Tensor, targets: torch.Tensor) -> Step:
    model = _model(codes.dtype)
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE)

    def step(rows: torch.Tensor) -> None:
        optimizer.zero_grad()
        cross_entropy(model(codes[rows]).view(-1), targets[rows]).mean().backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


def _private(codes: torch.Tensor, targets: torch.Tensor, noise: bool) -> Step:
    model = _model(codes.dtype)
    engine = gradient_engine("fused", model, cross_entropy, CLIP, codes.dtype)
    weights, grid = flatten(model), grid_for(CLIP, parameter_count(model))
    bound, scale = round(BATCH * CLIP / grid), NOISE * CLIP / grid
    source, sampler, drawn = StreamSource.seeded(0, "bench"), FastDiscreteGaussian(), 0

    def step(rows: torch.Tensor) -> None:
        nonlocal weights, drawn
        total = engine(weights, codes[rows], targets[rows])
        if noise:
            stream = source.stream("bench", "train", drawn, 0, "bench", Purpose.NOISE)
            total = (to_grid(total, grid, bound) + sampler.sample(stream, scale, len(total))) * grid
            drawn += 1
        weights = weights - RATE * (total / BATCH)

    return step


def _medians(sides: dict[str, Step]) -> dict[str, float]:
    """Median milliseconds of a step of each side, the sides taking turns."""
    generator = torch.Generator().manual_seed(0)
    batches = [torch.randperm(RECORDS, generator=generator)[:BATCH] for _ in range(STEPS)]
    spent: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(TURNS + 3):
        for name, step in sides.items():
            for rows in batches:
                start = time.perf_counter()
                step(rows)
                if turn >= 3:  # the first turns warm caches and lazy imports
                    spent[name].append(1000 * (time.perf_counter() - start))
    return {name: median(times) for name, times in spent.items()}


def run() -> dict[str, Any]:
    """`ratio` and `ratio_with_noise` in float32; the same in float64, in which a real node works, beside them."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        result: dict[str, Any] = {"parameters": parameter_count(_model(torch.float32)), "batch": BATCH}
        for suffix, dtype in (("", torch.float32), ("_float64", torch.float64)):
            draws = np.random.default_rng(0)
            codes = torch.from_numpy(draws.standard_normal((RECORDS, FEATURES))).to(dtype)
            targets = torch.from_numpy((draws.random(RECORDS) < 0.2).astype(np.float64)).to(dtype)
            sides = {
                "plain": _plain(codes, targets),
                "private": _private(codes, targets, noise=False),
                "private_with_noise": _private(codes, targets, noise=True),
            }
            spent = _medians(sides)
            result[f"ratio{suffix}"] = spent["private"] / spent["plain"]
            result[f"ratio_with_noise{suffix}"] = spent["private_with_noise"] / spent["plain"]
            result |= {f"{name}_ms{suffix}": value for name, value in spent.items()}
        return result
    finally:
        torch.set_num_threads(threads)
