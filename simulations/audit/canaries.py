"""The audit block: extra weights beside a tower, one direction for each canary, and the engine that sums both.

A canary is a record whose code is zero but for one entry of the block, so its gradient lies along that entry's weights
(and, a thousandth of it, along the bias). The entry is so large that the gradient is far above any clip norm: what a
canary adds to a sum has the largest norm that a record can have.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from sealscore.shared.dp.gradients import gradient_engine
from sealscore.shared.model.tower import Loss, Tower, load_flat, parameter_count
from sealscore.shared.model.weights import MAX_WIDTH
from sealscore.shared.plan.settings import Training

LEAST_CANARIES = 1000
# A power of two keeps products with weights exact; a gradient is above the clip norm as long as the loss moves by more
# than clip norm / REACH with the logit.
REACH = 2.0**10
# In the column that names a canary, what stands at a record that is none.
RECORD = -1


@dataclass(frozen=True)
class AuditBlock:
    """A tower for codes of `width`, widened by one entry of the code for each canary.

    Raises:
        ValueError: the widened tower would be wider than towers can be.
    """

    width: int
    hidden: int
    canaries: int

    def __post_init__(self) -> None:
        if self.width + self.canaries > MAX_WIDTH:
            raise ValueError(
                f"{self.canaries} canaries beside codes of {self.width} units are too many: a tower reads at most "
                f"{MAX_WIDTH} units, so choose at most {MAX_WIDTH - self.width}"
            )

    def tower(self) -> Tower:
        """The widened tower."""
        return Tower(self.width + self.canaries, self.hidden, 0)

    @cached_property
    def length(self) -> int:
        """How many weights the widened tower has."""
        return parameter_count(self.tower())

    @cached_property
    def own(self) -> np.ndarray:
        """Where the tower's own weights stand among those of the widened one, in their order: int64 [p]."""
        return np.concatenate([part[..., : self.width].ravel() if fed else part.ravel() for part, fed in self._places])

    @cached_property
    def block(self) -> np.ndarray:
        """Where the weights of each canary's entry stand: int64 [1 + hidden, canaries]."""
        return np.vstack([part[..., self.width :] for part, fed in self._places if fed])

    @property
    def _places(self) -> list[tuple[np.ndarray, bool]]:
        """The number of every weight in the shape of its parameter, and whether the code feeds it."""
        tower = self.tower()
        load_flat(tower, np.arange(self.length, dtype=np.float64))
        fed = {"linear.weight", "inner.weight"}
        return [(weights.detach().numpy().astype(np.int64), name in fed) for name, weights in tower.named_parameters()]

    def widened(self, weights: np.ndarray) -> np.ndarray:
        """A tower's own weights float64 [p], with a block of zeros: float64 [length]."""
        wide = np.zeros(self.length)
        wide[self.own] = weights
        return wide

    def codes(self, numbers: torch.Tensor) -> torch.Tensor:
        """Codes of canaries by their numbers int64 [k]: float64 [k, width + canaries]."""
        codes = torch.zeros(len(numbers), self.width + self.canaries, dtype=torch.float64)
        codes[torch.arange(len(numbers)), self.width + numbers] = REACH
        return codes


def tagged(codes: torch.Tensor, targets: torch.Tensor, numbers: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Records with canaries after them: codes [n + k, width + 1], whose last column names a canary, and targets.

    A canary's target is 1.
    """
    plain = torch.cat([codes, torch.full((len(codes), 1), float(RECORD), dtype=codes.dtype)], dim=1)
    canaries = torch.zeros(len(numbers), plain.shape[1], dtype=codes.dtype)
    canaries[:, -1] = numbers.to(codes.dtype)
    return torch.cat([plain, canaries]), torch.cat([targets, torch.ones(len(numbers), dtype=targets.dtype)])


class AuditedGradientSum:
    """A `ClippedGradientSum` over the widened tower for tagged codes, by the plan's own engine.

    The engine clips each record by itself. Records, whose gradient has no part in the block, go through it in the
    tower's width and canaries in the full one, which gives the sum of all in the full width without the zeros.
    """

    def __init__(self, block: AuditBlock, tower: Tower, loss: Loss, clip_norm: float, training: Training) -> None:
        self._block = block
        self._records = gradient_engine(training.engine, tower, loss, clip_norm)
        self._canaries = gradient_engine(training.engine, block.tower(), loss, clip_norm)

    def __call__(self, parameters: np.ndarray, codes: torch.Tensor, targets: torch.Tensor) -> np.ndarray:
        """Weights float64 [length], tagged codes [b, width + 1], targets [b] -> float64 [length]."""
        numbers = codes[:, -1].long()
        plain = numbers == RECORD
        total = self._block.widened(self._records(parameters[self._block.own], codes[plain, :-1], targets[plain]))
        if not plain.all():
            total += self._canaries(parameters, self._block.codes(numbers[~plain]), targets[~plain])
        return total

    def of_canary(self, parameters: np.ndarray) -> np.ndarray:
        """What one canary adds along the weights of its own entry, at these weights: float64 [1 + hidden].

        It is the same for every canary, as long as the block's weights are.
        """
        one = self._canaries(parameters, self._block.codes(torch.zeros(1, dtype=torch.int64)), torch.ones(1))
        return np.asarray(one[self._block.block[:, 0]])
