"""Losses of one record: functions from logits [n] and targets [n] to losses [n], never reduced."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn import functional

from sealscore.shared.closed_forms import kept_probability

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


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
