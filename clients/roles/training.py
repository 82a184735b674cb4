"""What a party computes in a training round: one clipped gradient, or noisy local steps of its own."""

from __future__ import annotations

import numpy as np
import torch

from sealscore.clients.roles.context import RoundContext
from sealscore.shared.dp.gradients import ClippedGradientSum
from sealscore.shared.dp.rounding import to_grid
from sealscore.shared.plan.plan import Plan
from sealscore.shared.randomness.sampling import poisson_sample
from sealscore.shared.randomness.streams import Purpose


def _sampled_gradient(
    engine: ClippedGradientSum,
    parameters: np.ndarray,
    codes: torch.Tensor,
    targets: torch.Tensor,
    plan: Plan,
    context: RoundContext,
    step: int,
) -> np.ndarray:
    """Sum of clipped gradients over one Poisson sample, in grid units: int64 [p]."""
    stream = context.stream(Purpose.SAMPLING, step)
    rows = poisson_sample(stream, len(codes), plan.training.sample_rate)
    # numpy takes rows in half the time of torch.
    sampled = torch.from_numpy(codes.numpy().take(rows, axis=0))
    total = engine(parameters, sampled, targets[torch.from_numpy(rows)])
    return to_grid(total, context.mechanism.grid, context.mechanism.bound)


def train_step(
    engine: ClippedGradientSum,
    parameters: np.ndarray,
    codes: torch.Tensor,
    targets: torch.Tensor,
    plan: Plan,
    context: RoundContext,
) -> np.ndarray:
    """What a party answers in a training round: int64 [p] in grid units, from codes [n, width] and targets [n].

    In one-step DP-SGD this is the exact sum, to which the node adds this party's share of the noise.
    """
    if plan.training.local is None:
        return _sampled_gradient(engine, parameters, codes, targets, plan, context, 0)
    return _local_training(engine, parameters, codes, targets, plan, context)


def _local_training(
    engine: ClippedGradientSum,
    parameters: np.ndarray,
    codes: torch.Tensor,
    targets: torch.Tensor,
    plan: Plan,
    context: RoundContext,
) -> np.ndarray:
    """DP-SGD steps at this party with all of the noise at each: FedAvg, and FedProx with its proximal pull.

    Returns int64 [p] in grid units, the step that the party proposes as if it were one gradient sum: with weights
    w0 before and w after, (w0 - w) * sample rate * nominal records / (learning rate * steps). Summed over parties
    and divided by the sample rate and all nominal records it is the average of McMahan et al. (2017), weighted by
    public counts. The proximal term mu (w - w0) is that of Li et al. (2020), and reads no record. Everything after
    the noise is post-processing, so the result may be cut off and needs no more noise.
    """
    local, mechanism = plan.training.local, context.mechanism
    if local is None:
        raise ValueError("the plan has no local steps")
    expected = plan.training.sample_rate * plan.nominal_training(plan.party(context.address.sender))
    weights = parameters.copy()
    for step in range(local.steps):
        exact = _sampled_gradient(engine, weights, codes, targets, plan, context, step)
        noisy = mechanism.noised(exact, context.stream(Purpose.NOISE, step), context.cohort)
        gradient = noisy * mechanism.grid / expected + local.proximal * (weights - parameters)
        weights = weights - local.learning_rate * gradient
    proposed = (parameters - weights) * expected / (local.learning_rate * local.steps)
    return to_grid(proposed, mechanism.grid, mechanism.shape.bound)
