"""The reference engine: per-record gradients from Opacus's hooks, clipped by its optimizer."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from opacus import GradSampleModule
from opacus.optimizers import DPOptimizer
from torch import nn

from sealscore.shared.model.tower import Loss, load_flat, own_copy
from sealscore.shared.model.weights import admissible


class OpacusGradientSum:
    """Opacus's `GradSampleModule` and the clipping of its `DPOptimizer`, which adds no noise here.

    Opacus itself would let one record with a NaN spoil the whole sum; such records are set to zero between the two.
    """

    def __init__(self, module: nn.Module, loss: Loss, clip_norm: float, dtype: torch.dtype) -> None:
        copied = own_copy(module, dtype).train().requires_grad_(True)
        self._module = GradSampleModule(copied, loss_reduction="sum")
        self._loss, self._dtype = loss, dtype
        # Opacus hangs grad_sample and summed_grad on the parameters, of which their type knows nothing.
        self._parameters: list[Any] = list(copied.parameters())
        self._copied = copied
        self._optimizer = DPOptimizer(
            torch.optim.SGD(self._parameters, lr=0.0),
            noise_multiplier=0.0,
            max_grad_norm=clip_norm,
            expected_batch_size=None,
            loss_reduction="sum",
        )

    def __call__(self, parameters: np.ndarray, codes: torch.Tensor, targets: torch.Tensor) -> np.ndarray:
        """As `ClippedGradientSum`."""
        load_flat(self._copied, admissible(parameters))
        # Hooks on a first layer whose input needs no gradient still work, but torch warns of them in every step.
        watched = codes.detach().to(self._dtype).requires_grad_()
        losses = self._loss(self._module(watched).view(-1), targets.to(self._dtype))
        torch.autograd.backward(losses.sum())
        self._drop_records_that_are_not_finite()
        self._optimizer.clip_and_accumulate()
        total = torch.cat([parameter.summed_grad.reshape(-1) for parameter in self._parameters])
        self._optimizer.zero_grad(set_to_none=True)
        return np.asarray(total.detach().to(torch.float64).numpy().copy())

    def _drop_records_that_are_not_finite(self) -> None:
        samples = [parameter.grad_sample for parameter in self._parameters]
        squares = torch.stack([sample.flatten(1).square().sum(1) for sample in samples]).sum(0)
        lost = ~torch.isfinite(squares.sqrt())
        if bool(lost.any()):
            for sample in samples:
                sample[lost] = 0.0
