"""What a lender and a platform do alike: records that change, pairs with peers, bins and the towers of its group."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch

from sealscore.clients.roles.context import RoundContext
from sealscore.clients.roles.encoding import Encoder, expect
from sealscore.clients.roles.errors import Refused
from sealscore.clients.roles.lifetime import Lifetime
from sealscore.clients.roles.pairing import Pairs
from sealscore.clients.roles.releases import Pair, Sum
from sealscore.clients.roles.training import train_step
from sealscore.shared.crypto.psi import Progress
from sealscore.shared.dp.clipped_sum import clipped_sum, slopes
from sealscore.shared.dp.mechanisms import Mechanisms
from sealscore.shared.dp.rounding import to_grid
from sealscore.shared.model.bins import Binning
from sealscore.shared.model.loss import Loss, cross_entropy
from sealscore.shared.persons.records import Records
from sealscore.shared.phases.additive.tower_budget import label_keep
from sealscore.shared.phases.kind import Kind
from sealscore.shared.phases.order import Phase
from sealscore.shared.plan.plan import Plan
from sealscore.shared.plan.towers import towers

Tell = Callable[[str], None]


class PartyRole(ABC):
    """A party's records under a plan."""

    def __init__(
        self,
        plan: Plan,
        name: str,
        mechanisms: Mechanisms,
        records: Records,
        lifetime: Lifetime,
        progress: Progress | None = None,
        tell: Tell = lambda words: None,
    ) -> None:
        self._plan, self._name, self._mechanisms = plan, name, mechanisms
        self._records, self._lifetime, self._tell = records, lifetime, tell
        self._group = plan.party(name).group
        self._encoders = {tower.name: Encoder(plan, tower.name) for tower in towers(plan) if tower.group == self._group}
        self._pairs = Pairs(plan, name, lifetime.disclosure_store, progress, tell)
        self.loss: Loss = cross_entropy

    @abstractmethod
    def sum(self, phase: Phase, parameters: np.ndarray, parts: dict[str, bytes]) -> Sum:
        """The work of a phase with a sum. Reads no record: a refusal here depends on request and plan alone."""

    @abstractmethod
    def steps(self, parts: dict[str, bytes]) -> Mapping[tuple[Kind, int], Callable[[], Pair]]:
        """What it does in which step of a paired phase."""

    @abstractmethod
    def training_examples(self, tower: str, binning: Binning) -> tuple[torch.Tensor, torch.Tensor]:
        """Codes float64 [n, width] and targets float64 [n] that a tower learns from; for use at this party."""

    @abstractmethod
    def training_bins(self, tower: str, binning: Binning) -> tuple[np.ndarray, np.ndarray]:
        """The same for an additive model: bins, integers [features, n], and targets float64 [n]."""

    @abstractmethod
    def training_records(self) -> Records:
        """The records that bins are counted from; for use at this party."""

    @abstractmethod
    def forget(self, peer: str, persons: Sequence[str]) -> None:
        """Use no more what a peer told of these persons."""

    def pair(self, phase: Phase, step: int, parts: dict[str, bytes]) -> Pair:
        """The work of a step of a paired phase."""
        made = self.steps(parts).get((phase.kind, step))
        if made is None:
            raise Refused("no-such-step")
        return made()

    @property
    def shortfalls(self) -> Sequence[str]:
        """With which peers it shares fewer persons than the plan's minimum, in words for this party's operator."""
        return self._pairs.shortfalls

    @property
    def records(self) -> Records:
        """The records that it goes on with."""
        return self._records

    def replace(self, records: Records) -> None:
        """Go on with other records of the same data set, from the next round on."""
        self._records = records
        self.changed()

    def bin(self, phase: Phase, parameters: np.ndarray) -> Sum:
        """Counts of training records over the public cells of every feature of the tower."""
        expect(parameters, 0)
        rule = self._encoders[phase.tower].rule
        mechanism = self._mechanisms.mechanism(phase, rule.length)

        def work(context: RoundContext) -> np.ndarray:
            return mechanism.counts(rule.histogram(self.training_records().columns))

        return work, mechanism

    def train_tower(self, phase: Phase, parameters: np.ndarray, parts: dict[str, bytes]) -> Sum:
        """The clipped gradient of a Poisson sample of training records, or the mean of noisy local steps."""
        encoder = self._encoders[phase.tower]
        binning = encoder.binning(parts["bins"])
        expect(parameters, encoder.parameter_count(binning))
        mechanism = self._mechanisms.mechanism(phase, len(parameters))

        def work(context: RoundContext) -> np.ndarray:
            codes, targets = self.training_examples(phase.tower, binning)
            with encoder.engine(binning, self.loss) as engine:
                return train_step(engine, parameters, codes, targets, self._plan, context)

        return work, mechanism

    def fit_units(self, phase: Phase, parameters: np.ndarray, parts: dict[str, bytes]) -> Sum:
        """Clipped gradients of an additive model over all training records: of its units, or of pairs of features."""
        encoder = self._encoders[phase.tower]
        binning = encoder.binning(parts["bins"])
        scored = encoder.additive(parts["codes"], binning)
        summed = encoder.additive(parts["pairs"], binning) if "pairs" in parts else scored
        expect(parameters, scored.length)
        # Longer sums draw more noise than the distance that the claim gives up for.
        if summed.length > self._mechanisms.longest(phase):
            raise Refused("bad-part")
        mechanism, tables = self._mechanisms.mechanism(phase, summed.length), scored.tables(parameters)

        def work(context: RoundContext) -> np.ndarray:
            bins, targets = self.training_bins(phase.tower, binning)
            slope = slopes(tables.sums(bins), targets, label_keep(self._plan, phase.tower))
            return to_grid(clipped_sum(summed, bins, slope), mechanism.grid, mechanism.bound)

        return work, mechanism

    def changed(self) -> None:
        """Records, consents or what peers told have changed: nothing that was made of them is used again."""
        for encoder in self._encoders.values():
            encoder.clear()

    def _joined(self, peer: str) -> tuple[str, ...]:
        """Persons who may be joined with a peer."""
        return self._records.joined(peer, self._plan.purpose_code)
