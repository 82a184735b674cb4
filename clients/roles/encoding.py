"""Records in the form that towers read: bins, once for each published binning, or codes of them for a network."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch

from sealscore.clients.roles.errors import Refused
from sealscore.shared.dp.clipped_sum import CLIP, TowerSum, bins_suffice
from sealscore.shared.dp.gradients import ClippedGradientSum, gradient_engine
from sealscore.shared.model.additive.additive_code import AdditiveCode, linear_tables, of_codes
from sealscore.shared.model.additive.codes import BinTables, Codes
from sealscore.shared.model.additive.curve import CURVE_LENGTH, PdCurve
from sealscore.shared.model.additive.kernels import layout_of, look_up
from sealscore.shared.model.bins import Binning
from sealscore.shared.model.build import coding_of, initial_tower
from sealscore.shared.model.coding import Coding
from sealscore.shared.model.tower import Loss, Tower, load_flat, row_logits
from sealscore.shared.model.weights import TowerWeights
from sealscore.shared.phases.additive.tower_budget import label_keep
from sealscore.shared.phases.bin_rule import bin_rule
from sealscore.shared.plan.plan import Plan
from sealscore.shared.plan.towers import group_of

# Logits, float64 [n], of the records that go by a name, from their columns: each from its own record alone.
Scorer = Callable[[str, Mapping[str, np.ndarray]], np.ndarray]


class Encoder:
    """Codes the records of one party for one tower of its group."""

    def __init__(self, plan: Plan, tower: str) -> None:
        self._plan, self._tower = plan, tower
        self.rule = bin_rule(plan, tower)
        self._kept: dict[str, tuple[Binning, torch.Tensor]] = {}
        # Of the bins that were published last: requests of all rounds build on the same ones.
        self._binning: tuple[bytes, Binning] | None = None
        self._coding: tuple[Binning, Coding] | None = None
        self._bins: dict[str, tuple[Binning, np.ndarray]] = {}
        self._additive: dict[bytes, tuple[Binning, Codes, AdditiveCode]] = {}

    def binning(self, part: bytes) -> Binning:
        """The published bins; Refused where the part is none."""
        if self._binning is None or self._binning[0] != part:
            try:
                self._binning = part, self.rule.read(part)
            except ValueError:
                raise Refused("bad-part") from None
        return self._binning[1]

    def coding(self, binning: Binning) -> Coding:
        """How records are coded under a binning: made once for all requests that build on it."""
        if self._coding is None or self._coding[0] is not binning:
            self._coding = binning, coding_of(self._plan, self._tower, binning)
        return self._coding[1]

    def parameter_count(self, binning: Binning) -> int:
        """Weights of the tower under a binning."""
        return TowerWeights.length(self.coding(binning).width, self._plan.model.hidden)

    def tower_sum(self, binning: Binning) -> TowerSum | None:
        """Clipped gradients of the tower over bins; None where it is a network, or the plan's engine is another."""
        coding, training = self.coding(binning), self._plan.training
        if self._plan.model.hidden or training.engine != "fused" or not bins_suffice(coding):
            return None
        clip = self._plan.clip_norm(group_of(self._plan, self._tower))
        return TowerSum(coding, clip, label_keep(self._plan, self._tower))

    def gradients(self, binning: Binning, loss: Loss) -> ClippedGradientSum:
        """A new engine for clipped gradients of the tower, over codes."""
        clip, kind = self._plan.clip_norm(group_of(self._plan, self._tower)), self._plan.training.engine
        return gradient_engine(kind, initial_tower(self._plan, self._tower, binning), loss, clip)

    def codes(self, what: str, columns: Mapping[str, np.ndarray], binning: Binning) -> torch.Tensor:
        """Codes float64 [n, width] of the party's records `what`, whose columns must stay the same under that name."""
        kept = self._kept.get(what)
        if kept is None or (kept[0] is not binning and kept[0] != binning):
            codes = self.coding(binning).encode(binning.quantize(columns))
            kept = self._kept[what] = (binning, torch.from_numpy(codes))
        return kept[1]

    def bins(self, what: str, columns: Mapping[str, np.ndarray], binning: Binning) -> np.ndarray:
        """Bins, integers [features, n], of the party's records `what`, as `codes`."""
        kept = self._bins.get(what)
        if kept is None or (kept[0] is not binning and kept[0] != binning):
            kept = self._bins[what] = (binning, binning.narrow_bins(columns))
        return kept[1]

    def additive(self, part: bytes, binning: Binning) -> Codes:
        """Published codes of an additive model over these bins; Refused where the part is none."""
        return self._published(part, binning)[0]

    def summed(self, part: bytes, binning: Binning) -> AdditiveCode:
        """The same as clipped sums are made of them; Refused where the part is none."""
        return self._published(part, binning)[1]

    def _published(self, part: bytes, binning: Binning) -> tuple[Codes, AdditiveCode]:
        kept = self._additive.get(part)
        if kept is None or (kept[0] is not binning and kept[0] != binning):
            try:
                codes = Codes.from_bytes(part, binning.sizes)
            except ValueError:
                raise Refused("bad-part") from None
            kept = binning, codes, of_codes(codes, CLIP)
            self._additive.pop(part, None)
            # Of the first phase, of its pairs, and of the second.
            while len(self._additive) > 2:
                del self._additive[next(iter(self._additive))]
            self._additive[part] = kept
        return kept[1], kept[2]

    def scorer(self, parameters: np.ndarray, parts: Mapping[str, bytes], calibrated: bool = False) -> Scorer:
        """How records are scored at these parameters; Refused where they or the parts are none. Reads no record.

        An additive score that is `calibrated` has the numbers of its curve after its weights.
        """
        binning = self.binning(parts["bins"])
        if "codes" not in parts:
            expect(parameters, self.parameter_count(binning))
            if not self._plan.model.hidden:
                return self._summing(linear_tables(self.coding(binning), parameters), binning)
            tower: Tower = initial_tower(self._plan, self._tower, binning)
            load_flat(tower, parameters)
            return lambda what, columns: row_logits(tower, self.codes(what, columns, binning))
        codes = self.additive(parts["codes"], binning)
        expect(parameters, codes.length + calibrated * CURVE_LENGTH)
        score = self._summing(codes.tables(parameters[: codes.length]), binning)
        if not calibrated:
            return score
        try:
            curve = PdCurve.of_vector(parameters[codes.length :])
        except ValueError:
            raise Refused("bad-parameters") from None
        return lambda what, columns: curve.logits(score(what, columns))

    def _summing(self, tables: BinTables, binning: Binning) -> Scorer:
        layout = layout_of(tables)
        return lambda what, columns: look_up(tables, self.bins(what, columns, binning), layout)

    def score_length(self, parts: Mapping[str, bytes]) -> int:
        """How many parameters a score that is not calibrated has."""
        binning = self.binning(parts["bins"])
        return self.additive(parts["codes"], binning).length if "codes" in parts else self.parameter_count(binning)

    def clear(self) -> None:
        """Forget all codes: records have changed."""
        self._kept.clear()
        self._bins.clear()


def expect(parameters: np.ndarray, length: int) -> None:
    """Refuse parameters that are not float64 [length]."""
    if parameters.dtype != np.float64 or parameters.shape != (length,):
        raise Refused("bad-parameters")
