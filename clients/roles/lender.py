"""The lender's side of every phase: from its own records to what the node may release.

Each phase is one method under the name that it has in the coordinator. For a sum it gets the public parts that the
phase builds on and returns the work to be done once the node has charged the release; what depends on records
happens only in that work. For a paired phase it gets a step and what the peer sent, and returns what is sent back.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import torch

from sealscore.clients.roles.bands import band_of
from sealscore.clients.roles.encoding import Scorer, expect
from sealscore.clients.roles.errors import LocalFault, Refused
from sealscore.clients.roles.lifetime import Lifetime, TokenLevels
from sealscore.clients.roles.releases import Kept, Payload, PayloadRelease
from sealscore.clients.roles.role import Pair, PairContext, PartyRole, RoundContext, Sum, Tell
from sealscore.shared.crypto.alignment import AlignmentError, Asking
from sealscore.shared.crypto.payloads import bits_for
from sealscore.shared.crypto.psi import Progress
from sealscore.shared.dp.events import Disclosure, Event, NoNoise, RandomizedResponse
from sealscore.shared.dp.mechanisms import Mechanism, Mechanisms, to_grid
from sealscore.shared.messages.parts import score_digest
from sealscore.shared.model.additive.curve import CURVE_LENGTH, SUMS, PdCurve, residual_sums
from sealscore.shared.model.bins import Binning
from sealscore.shared.model.score_table import score_table
from sealscore.shared.model.signal import merged_levels
from sealscore.shared.monitoring.counting import first_passages
from sealscore.shared.persons.consent import FEDERATION
from sealscore.shared.persons.records import Records
from sealscore.shared.phases.evaluate import entry_weights
from sealscore.shared.phases.kind import Kind
from sealscore.shared.phases.order import Phase
from sealscore.shared.plan.plan import Plan, signal_name
from sealscore.shared.plan.towers import planned_tower
from sealscore.shared.randomness.streams import Purpose


class Lender(PartyRole):
    """A lender's records under a plan."""

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
        super().__init__(plan, name, mechanisms, records, lifetime, progress, tell)
        self._questions: dict[str, Asking] = {}
        # What platforms told before a restart is there again, as is that they agreed to its use under this plan.
        self._levels = lifetime.disclosure_store.received(plan.hash, "signal")
        if plan.signals_from is not None:
            earlier = lifetime.disclosure_store.received(plan.signals_from.plan, "signal")
            self._levels = {platform: earlier.get(platform, {}) for platform in self._levels}
        self._told_bands = lifetime.disclosure_store.received(plan.hash, "groups")
        self._split: dict[bool, Records] = {}
        self._targets: torch.Tensor | None = None
        self._deletions = 0
        source, kept = plan.signals_from, lifetime.token_levels
        if source is not None and source.retraining is not None and kept is not None:
            self.before_sum = partial(self._heed_deletions, kept)

    def check_told(self, phase: Phase) -> None:
        """Signals, and bands where the plan has any, must be there for every sum but the first."""
        if phase.kind is Kind.RATE:
            return
        for group in self._plan.platforms:
            platforms = {party.name for party in self._plan.members(group)}
            if platforms - set(self._levels) or (self._plan.groups_at(group) and platforms - set(self._told_bands)):
                raise Refused("no-signals")

    def summed(self, phase: Phase, parameters: np.ndarray, parts: dict[str, bytes]) -> Sum:
        """As the role."""
        if phase.kind is Kind.RATE:
            return self.count_outcomes(phase, parameters)
        if phase.kind is Kind.BIN:
            return self.bin(phase, parameters)
        if phase.kind is Kind.PASSAGES:
            return self.count_passages(phase, parameters)
        make = {
            Kind.FIRST: self.fit_units,
            Kind.PAIRS: self.fit_units,
            Kind.SECOND: self.fit_units,
            Kind.CALIBRATE: self.calibrate,
            Kind.RESIDUALS: self.sum_residuals,
            Kind.EVALUATE: self.evaluate,
        }
        return make[phase.kind](phase, parameters, parts)

    def steps(self, parts: dict[str, bytes]) -> Mapping[tuple[Kind, int], Callable[[], Pair]]:
        """What it does in which step of a paired phase."""
        return {
            (Kind.ALIGN, 1): lambda: self.align_request,
            (Kind.ALIGN, 3): lambda: self.align_handles,
            (Kind.LABELS, 1): lambda: self.release_labels,
            (Kind.SIGNAL, 2): lambda: self.disclose_signal,
            (Kind.GROUPS, 2): lambda: self.disclose_groups,
            (Kind.REUSE, 2): lambda: self.reuse_signal,
        }

    def scored_records(self) -> Records:
        """All records with the signals that have come, as training and scoring see them; for use at this party."""
        columns = dict(self._records.columns)
        for group in self._plan.platforms:
            platforms = [party.name for party in self._plan.members(group) if party.name in self._levels]
            told = [self._live(platform, self._told_by(platform)) for platform in platforms]
            of_person = ([levels[person] for levels in told if person in levels] for person in self._records.person)
            columns[signal_name(group)] = merged_levels(of_person)
        return dataclasses.replace(self._records, columns=columns)

    def _told_by(self, platform: str) -> Mapping[str, int]:
        """What a platform told in training, and of others by tokens, where the plan lets these levels be used."""
        told, source, kept = self._levels[platform], self._plan.signals_from, self._lifetime.token_levels
        if source is None or source.retraining is None or kept is None:
            return told
        meaning = source.meanings[self._plan.party(platform).group]
        return {**kept.of(platform, meaning, source.retraining, self._records.person), **told}

    def _heed_deletions(self, kept: TokenLevels) -> None:
        """Use levels of tokens no more that were withdrawn since they were read."""
        if (deletions := kept.deletions()) != self._deletions:
            self._deletions = deletions
            self.changed()

    def _live(self, platform: str, told: Mapping[str, int]) -> Mapping[str, int]:
        """What a platform told, of those who still consent to being joined with it and to sums."""
        if self._records.consent is None:
            return told
        live = set(self._joined(platform))
        return {person: value for person, value in told.items() if person in live}

    def forget(self, peer: str, persons: Sequence[str]) -> None:
        """Use no more what a platform told of these persons."""
        self._pairs.forget(peer, persons)
        for told in (self._levels.get(peer, {}), self._told_bands.get(peer, {})):
            for person in persons:
                told.pop(person, None)
        self.changed()

    def changed(self) -> None:
        super().changed()
        self._split.clear()
        self._targets = None

    def training_examples(self, tower: str, binning: Binning) -> tuple[torch.Tensor, torch.Tensor]:
        """Codes float64 [n, width] and targets float64 [n] that a tower learns from; for use at this party."""
        codes = self._encoders[tower].codes("training", self._part(False).columns, binning)
        return codes, self._training_labels()

    def training_bins(self, tower: str, binning: Binning) -> tuple[np.ndarray, np.ndarray]:
        """Bins, integers [features, n], and targets float64 [n] that a tower learns from; for use at this party."""
        bins = self._encoders[tower].bins("training", self._part(False).columns, binning)
        return bins, self._training_labels().numpy()

    def training_records(self) -> Records:
        """All training records of persons who consent to sums; for use at this party."""
        return self._part(False)

    def count_outcomes(self, phase: Phase, parameters: np.ndarray) -> Sum:
        """Counts of training records with a good outcome and with a bad one."""
        expect(parameters, 0)
        mechanism = self._mechanisms.mechanism(phase, 2)

        def work(context: RoundContext) -> np.ndarray:
            return mechanism.counts(np.bincount(self._labels(False), minlength=2).astype(np.int64))

        return work, mechanism

    def calibrate(self, phase: Phase, parameters: np.ndarray, parts: dict[str, bytes]) -> Sum:
        """Counts of training records over score cells and labels."""
        score, mechanism = self._scorer(phase, parameters, parts)

        def work(context: RoundContext) -> np.ndarray:
            logits = self._logits(score, False)
            return mechanism.counts(score_table(logits, self._labels(False), self._plan.evaluation.cells))

        return work, mechanism

    def sum_residuals(self, phase: Phase, parameters: np.ndarray, parts: dict[str, bytes]) -> Sum:
        """Residuals and curvature of training records by knots of the curve, whose numbers follow the weights."""
        encoder = self._encoders[phase.tower]
        length = encoder.score_length(parts)
        expect(parameters, length + CURVE_LENGTH)
        self._check_kept(phase, parameters[:length], parts)
        score = encoder.scorer(parameters[:length], parts)
        mechanism = self._mechanisms.mechanism(phase, SUMS)
        try:
            curve = PdCurve.of_vector(parameters[length:])
        except ValueError:
            raise Refused("bad-parameters") from None

        def work(context: RoundContext) -> np.ndarray:
            total = residual_sums(curve, self._logits(score, False), self._labels(False).astype(np.float64))
            return to_grid(total, mechanism.grid, mechanism.bound)

        return work, mechanism

    def evaluate(self, phase: Phase, parameters: np.ndarray, parts: dict[str, bytes]) -> Sum:
        """Counts of test records over score cells and labels: all of them, then by the bands of attributes."""
        score, mechanism = self._scorer(phase, parameters, parts)
        attributes, weights = planned_tower(self._plan, phase.tower).bands, entry_weights(self._plan, phase.tower)

        def work(context: RoundContext) -> np.ndarray:
            logits, labels = self._logits(score, True), self._labels(True)
            cells = self._plan.evaluation.judged_cells
            tables = [score_table(logits, labels, cells)]
            for name in attributes:
                band = self._band(name)
                for index in range(len(self._plan.bands(name))):
                    tables.append(score_table(logits[band == index], labels[band == index], cells))
            return mechanism.counts(np.concatenate(tables), weights)

        return work, mechanism

    def count_passages(self, phase: Phase, parameters: np.ndarray) -> Sum:
        """Counts of all loans by the month, the event and the bands of the plan's first-passage tables."""
        expect(parameters, 0)
        mechanism = self._mechanisms.mechanism(phase, self._mechanisms.longest(phase))

        def work(context: RoundContext) -> np.ndarray:
            loans = self._records.take(self._records.live(FEDERATION, self._plan.purpose_code))
            return mechanism.counts(first_passages(self._plan, loans.columns))

        return work, mechanism

    def align_request(self, context: PairContext, body: bytes) -> Payload:
        """Step 1 of align: ask a platform which of the consented persons it knows."""
        if body:
            raise Refused("malformed")
        persons = self._joined(context.peer)
        try:
            question = self._pairs.matching(self._name, context.peer).ask(persons, context.stream(Purpose.FILLER))
        except AlignmentError as error:
            raise LocalFault(f"{self._name} cannot align with {context.peer}: {error}") from None
        self._questions[context.peer] = question
        return Payload.of(question.request)

    def align_handles(self, context: PairContext, body: bytes) -> Payload:
        """Step 3 of align: give a random handle to each person whom the platform knows."""
        # Its key serves one response: with a second one the platform could try what it likes.
        question = self._questions.pop(context.peer, None)
        if question is None:
            raise Refused("out-of-order")
        try:
            message, aligned = question.handles(body, context.stream(Purpose.HANDLES))
        except AlignmentError as error:
            raise LocalFault(f"{self._name} cannot align with {context.peer}: {error}") from None
        self._pairs.keep(context.peer, aligned)
        event = Disclosure(bits=1, recipient=context.peer, count=1)
        persons = len(aligned.persons)
        return Payload(lambda: message, (PayloadRelease(event, "applied", lambda: Kept(persons, persons)),))

    def release_labels(self, context: PairContext, body: bytes) -> Payload:
        """Step 1 of release_labels: a noisy bit for each aligned person, of test persons and the like a fair one.

        A person is bad where any training record is. Without an epsilon the plan is a simulation without privacy:
        labels go as they are, with chance in the place of everybody else.
        """
        aligned, epsilon = self._pairs[context.peer], self._plan.privacy.label_epsilon
        outcome, store = self._plan.outcome.meaning, self._lifetime.labels
        bad: dict[str, int] = {}
        part, live = self._part(False), set(self._joined(context.peer))
        for person, label in zip(part.person, self._labels(False).tolist(), strict=True):
            bad[person] = max(label, bad.get(person, 0))
        told = [person for person in aligned.persons if person in live]
        sent: dict[str, int] | None = None

        def keep() -> Kept:
            nonlocal sent
            if epsilon is None:
                sent = {person: bad[person] for person in told if person in bad}
                return Kept(len(sent), len(sent))
            truth = np.array([bad.get(person, -1) for person in told], dtype=np.int8)
            release = store.release(told, truth, outcome, epsilon, context.peer, self._plan.hash)
            sent = dict(zip(told, release.bits.tolist(), strict=True))
            return Kept(len(told), release.fresh)

        def make() -> bytes:
            if sent is None:
                raise RuntimeError("labels are sent once their noise is drawn and kept")
            return self._pairs.write(context.peer, sent, 2, fill, context.stream(Purpose.FILLER))

        def fill(handle: bytes) -> int:
            return -1 if epsilon is None else self._lifetime.fills.of_place("label", outcome, handle, 2)

        event: Event = NoNoise(count=1, what=context.address.phase)
        if epsilon is not None:
            event = RandomizedResponse(epsilon=epsilon, count=1)
        return Payload(make, (PayloadRelease(event, outcome, keep),))

    def disclose_signal(self, context: PairContext, body: bytes) -> Payload:
        """Step 2 of disclose_signal: take the levels that a platform tells of the aligned persons."""
        told = self._pairs.read(context.peer, body, self._plan.model.signal_levels)

        def keep() -> Kept:
            self._levels[context.peer] = told
            self.changed()
            return self._received(context.peer, "signal", told)

        return self._told(context.peer, self._plan.model.signal_bits, "signal", keep)

    def disclose_groups(self, context: PairContext, body: bytes) -> Payload:
        """Step 2 of disclose_groups: take the bands of protected attributes that a platform tells of test persons."""
        levels = int(np.prod(self._band_sizes(context.peer)))
        codes = self._pairs.read(context.peer, body, levels)
        of_test = {person for person, test in zip(self._records.person, self._records.test, strict=True) if test}
        told = {person: code for person, code in codes.items() if person in of_test}

        def keep() -> Kept:
            self._told_bands[context.peer] = told
            return self._received(context.peer, "groups", told)

        return self._told(context.peer, bits_for(levels), "groups", keep)

    def reuse_signal(self, context: PairContext, body: bytes) -> Payload:
        """Step 2 of reuse_signal: take up again the levels that a platform told under the earlier plan.

        They stay in the store under that plan, where a withdrawal deletes them; of this plan it has that the platform
        agreed.
        """
        source, store = self._plan.signals_from, self._lifetime.disclosure_store
        if source is None or body != source.meanings[self._plan.party(context.peer).group].encode("ascii"):
            raise Refused("malformed")
        store.receive(self._plan.hash, context.peer, "signal", {})
        self._levels[context.peer] = store.received(source.plan, "signal").get(context.peer, {})
        self.changed()
        return Payload.of(b"")

    def _received(self, peer: str, kind: str, told: dict[str, int]) -> Kept:
        """Keep what a platform told; new is what the platform had not told under this plan before."""
        disclosure_store = self._lifetime.disclosure_store
        known = disclosure_store.received(self._plan.hash, kind).get(peer, {})
        disclosure_store.receive(self._plan.hash, peer, kind, told)
        return Kept(len(told), sum(known.get(person) != value for person, value in told.items()))

    def _told(self, peer: str, bits: int, what: str, keep: Callable[[], Kept]) -> Payload:
        """Nothing to send back; what was told of each person is noted at this side too."""
        event = Disclosure(bits=bits, recipient=self._name, count=1)
        return Payload(lambda: b"", (PayloadRelease(event, f"{what} of {peer}", keep),))

    def _band_sizes(self, platform: str) -> list[int]:
        names = self._plan.groups_at(self._plan.party(platform).group)
        return [len(self._plan.bands(name)) for name in names]

    def _part(self, test: bool) -> Records:
        if test not in self._split:
            scored = self.scored_records()
            live = scored.live(FEDERATION, self._plan.purpose_code)
            self._split[test] = scored.take((scored.test == test) & live)
        return self._split[test]

    def _training_labels(self) -> torch.Tensor:
        """True labels of the training records, float64 [n]."""
        if self._targets is None:
            self._targets = torch.from_numpy(self._labels(False).astype(np.float64))
        return self._targets

    def _labels(self, test: bool) -> np.ndarray:
        if self._records.label is None:
            raise LocalFault(f"{self._name} holds no labels")
        label = self._part(test).label
        return np.zeros(0, dtype=np.int8) if label is None else label

    def _logits(self, score: Scorer, test: bool) -> np.ndarray:
        return score("test" if test else "training", self._part(test).columns)

    def _scorer(self, phase: Phase, parameters: np.ndarray, parts: dict[str, bytes]) -> tuple[Scorer, Mechanism]:
        encoder = self._encoders[phase.tower]
        score = encoder.scorer(parameters, parts, calibrated=phase.codes)  # refuses what has another shape
        self._check_kept(phase, parameters[: encoder.score_length(parts)], parts)
        return score, self._mechanisms.mechanism(phase, self._mechanisms.longest(phase))

    def _check_kept(self, phase: Phase, weights: np.ndarray, parts: Mapping[str, bytes]) -> None:
        """Refuse another score than the one that the plan keeps, where it keeps any."""
        source = self._plan.scores_from
        if source is None:
            return
        if source.towers[phase.tower] != score_digest(parts["bins"], parts.get("codes"), weights):
            raise Refused("bad-parameters")

    def _band(self, name: str) -> np.ndarray:
        """Bands of the test records in a group: by an own column, or as platforms have told; the last is missing."""
        part = self._part(True)
        if name in self._plan.groups_at(self._plan.lenders):
            return band_of(self._plan, name, part.columns[name])
        told, missing = self._bands_told(name), len(self._plan.bands(name)) - 1
        return np.array([told.get(person, missing) for person in part.person], dtype=np.int64)

    def _bands_told(self, name: str) -> dict[str, int]:
        """The bands of a group that platforms told, by person."""
        found: dict[str, int] = {}
        for platform, codes in sorted(self._told_bands.items()):
            names = self._plan.groups_at(self._plan.party(platform).group)
            if name in names:
                place, sizes = names.index(name), self._band_sizes(platform)
                for person, code in self._live(platform, codes).items():
                    found[person] = int(np.unravel_index(code, sizes)[place])
        return found
