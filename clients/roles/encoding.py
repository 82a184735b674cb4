"""Records in the form that towers read: coded once for each published binning, and kept."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from sealscore.clients.node.errors import Refused
from sealscore.shared.model.bins import Binning
from sealscore.shared.model.build import coding_of, initial_tower
from sealscore.shared.model.tower import Tower, load_flat, parameter_count
from sealscore.shared.plan.features import tower_features
from sealscore.shared.plan.plan import Plan


class Encoder:
    """Codes the records of one party for the tower of its group."""

    def __init__(self, plan: Plan, group: str) -> None:
        self._plan, self._group = plan, group
        self.features = tower_features(plan, group)
        self._kept: dict[str, tuple[Binning, torch.Tensor]] = {}

    def binning(self, part: bytes) -> Binning:
        """The published bins; Refused where the part is none."""
        try:
            return Binning.from_bytes(part, self.features, self._plan.model.bins)
        except ValueError:
            raise Refused("bad-part") from None

    def parameter_count(self, binning: Binning) -> int:
        """Weights of the tower under a binning."""
        return parameter_count(initial_tower(self._plan, self._group, binning))

    def tower(self, binning: Binning, parameters: np.ndarray) -> Tower:
        """The tower of the group at these weights; Refused where they are not its weights."""
        tower = initial_tower(self._plan, self._group, binning)
        expect(parameters, parameter_count(tower))
        load_flat(tower, parameters)
        return tower

    def codes(self, what: str, columns: Mapping[str, np.ndarray], binning: Binning) -> torch.Tensor:
        """Codes float64 [n, width] of the party's records `what`, whose columns must stay the same under that name."""
        kept = self._kept.get(what)
        if kept is None or kept[0] != binning:
            coding = coding_of(self._plan, self._group, binning)
            kept = self._kept[what] = (binning, torch.from_numpy(coding.encode(binning.quantize(columns))))
        return kept[1]

    def clear(self) -> None:
        """Forget all codes: records have changed."""
        self._kept.clear()


def expect(parameters: np.ndarray, length: int) -> None:
    """Refuse parameters that are not float64 [length]."""
    if parameters.dtype != np.float64 or parameters.shape != (length,):
        raise Refused("bad-parameters")
