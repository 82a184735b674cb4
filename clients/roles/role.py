"""What a lender and a platform do alike: records that change, pairs with peers, bins and the towers of its group.

What a node asks of its role is work on records, done once it is charged, in a context that has the secret streams of
the request. Where the work fails on the party's records it is done over none: a server that sees a failure reads
whatever the failure depends on, exactly and without a charge. So an answer that was charged is always given; over no
records it is made of noise and fills alone, and looks like any other.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import numpy as np
import torch

from sealscore.clients.roles.encoding import Encoder, expect
from sealscore.clients.roles.errors import Refused
from sealscore.clients.roles.lifetime import Lifetime
from sealscore.clients.roles.pairing import Pairs
from sealscore.clients.roles.releases import Payload
from sealscore.shared.crypto.psi import Progress
from sealscore.shared.dp.clipped_sum import TowerSum, clipped_sum, slopes
from sealscore.shared.dp.gradients import ClippedGradientSum
from sealscore.shared.dp.mechanisms import Mechanism, Mechanisms, to_grid
from sealscore.shared.messages.codec import Address
from sealscore.shared.model.additive.kernels import gather, layout_of, look_up
from sealscore.shared.model.bins import Binning
from sealscore.shared.model.tower import Loss, cross_entropy
from sealscore.shared.persons.records import Records
from sealscore.shared.phases.additive.tower_budget import label_keep
from sealscore.shared.phases.kind import Kind
from sealscore.shared.phases.order import Phase
from sealscore.shared.plan.plan import Plan
from sealscore.shared.plan.towers import towers
from sealscore.shared.randomness.streams import Purpose, Stream, StreamSource, poisson_sample

Tell = Callable[[str], None]
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class RoundContext:
    """One attempt of one round at the sender of `address`; `cohort` is the cohort's size."""

    secret: StreamSource = field(repr=False)
    address: Address
    mechanism: Mechanism
    cohort: int

    def stream(self, purpose: Purpose, step: int = 0) -> Stream:
        """The secret stream of this attempt for a purpose, from its start."""
        at = self.address
        return self.secret.stream(at.run, at.phase, at.round, at.attempt, at.sender, purpose, step)


@dataclass(frozen=True)
class PairContext:
    """One step of a paired phase at the sender of `address`. Its streams are the same in every attempt."""

    secret: StreamSource = field(repr=False)
    address: Address
    peer: str

    def stream(self, purpose: Purpose) -> Stream:
        """The secret stream of this step for a purpose, from its start."""
        at = self.address
        return self.secret.stream(at.run, f"{at.phase}/{self.peer}", at.round, 0, at.sender, purpose)


Sum = tuple[Callable[[RoundContext], np.ndarray], Mechanism]
Pair = Callable[[PairContext, bytes], Payload]


