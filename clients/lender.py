"""The lender's side of every phase: from its own records to what the node may release.

Each phase is one method under the name that it has in the coordinator. For a sum it gets the public parts that the
phase builds on and returns the work to be done once the node has charged the release; what depends on records
happens only in that work. For a paired phase it gets a step and what the peer sent, and returns what is sent back.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from clients.bands import band_of
from clients.coder import Coder, expect
from clients.context import PairContext, RoundContext
from clients.lifetime import Lifetime
from clients.pairing import Pairs
from clients.refused import LocalFault, Refused
from clients.training import train_step
from clients.work import Pair, Payload, Sum
from shared.crypto.alignment import AlignmentError, Asking
from shared.crypto.psi import Progress
from shared.model.bins import Binning, histogram, histogram_length
from shared.model.loss import cross_entropy
from shared.model.score_table import score_table
from shared.model.tower import Tower, row_logits
from shared.payloads import bits_for, pack_numbers
from shared.phases import Kind, Phase
from shared.plan import Plan, signal_name
from shared.privacy.events import Disclosure, NoNoise, RandomizedResponse
from shared.privacy.gradients import gradient_engine
from shared.privacy.mechanisms import Mechanism, Mechanisms
from shared.privacy.streams import Purpose
from shared.records import Records


class Lender:
    """A lender's records under a plan."""

    def __init__(
        self,
        plan: Plan,
        name: str,
        mechanisms: Mechanisms,
        records: Records,
        lifetime: Lifetime,
        progress: Progress | None = None,
    ) -> None:
        self._plan, self._name, self._mechanisms = plan, name, mechanisms
        self._records, self._lifetime = records, lifetime
        self._coder = Coder(plan, plan.lenders)
        self._pairs = Pairs(plan, name, progress)
        self._asking: dict[str, Asking] = {}
        self._levels: dict[str, dict[str, dict[str, int]]] = {group: {} for group in plan.platforms}
        self._bands: dict[str, dict[str, int]] = {}
        self._banded: set[str] = set()
        self._split: dict[bool, Records] = {}
        self._targets: torch.Tensor | None = None

    def sum(self, phase: Phase, parameters: np.ndarray, parts: dict[str, bytes]) -> Sum:
        """The work of a phase with a sum. Reads no record: a refusal here depends on request and plan alone."""
        for group in self._plan.platforms:
            platforms = {party.name for party in self._plan.members(group)}
            if set(self._levels[group]) != platforms or (self._plan.groups_at(group) and platforms - self._banded):
                raise Refused("no-signals")
        if phase.kind is Kind.BIN:
            return self.bin(phase, parameters)
        make = {Kind.TRAIN: self.train_tower, Kind.CALIBRATE: self.calibrate, Kind.EVALUATE: self.evaluate}
        return make[phase.kind](phase, parameters, self._coder.binning(parts["bins"]))

    def pair(self, phase: Phase, peer: str, step: int, parts: dict[str, bytes]) -> Pair:
        """The work of a step of a paired phase."""
        steps: dict[tuple[Kind, int], Pair] = {
            (Kind.ALIGN, 1): self.align_request,
            (Kind.ALIGN, 3): self.align_handles,
            (Kind.LABELS, 1): self.release_labels,
            (Kind.SIGNAL, 2): self.disclose_signal,
            (Kind.GROUPS, 2): self.disclose_groups,
        }
        if (phase.kind, step) not in steps:
            raise Refused("no-such-step")
        return steps[phase.kind, step]

    def scored_records(self) -> Records:
        """All records with the signals that have come, as training and scoring see them; for use at this party."""
        columns = dict(self._records.columns)
        for group, by_platform in self._levels.items():
            columns[signal_name(group)] = _merged_levels(self._records.person, by_platform)
        return dataclasses.replace(self._records, columns=columns)

    def bin(self, phase: Phase, parameters: np.ndarray) -> Sum:
        """Counts of training records over the public cells of every feature of the tower."""
        expect(parameters, 0)
        cells = self._plan.model.grid_cells
        mechanism = self._mechanisms.mechanism(phase, histogram_length(self._coder.features, cells))

        def work(context: RoundContext) -> np.ndarray:
            return mechanism.counts(histogram(self._part(False).columns, self._coder.features, cells))

        return work, mechanism

    def train_tower(self, phase: Phase, parameters: np.ndarray, binning: Binning) -> Sum:
        """The clipped gradient of a Poisson sample of training records, or the mean of noisy local steps."""
        tower = self._coder.tower(binning, parameters)
        mechanism = self._mechanisms.mechanism(phase, len(parameters))
        clip = self._plan.clip_norm(phase.group)
        engine = gradient_engine(self._plan.training.engine, tower, cross_entropy, clip)

        def work(context: RoundContext) -> np.ndarray:
            codes, labels = self._codes(False, binning), self._training_labels()
            return train_step(engine, parameters, codes, labels, self._plan, context)

        return work, mechanism

    def calibrate(self, phase: Phase, parameters: np.ndarray, binning: Binning) -> Sum:
        """Counts of training records over score cells and labels."""
        tower, mechanism = self._scorer(phase, parameters, binning)

        def work(context: RoundContext) -> np.ndarray:
            logits = row_logits(tower, self._codes(False, binning))
            return mechanism.counts(score_table(logits, self._labels(False), self._plan.evaluation.cells))

        return work, mechanism

    def evaluate(self, phase: Phase, parameters: np.ndarray, binning: Binning) -> Sum:
        """Counts of test records over score cells and labels: all of them, then by the bands of each group."""
        tower, mechanism = self._scorer(phase, parameters, binning)

        def work(context: RoundContext) -> np.ndarray:
            logits, labels = row_logits(tower, self._codes(True, binning)), self._labels(True)
            cells = self._plan.evaluation.cells
            tables = [score_table(logits, labels, cells)]
            for name in self._plan.evaluation.groups:
                band = self._band(name)
                for index in range(len(self._plan.bands(name))):
                    tables.append(score_table(logits[band == index], labels[band == index], cells))
            return mechanism.counts(np.concatenate(tables))

        return work, mechanism

    def align_request(self, context: PairContext, body: bytes) -> Payload:
        """Step 1 of align: ask a platform which of the consented persons it knows."""
        if body:
            raise Refused("malformed")
        persons = self._records.consenting(context.peer)
        try:
            asking = self._pairs.matching(self._name, context.peer).ask(persons, context.stream(Purpose.FILLER))
        except AlignmentError as error:
            raise LocalFault(f"{self._name} cannot align with {context.peer}: {error}") from None
        self._asking[context.peer] = asking
        return Payload.of(asking.request)

    def align_handles(self, context: PairContext, body: bytes) -> Payload:
        """Step 3 of align: give a random handle to each person whom the platform knows."""
        # Its key serves one response: with a second one the platform could try what it likes.
        asking = self._asking.pop(context.peer, None)
        if asking is None:
            raise Refused("out-of-order")
        try:
            message, aligned = asking.handles(body, context.stream(Purpose.HANDLES))
        except AlignmentError as error:
            raise LocalFault(f"{self._name} cannot align with {context.peer}: {error}") from None
        self._pairs.keep(context.peer, aligned)
        return Payload(lambda: message, (Disclosure(bits=1, recipient=context.peer, count=1),))

    def release_labels(self, context: PairContext, body: bytes) -> Payload:
        """Step 1 of release_labels: a noisy bit for each aligned training person, bad where any record of it is."""
        aligned, epsilon = self._pairs[context.peer], self._plan.privacy.label_epsilon
        outcome = f"{self._plan.outcome.definition}|{self._plan.outcome.window_days}"
        bad: dict[str, int] = {}
        part = self._part(False)
        for person, label in zip(part.person, self._labels(False).tolist(), strict=True):
            bad[person] = max(label, bad.get(person, 0))
        told = [person for person in aligned.persons if person in bad]
        truth = np.array([bad[person] for person in told], dtype=np.int8)
        store = self._lifetime.labels

        def make() -> bytes:
            # Without an epsilon the plan is a simulation without privacy, and the labels go as they are.
            sent = truth if epsilon is None else store.release(told, truth, outcome, epsilon).bits
            bits = dict(zip(told, sent.tolist(), strict=True))
            numbers = np.array([bits.get(person, -1) for person in aligned.persons], dtype=np.int64)
            return pack_numbers(aligned, numbers, 2, context.stream(Purpose.FILLER))

        if epsilon is None:
            return Payload(make, (NoNoise(count=1, what=context.header.phase),))
        fresh = store.peek(told, outcome, epsilon)
        return Payload(make, (RandomizedResponse(epsilon=epsilon, count=1),) if fresh else ())

    def disclose_signal(self, context: PairContext, body: bytes) -> Payload:
        """Step 2 of disclose_signal: take the levels that a platform tells of the aligned persons."""
        aligned = self._pairs[context.peer]
        levels = self._pairs.read(context.peer, body, self._plan.model.signal_levels)
        group = self._plan.party(context.peer).group
        self._levels[group][context.peer] = dict(zip(aligned.persons, levels, strict=True))
        self._split.clear()
        return self._told(self._plan.model.signal_bits)

    def disclose_groups(self, context: PairContext, body: bytes) -> Payload:
        """Step 2 of disclose_groups: take the bands of protected attributes that a platform tells of test persons."""
        aligned = self._pairs[context.peer]
        names = self._plan.groups_at(self._plan.party(context.peer).group)
        sizes = [len(self._plan.bands(name)) for name in names]
        codes = self._pairs.read(context.peer, body, int(np.prod(sizes)))
        of_test = {person for person, test in zip(self._records.person, self._records.test, strict=True) if test}
        for person, code in zip(aligned.persons, codes, strict=True):
            if person in of_test:
                for name, band in zip(names, np.unravel_index(code, sizes), strict=True):
                    self._bands.setdefault(name, {})[person] = int(band)
        self._banded.add(context.peer)
        return self._told(bits_for(int(np.prod(sizes))))

    def _told(self, bits: int) -> Payload:
        """Nothing to send back; what was told of each person is noted at this side too."""
        return Payload(lambda: b"", (Disclosure(bits=bits, recipient=self._name, count=1),))

    def _part(self, test: bool) -> Records:
        if test not in self._split:
            scored = self.scored_records()
            self._split[test] = scored.take(scored.test == test)
        return self._split[test]

    def _training_labels(self) -> torch.Tensor:
        """True labels of the training records, float64 [n]."""
        if self._targets is None:
            self._targets = torch.from_numpy(self._labels(False).astype(np.float64))
        return self._targets

    def _labels(self, test: bool) -> np.ndarray:
        if self._records.label is None:
            raise LocalFault(f"{self._name} holds no labels")
        return self._records.label[self._records.test == test]

    def _codes(self, test: bool, binning: Binning) -> torch.Tensor:
        return self._coder.codes("test" if test else "training", self._part(test).columns, binning)

    def _scorer(self, phase: Phase, parameters: np.ndarray, binning: Binning) -> tuple[Tower, Mechanism]:
        tower = self._coder.tower(binning, parameters)
        return tower, self._mechanisms.mechanism(phase, self._mechanisms.table_length(phase))

    def _band(self, name: str) -> np.ndarray:
        """Bands of the test records in a group: by an own column, or as platforms have told; the last is missing."""
        part = self._part(True)
        if name in part.columns:
            return band_of(self._plan, name, part.columns[name])
        told, missing = self._bands.get(name, {}), len(self._plan.bands(name)) - 1
        return np.array([told.get(person, missing) for person in part.person], dtype=np.int64)


def _merged_levels(persons: tuple[str, ...], by_platform: dict[str, dict[str, int]]) -> np.ndarray:
    """Each person's level, float64 [n]: the rounded mean where several platforms of a kind know it, NaN where none."""
    told = [[levels[person] for levels in by_platform.values() if person in levels] for person in persons]
    return np.array([float(np.rint(np.mean(levels))) if levels else np.nan for levels in told])
