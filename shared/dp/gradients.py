"""Sums of per-record gradients, each clipped to a norm: what a party computes in a step of DP-SGD.

Two engines give the same sum. "opacus" is the reference, with Opacus's own hooks and clipping; "fused" gets the
norms in closed form and never builds a record's gradient.

Both clip by the factor min(1, C / (norm + 1e-6)) as Opacus does, which is slightly below Abadi et al. (2016),
algorithm 1: a clipped gradient stays strictly below C.
"""

from __future__ import annotations

import math
from typing import Literal, Protocol

import numpy as np
import torch
from torch import nn

from sealscore.shared.dp.rounding import CLIP_SLACK
from sealscore.shared.model.tower import Loss, own_copy, parameter_count
from sealscore.shared.model.weights import admissible


class ClippedGradientSum(Protocol):
    """Sum over records of per-record gradients, each clipped."""

    def __call__(self, parameters: np.ndarray, codes: torch.Tensor, targets: torch.Tensor) -> np.ndarray:
        """Weights float64 [p], codes [b, width], targets [b] -> float64 [p], for any b, 0 included.

        A record whose gradient or norm is not finite counts as zero; the result is always finite.

        Formal guarantees: adding or removing a record moves the result by at most C (1 + `clip_error`) in L2 norm,
        at any weights, for a `Tower` in float64. In float32 the engine serves measurements only.
        """
        ...


def gradient_engine(
    kind: Literal["fused", "opacus"],
    module: nn.Module,
    loss: Loss,
    clip_norm: float,
    dtype: torch.dtype = torch.float64,
) -> ClippedGradientSum:
    """The engine of that name for a module of linear layers; it keeps a copy of its own of the module.

    Raises:
        ValueError: an unknown name, a clip norm that is not positive, or a module that the engine cannot clip.
    """
    if not 0 < clip_norm < float("inf"):
        raise ValueError(f"the clip norm must be positive and finite, got {clip_norm}")
    if kind == "fused":
        return FusedGradientSum(module, loss, clip_norm, dtype)
    if kind == "opacus":
        from sealscore.shared.dp.gradients_opacus import OpacusGradientSum  # importing Opacus takes seconds

        return OpacusGradientSum(module, loss, clip_norm, dtype)
    raise ValueError(f"engines are 'fused' and 'opacus', got {kind!r}")


class FusedGradientSum:
    """Closed-form norms, one backward pass to the outputs of the linear layers.

    A record's gradient in a layer with input a and output gradient g is the outer product of g and (a, 1), so its
    squared norm is |g|^2 (|a|^2 + 1) (Goodfellow 2015, "Efficient Per-Example Gradient Computations"), and the
    clipped sum is one product of matrices with g scaled by each record's factor.
    """

    def __init__(self, module: nn.Module, loss: Loss, clip_norm: float, dtype: torch.dtype) -> None:
        self._module = own_copy(module, dtype).requires_grad_(False)
        self._loss, self._clip, self._dtype = loss, clip_norm, dtype
        self._tape: list[tuple[nn.Linear, torch.Tensor, torch.Tensor]] = []
        count = parameter_count(self._module)
        self._weights, self._sum = torch.zeros(count, dtype=dtype), torch.zeros(count, dtype=dtype)
        self._sums: dict[int, torch.Tensor] = {}
        start = 0
        for parameter in self._module.parameters():
            end = start + parameter.numel()
            # Views into one buffer: loading weights is one copy, and each layer writes its part of the sum in place.
            parameter.data = self._weights[start:end].view_as(parameter)
            self._sums[id(parameter)] = self._sum[start:end].view_as(parameter)
            start = end
        for layer in self._module.modules():
            if isinstance(layer, nn.Linear):
                layer.register_forward_hook(self._record)

    def _record(self, layer: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        assert isinstance(layer, nn.Linear)
        self._tape.append((layer, inputs[0].detach(), output.requires_grad_()))

    def __call__(self, parameters: np.ndarray, codes: torch.Tensor, targets: torch.Tensor) -> np.ndarray:
        """As `ClippedGradientSum`."""
        if parameters.dtype != np.float64 or parameters.shape != (len(self._weights),):
            raise ValueError(f"weights must be float64 [{len(self._weights)}]")
        if not len(codes):
            return np.zeros(len(self._weights))
        self._weights.copy_(torch.from_numpy(admissible(parameters)))
        self._tape.clear()
        losses = self._loss(self._module(codes.to(self._dtype)).view(-1), targets.to(self._dtype))
        gradients = torch.autograd.grad(losses.sum(), [output for _, _, output in self._tape])
        with torch.no_grad():
            self._clip_and_sum(gradients)
        self._tape.clear()
        return self._sum.to(torch.float64).numpy().copy()

    def _clip_and_sum(self, gradients: tuple[torch.Tensor, ...]) -> None:
        of_input: dict[int, torch.Tensor] = {}
        squares = torch.zeros((), dtype=self._dtype)
        for (layer, a, _), g in zip(self._tape, gradients, strict=True):
            # Layers side by side read the same code; its norm is taken once.
            key = a.data_ptr()
            if key not in of_input:
                of_input[key] = torch.linalg.vecdot(a, a)
            inputs = of_input[key] if layer.bias is None else of_input[key] + 1
            squares = torch.addcmul(squares, torch.linalg.vecdot(g, g), inputs)
        norms = squares.sqrt_()
        finite: torch.Tensor | None = None
        if not math.isfinite(norms.sum()):
            finite = torch.isfinite(norms)[:, None]
        factor = (self._clip / (norms + CLIP_SLACK)).clamp_(max=1.0)[:, None]
        for (layer, a, _), g in zip(self._tape, gradients, strict=True):
            scaled = g * factor
            if finite is not None:  # 0 * inf is not 0, so both sides must lose the record
                scaled, a = torch.where(finite, scaled, 0.0), torch.where(finite, a, 0.0)
            torch.mm(scaled.t(), a, out=self._sums[id(layer.weight)])
            if layer.bias is not None:
                torch.sum(scaled, 0, out=self._sums[id(layer.bias)])
