"""The tower: a logit from a code, linear with an optional small tanh network beside it, and its losses, in torch.

`sealscore.shared.model.weights` has the limits of its weights and what they give without torch.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from sealscore.shared.closed_forms import kept_probability
from sealscore.shared.model.weights import TowerWeights, check_width

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Of one record each: logits [n] and targets [n] -> losses [n], never reduced."""

_ELEMENTWISE = (
    nn.Tanh,
    nn.ReLU,
    nn.LeakyReLU,
    nn.ELU,
    nn.GELU,
    nn.SiLU,
    nn.Sigmoid,
    nn.Softplus,
    nn.Identity,
    nn.Flatten,
)


class Tower(nn.Module):
    """logit = linear(code) + bias (+ outer(tanh(inner(code))) where hidden > 0), in float64.

    The linear part and `outer` start at zero, so an untrained tower says 0 of everybody. `inner` starts from the
    seed, normal with variance 1 / width; the seed is public and drives nothing else.

    Raises:
        ValueError: the code is empty or wider than `MAX_WIDTH`.
    """

    def __init__(self, width: int, hidden: int, seed: int) -> None:
        super().__init__()
        check_width(width)
        self.linear = _empty_linear(width, 1, bias=True)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)
        self.hidden = hidden
        if hidden:
            # A generator of its own: seeding torch itself would give every party of a process the same randomness.
            generator = torch.Generator().manual_seed(seed)
            self.inner = _empty_linear(width, hidden, bias=True)
            self.outer = _empty_linear(hidden, 1, bias=False)
            nn.init.normal_(self.inner.weight, std=1 / math.sqrt(width), generator=generator)
            nn.init.zeros_(self.inner.bias)
            nn.init.zeros_(self.outer.weight)

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        """Codes [n, width] -> logits [n]."""
        logits: torch.Tensor = self.linear(codes).squeeze(-1)
        if self.hidden:
            logits = logits + self.outer(torch.tanh(self.inner(codes))).squeeze(-1)
        return logits

    def weights(self) -> TowerWeights:
        """The weights without torch, a copy of them as they are now."""
        return TowerWeights(flatten(self), self.linear.in_features, self.hidden)


def _empty_linear(inputs: int, outputs: int, bias: bool) -> nn.Linear:
    """A layer that is not initialised: the usual way would draw from torch's global generator."""
    return nn.Linear(inputs, outputs, bias=bias, dtype=torch.float64, device="meta").to_empty(device="cpu")


def own_copy(module: nn.Module, dtype: torch.dtype) -> nn.Module:
    """A copy of the module in that type whose records cannot mix.

    Raises:
        ValueError: a part is neither a linear layer nor elementwise, works in place, or shares its weights.
    """
    linear = 0
    for name, part in module.named_modules(remove_duplicate=False):
        if type(part) is nn.Linear:
            linear += sum(1 for _ in part.parameters())
        elif isinstance(part, _ELEMENTWISE):
            if getattr(part, "inplace", False):
                raise ValueError(f"{name} works in place, which would overwrite what clipping needs")
        elif type(part) not in (Tower, nn.Sequential):
            raise ValueError(f"{name or 'the module'} is a {type(part).__name__}; linear layers and elementwise only")
    if linear != sum(1 for _ in module.parameters()):
        raise ValueError("every weight must belong to exactly one linear layer")
    return copy.deepcopy(module).to(dtype)


def parameter_count(module: nn.Module) -> int:
    """How many numbers `flatten` gives."""
    return sum(parameter.numel() for parameter in module.parameters())


def flatten(module: nn.Module) -> np.ndarray:
    """All weights as float64 [p], in the fixed order of `module.parameters()`."""
    parts = [parameter.detach().reshape(-1).to(torch.float64).numpy() for parameter in module.parameters()]
    return np.concatenate(parts) if parts else np.zeros(0)


def load_flat(module: nn.Module, vector: np.ndarray) -> None:
    """Set all weights from float64 [p], exactly as they are.

    Raises:
        ValueError: another shape or type.
    """
    expected = parameter_count(module)
    if vector.dtype != np.float64 or vector.shape != (expected,):
        raise ValueError(f"weights must be float64 [{expected}], got {vector.dtype} {list(vector.shape)}")
    source, start = torch.from_numpy(np.ascontiguousarray(vector)), 0
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(source[start : start + parameter.numel()].view_as(parameter))
            start += parameter.numel()


def row_logits(tower: Tower, codes: torch.Tensor) -> np.ndarray:
    """Logits of codes [n, width], as `TowerWeights.logits`: float64 [n]."""
    return tower.weights().logits(codes.detach().to(torch.float64).numpy())


def cross_entropy(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Binary cross entropy of true labels (0 or 1), stable for any logit."""
    return functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")


@dataclass(frozen=True)
class ForwardCorrected:
    """Cross entropy of labels that went through randomized response, which kept them with probability `keep`.

    With p the predicted probability of the true label being 1, the noisy label is 1 with probability
    keep * p + (1 - keep) * (1 - p); its cross entropy has the same minimiser as that of the true label (Patrini et
    al. 2017, "Making Deep Neural Networks Robust to Label Noise", section 4.2, forward correction).

    Raises:
        ValueError: keep is not in (1/2, 1].
    """

    keep: float

    def __post_init__(self) -> None:
        if not 0.5 < self.keep <= 1:
            raise ValueError(f"keep must be in (1/2, 1], got {self.keep}")

    @classmethod
    def of_epsilon(cls, label_epsilon: float) -> ForwardCorrected:
        """For labels that went through randomized response at `label_epsilon`."""
        return cls(kept_probability(label_epsilon))

    def __call__(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        if self.keep == 1:
            return cross_entropy(logits, targets)
        bad, good = torch.sigmoid(logits), torch.sigmoid(-logits)
        # Both sides as sums of positive terms: one minus the other would cancel where labels are hardly noisy.
        seen_bad = self.keep * bad + (1 - self.keep) * good
        seen_good = self.keep * good + (1 - self.keep) * bad
        return -(targets * torch.log(seen_bad) + (1 - targets) * torch.log(seen_good))