class Examples(Protocol):
    """Training records with what sums clipped gradients over them."""

    def __len__(self) -> int: ...

    def clipped(self, parameters: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Weights float64 [p], ascending indices of records -> the sum float64 [p]."""
        ...


@dataclass(frozen=True)
class BinnedExamples:
    """Bins, integers [features, n], and targets float64 [n], for a linear tower."""

    engine: TowerSum
    bins: np.ndarray
    targets: np.ndarray

    def __len__(self) -> int:
        return len(self.targets)

    def clipped(self, parameters: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """As `Examples`."""
        return self.engine(parameters, gather(self.bins, rows), self.targets.take(rows))


@dataclass
class CodedExamples:
    """Codes float64 [n, width] and targets float64 [n]; `make` gives an engine over codes.

    The engine of a round is the next one's, too, if the round ended well: one that failed may hold what it had begun to
    sum of these records, and is used no more.
    """

    make: Callable[[], ClippedGradientSum]
    codes: torch.Tensor
    targets: torch.Tensor
    engine: ClippedGradientSum | None = None

    def __len__(self) -> int:
        return len(self.codes)

    def clipped(self, parameters: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """As `Examples`."""
        engine, self.engine = self.engine or self.make(), None
        # numpy takes rows in half the time of torch.
        sampled = torch.from_numpy(self.codes.numpy().take(rows, axis=0))
        total = engine(parameters, sampled, self.targets[torch.from_numpy(rows)])
        self.engine = engine
        return total


@dataclass
class _Training:
    """What all rounds of a tower's training have alike: made once a phase, the examples again where they have changed.

    `over_bins` is None where the tower reads codes.
    """

    tower: str
    part: bytes
    binning: Binning
    mechanism: Mechanism
    over_bins: TowerSum | None
    examples: Examples | None = None


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
        # What a sum has to see to first, whatever phase it is of.
        self.before_sum: Callable[[], None] | None = None
        self._begun = ""
        self._training: _Training | None = None

    def sum(self, phase: Phase, parameters: np.ndarray, parts: dict[str, bytes]) -> Sum:
        """The work of a phase with a sum. Reads no record: a refusal here depends on request and plan alone."""
        if self.before_sum is not None:
            self.before_sum()
        if phase.name != self._begun:
            # Once a phase: what peers have told of a pair stays told, whoever withdraws, as long as the plan runs.
            self.check_told(phase)
            self._begun, self._training = phase.name, None
        return (self.train_tower if phase.kind is Kind.TRAIN else self.summed)(phase, parameters, parts)

    @abstractmethod
    def check_told(self, phase: Phase) -> None:
        """Refuse a phase for which peers have not told what it needs."""

    @abstractmethod
    def summed(self, phase: Phase, parameters: np.ndarray, parts: dict[str, bytes]) -> Sum:
        """As `sum`, of phases other than training."""

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
        training = self._training
        if training is None or (training.tower, training.part) != (phase.tower, parts["bins"]):
            encoder = self._encoders[phase.tower]
            binning = encoder.binning(parts["bins"])
            mechanism = self._mechanisms.mechanism(phase, encoder.parameter_count(binning))
            over_bins = encoder.tower_sum(binning)
            training = self._training = _Training(phase.tower, parts["bins"], binning, mechanism, over_bins)
        if parameters.dtype != np.float64 or parameters.shape != (training.mechanism.length,):
            raise Refused("bad-parameters")

        def work(context: RoundContext) -> np.ndarray:
            if training.examples is None:
                training.examples = self._examples_of(training)
            return train_step(training.examples, parameters, self._plan, context)

        return work, training.mechanism

    def _examples_of(self, training: _Training) -> Examples:
        tower, binning = training.tower, training.binning
        if training.over_bins is not None:
            return BinnedExamples(training.over_bins, *self.training_bins(tower, binning))
        encoder = self._encoders[tower]
        return CodedExamples(lambda: encoder.gradients(binning, self.loss), *self.training_examples(tower, binning))

    def fit_units(self, phase: Phase, parameters: np.ndarray, parts: dict[str, bytes]) -> Sum:
        """Clipped gradients of an additive model over all training records: of its units, or of pairs of features."""
        encoder = self._encoders[phase.tower]
        binning = encoder.binning(parts["bins"])
        scored = encoder.additive(parts["codes"], binning)
        asked = parts.get("pairs", parts["codes"])
        length = encoder.additive(asked, binning).length
        expect(parameters, scored.length)
        # Longer sums draw more noise than the distance that the claim gives up for.
        if length > self._mechanisms.longest(phase):
            raise Refused("bad-part")
        mechanism, tables = self._mechanisms.mechanism(phase, length), scored.tables(parameters)
        code, layout = encoder.summed(asked, binning), layout_of(tables)

        def work(context: RoundContext) -> np.ndarray:
            bins, targets = self.training_bins(phase.tower, binning)
            slope = slopes(look_up(tables, bins, layout), targets, label_keep(self._plan, phase.tower))
            return to_grid(clipped_sum(code, bins, slope), mechanism.grid, mechanism.bound)

        return work, mechanism

    def changed(self) -> None:
        """Records, consents or what peers told have changed: nothing that was made of them is used again."""
        for encoder in self._encoders.values():
            encoder.clear()
        if self._training is not None:
            self._training.examples = None

    def _joined(self, peer: str) -> tuple[str, ...]:
        """Persons who may be joined with a peer."""
        return self._records.joined(peer, self._plan.purpose_code)


@contextmanager
def without_records(role: PartyRole) -> Iterator[None]:
    """While the context lasts the role has no records."""
    kept = role.records
    role.replace(kept.take(np.zeros(0, dtype=np.int64)))
    try:
        yield
    finally:
        role.replace(kept)


def attempted(
    role: PartyRole,
    work: Callable[[], Answer],
    failed: Callable[[Exception], None],
    passed: tuple[type[Exception], ...] = (),
) -> Answer:
    """What the work gives; over no records, and `failed` is told why, where it fails on those of the role.

    Raises:
        Exception: one of `passed`; or the first one, where the work fails without records, too.
    """
    try:
        return work()
    except passed:
        raise
    except Exception as error:
        fault = error
    try:
        with without_records(role):
            found = work()
    except Exception:
        raise fault from None
    failed(fault)
    return found


def bounded(vector: np.ndarray, mechanism: Mechanism) -> np.ndarray:
    """The vector int64 [length] of a phase's work; ValueError where it is none, or beyond the phase's public bound."""
    most = mechanism.shape.bound if mechanism.own_noise_only else mechanism.bound
    if vector.shape != (mechanism.length,) or vector.dtype != np.int64:
        raise ValueError(f"expected int64 [{mechanism.length}], got {vector.dtype} {vector.shape}")
    if vector.size and not -most <= int(vector.min()) <= int(vector.max()) <= most:
        raise ValueError("the vector exceeds the public bound of its phase")
    return vector


def _sampled_gradient(
    examples: Examples, parameters: np.ndarray, plan: Plan, context: RoundContext, step: int
) -> np.ndarray:
    """Sum of clipped gradients over one Poisson sample, in grid units: int64 [p]."""
    stream = context.stream(Purpose.SAMPLING, step)
    rows = poisson_sample(stream, len(examples), plan.training.sample_rate)
    return to_grid(examples.clipped(parameters, rows), context.mechanism.grid, context.mechanism.bound)


def train_step(examples: Examples, parameters: np.ndarray, plan: Plan, context: RoundContext) -> np.ndarray:
    """What a party answers in a training round: int64 [p] in grid units.

    In one-step DP-SGD this is the exact sum, to which the node adds this party's share of the noise.
    """
    if plan.training.local is None:
        return _sampled_gradient(examples, parameters, plan, context, 0)
    return _local_training(examples, parameters, plan, context)


def _local_training(examples: Examples, parameters: np.ndarray, plan: Plan, context: RoundContext) -> np.ndarray:
    """DP-SGD steps at this party with all of the noise at each: FedAvg, and FedProx with its proximal pull.

    Returns int64 [p] in grid units, the step that the party proposes as if it were one gradient sum: with weights
    w0 before and w after, (w0 - w) * sample rate * nominal records / (learning rate * steps). Summed over parties
    and divided by the sample rate and all nominal records it is the average of McMahan et al. (2017), weighted by
    public counts. The proximal term mu (w - w0) is that of Li et al. (2020), and reads no record. Everything after
    the noise is post-processing, so the result may be cut off and needs no more noise.
    """
    local, mechanism = plan.training.local, context.mechanism
    if local is None:
        raise ValueError("the plan has no local steps")
    expected = plan.training.sample_rate * plan.nominal_training(plan.party(context.address.sender))
    weights = parameters.copy()
    for step in range(local.steps):
        exact = _sampled_gradient(examples, weights, plan, context, step)
        noisy = mechanism.noised(exact, context.stream(Purpose.NOISE, step), context.cohort)
        gradient = noisy * mechanism.grid / expected + local.proximal * (weights - parameters)
        weights = weights - local.learning_rate * gradient
    proposed = (parameters - weights) * expected / (local.learning_rate * local.steps)
    return to_grid(proposed, mechanism.grid, mechanism.shape.bound)
