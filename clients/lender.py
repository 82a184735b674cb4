"""The lender's side of every phase: from its own records to an exact vector that the node may release.

Each phase is one method under the name that it has in the coordinator. It gets the public parts that the phase
builds on and returns the work to be done once the node has charged the release; what depends on records happens
only in that work.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from clients.context import RoundContext
from clients.refused import Refused
from clients.training import local_training, one_step
from shared.messages import digest
from shared.model.bins import Binning, histogram, histogram_length
from shared.model.build import coding_of, initial_tower
from shared.model.loss import cross_entropy
from shared.model.score_table import score_table
from shared.model.tower import Tower, load_flat, parameter_count, row_logits
from shared.phases import Kind, Phase
from shared.plan import Plan
from shared.privacy.gradients import gradient_engine
from shared.privacy.mechanisms import Mechanism, Mechanisms
from shared.records import Records

Work = Callable[[RoundContext], np.ndarray]
BINS = "bins"


@dataclass(frozen=True)
class Coded:
    """Records in the form that towers read, for one published binning; float64 codes [n, width]."""

    training: torch.Tensor
    labels: torch.Tensor
    test: torch.Tensor
    width: int


class Lender:
    """A lender's records under a plan. Records are coded once for each published binning and then kept."""

    def __init__(self, plan: Plan, mechanisms: Mechanisms, records: Records) -> None:
        self._plan = plan
        self._mechanisms = mechanisms
        self._training = records.training_part()
        self._test = records.test_part()
        self._features = records.schema.scored
        self._group = plan.lenders
        self._coded: dict[str, Coded] = {}

    def prepare(self, phase: Phase, parameters: np.ndarray, parts: dict[str, bytes]) -> tuple[Work, Mechanism]:
        """Check what a request of this phase brings, and say what would be done and how it would be noised.

        Reads no record: a refusal here, by `Refused`, depends on the request and the plan alone.
        """
        needs = {Kind.BIN: set()}.get(phase.kind, {BINS})
        if set(parts) != needs:
            raise Refused("wrong-parts")
        if phase.kind is Kind.BIN:
            return self.bin(phase, parameters)
        binning = self._binning(parts[BINS])
        make = {Kind.TRAIN: self.train_tower, Kind.CALIBRATE: self.calibrate, Kind.EVALUATE: self.evaluate}
        return make[phase.kind](phase, parameters, binning)

    def bin(self, phase: Phase, parameters: np.ndarray) -> tuple[Work, Mechanism]:
        """Counts of training records over the public cells of every scored feature."""
        _expect(parameters, 0)
        cells = self._plan.model.grid_cells
        mechanism = self._mechanisms.mechanism(phase, histogram_length(self._features, cells))

        def work(context: RoundContext) -> np.ndarray:
            counts = histogram(self._training.columns, self._features, cells)
            return mechanism.counts(counts)

        return work, mechanism

    def train_tower(self, phase: Phase, parameters: np.ndarray, binning: Binning) -> tuple[Work, Mechanism]:
        """The clipped gradient of a Poisson sample of training records, or the mean of noisy local steps."""
        tower, plan = self._tower(binning), self._plan
        _expect(parameters, parameter_count(tower))
        mechanism = self._mechanisms.mechanism(phase, len(parameters))
        engine = gradient_engine(plan.training.engine, tower, cross_entropy, plan.privacy.clip_norm)

        def work(context: RoundContext) -> np.ndarray:
            coded = self._code(binning)
            step = one_step if plan.training.local is None else local_training
            return step(engine, parameters, coded.training, coded.labels, plan, context)

        return work, mechanism

    def calibrate(self, phase: Phase, parameters: np.ndarray, binning: Binning) -> tuple[Work, Mechanism]:
        """Counts of training records over score cells and labels."""
        tower, mechanism = self._scorer(phase, parameters, binning)

        def work(context: RoundContext) -> np.ndarray:
            coded = self._code(binning)
            table = score_table(row_logits(tower, coded.training), self._training.label, self._plan.evaluation.cells)
            return mechanism.counts(table)

        return work, mechanism

    def evaluate(self, phase: Phase, parameters: np.ndarray, binning: Binning) -> tuple[Work, Mechanism]:
        """Counts of test records over score cells and labels: all of them, then by the bands of each group."""
        tower, mechanism = self._scorer(phase, parameters, binning)

        def work(context: RoundContext) -> np.ndarray:
            logits, cells = row_logits(tower, self._code(binning).test), self._plan.evaluation.cells
            tables = [score_table(logits, self._test.label, cells)]
            for name in self._plan.evaluation.groups:
                band = band_of(self._plan, name, self._test.columns[name])
                for index in range(len(self._plan.bands(name))):
                    chosen = band == index
                    tables.append(score_table(logits[chosen], self._test.label[chosen], cells))
            return mechanism.counts(np.concatenate(tables))

        return work, mechanism

    def _scorer(self, phase: Phase, parameters: np.ndarray, binning: Binning) -> tuple[Tower, Mechanism]:
        tower = self._tower(binning)
        _expect(parameters, parameter_count(tower))
        load_flat(tower, parameters)
        return tower, self._mechanisms.mechanism(phase, self._mechanisms.table_length(phase))

    def _binning(self, body: bytes) -> Binning:
        try:
            return Binning.from_bytes(body, self._features, self._plan.model.bins)
        except ValueError:
            raise Refused("bad-part") from None

    def _tower(self, binning: Binning) -> Tower:
        return initial_tower(self._plan, self._group, binning)

    def _code(self, binning: Binning) -> Coded:
        key = digest(binning.to_bytes())
        if key not in self._coded:
            coding = coding_of(self._plan, self._group, binning)
            training, test = (coding.encode(binning.quantize(part.columns)) for part in (self._training, self._test))
            labels = torch.from_numpy(self._training.label.astype(np.float64))
            self._coded = {key: Coded(training, labels, test, coding.width)}
        return self._coded[key]


def band_of(plan: Plan, name: str, values: np.ndarray) -> np.ndarray:
    """Index of the band of each value of a protected feature; float64 [n] as in Records -> int64 [n]."""
    edges = plan.evaluation.groups[name]
    bands = np.searchsorted(np.array(edges), values, side="left") if edges else np.nan_to_num(values)
    return np.where(np.isnan(values), len(plan.bands(name)) - 1, bands).astype(np.int64)


def _expect(parameters: np.ndarray, length: int) -> None:
    if parameters.dtype != np.float64 or parameters.shape != (length,):
        raise Refused("bad-parameters")
