"""The server's step, against torch's own optimizers and the formulas of the schedule and the average."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sealscore.server.run.tower_fit import ServerOptimizer, averaged
from sealscore.shared.plan.settings import Optimizer

ROUNDS = 12


def steps(plan: Optimizer, gradients: np.ndarray) -> list[np.ndarray]:
    """The iterates of the server's optimizer from zero: gradients float64 [rounds, p]."""
    optimizer = ServerOptimizer(plan, len(gradients), gradients.shape[1])
    weights, found = np.zeros(gradients.shape[1]), []
    for round, gradient in enumerate(gradients, start=1):
        weights = optimizer.step(weights, gradient, round)
        found.append(weights)
    return found


def torch_steps(make: object, schedule: str, gradients: np.ndarray) -> list[np.ndarray]:
    """The same by a torch optimizer, with torch's cosine annealing where the schedule is one."""
    weights = torch.zeros(gradients.shape[1], dtype=torch.float64, requires_grad=True)
    optimizer = make([weights])
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, len(gradients)) if schedule == "cosine" else None
    found = []
    for gradient in gradients:
        weights.grad = torch.from_numpy(gradient.copy())
        optimizer.step()
        if scheduler is not None:
            scheduler.step()
        found.append(weights.detach().numpy().copy())
    return found


def gradients(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 2, (ROUNDS, 5))


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
@settings(max_examples=20)
@given(seed=st.integers(0, 1000), momentum=st.sampled_from([0.0, 0.5, 0.9]), rate=st.floats(0.001, 3))
def test_momentum_is_torchs(schedule, seed, momentum, rate):
    plan = Optimizer(kind="momentum", learning_rate=rate, momentum=momentum, schedule=schedule)
    expected = torch_steps(
        lambda parameters: torch.optim.SGD(parameters, lr=rate, momentum=momentum), schedule, gradients(seed)
    )
    np.testing.assert_allclose(steps(plan, gradients(seed)), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
@settings(max_examples=20)
@given(seed=st.integers(0, 1000), momentum=st.sampled_from([0.0, 0.9]), rate=st.floats(0.001, 3))
def test_adam_is_torchs(schedule, seed, momentum, rate):
    plan = Optimizer(kind="adam", learning_rate=rate, momentum=momentum, second_moment=0.99, schedule=schedule)
    expected = torch_steps(
        lambda parameters: torch.optim.Adam(parameters, lr=rate, betas=(momentum, 0.99), eps=1e-8),
        schedule,
        gradients(seed),
    )
    np.testing.assert_allclose(steps(plan, gradients(seed)), expected, rtol=1e-7, atol=1e-10)


def test_the_first_step_of_adam_is_the_learning_rate_against_the_sign():
    plan = Optimizer(kind="adam", learning_rate=0.25, schedule="constant")
    (first,) = steps(plan, np.array([[3.0, -1e-3, 0.0]]))
    np.testing.assert_allclose(first, [-0.25, 0.25, 0.0], rtol=1e-4)


def test_the_cosine_falls_from_the_rate_to_nearly_nothing_over_the_planned_rounds():
    plan = Optimizer(learning_rate=2.0, schedule="cosine")
    optimizer = ServerOptimizer(plan, 100, 1)
    rates = [optimizer.learning_rate(round) for round in range(1, 101)]
    assert rates[0] == 2.0
    assert rates[50] == pytest.approx(1.0)
    assert rates[-1] == pytest.approx(1 + math.cos(math.pi * 0.99))
    assert all(one > other > 0 for one, other in itertools.pairwise(rates))


def test_a_constant_rate_is_constant():
    optimizer = ServerOptimizer(Optimizer(learning_rate=0.3, schedule="constant"), 10, 1)
    assert {optimizer.learning_rate(round) for round in range(1, 11)} == {0.3}


@pytest.mark.parametrize(("last", "kept"), [(0.0, 1), (0.01, 1), (0.1, 1), (0.25, 2), (0.5, 5), (0.74, 7), (1.0, 10)])
def test_the_average_of_the_last_part(last, kept):
    iterates = [np.array([float(n), -float(n * n)]) for n in range(10)]
    np.testing.assert_allclose(averaged(iterates, last), np.mean(iterates[10 - kept :], axis=0))


def test_the_average_of_one_iterate_is_that():
    assert np.array_equal(averaged([np.array([1.0, 2.0])], 0.5), [1.0, 2.0])


def test_a_step_leaves_the_weights_that_it_was_given():
    weights = np.ones(3)
    ServerOptimizer(Optimizer(), 3, 3).step(weights, np.ones(3), 1)
    assert np.array_equal(weights, np.ones(3))
