"""The platform's side of every phase: from its own records to what the node may release.

As in `sealscore.clients.roles.lender`, a phase is one method under the name that it has in the coordinator. A platform
trains on those of its persons that a lender aligned, with the noisy labels that the lender released.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch

from sealscore.clients.roles.bands import band_codes, told_meaning
from sealscore.clients.roles.errors import LocalFault, Refused
from sealscore.clients.roles.lifetime import Lifetime
from sealscore.clients.roles.releases import Kept, Payload, PayloadRelease
from sealscore.clients.roles.role import Pair, PairContext, PartyRole, RoundContext, Sum, Tell
from sealscore.shared.crypto.alignment import AlignmentError, Answering
from sealscore.shared.crypto.payloads import bits_for
from sealscore.shared.crypto.psi import Progress
from sealscore.shared.dp.events import Disclosure
from sealscore.shared.dp.mechanisms import Mechanisms
from sealscore.shared.messages.parts import edges_from_bytes, weights_from_bytes
from sealscore.shared.model.bins import Binning
from sealscore.shared.model.signal import CELLS, signal_histogram, signal_levels
from sealscore.shared.model.tower import ForwardCorrected
from sealscore.shared.persons.records import Records
from sealscore.shared.phases.kind import Kind
from sealscore.shared.phases.order import Phase
from sealscore.shared.phases.signal.meaning import signal_meaning
from sealscore.shared.plan.plan import Plan
from sealscore.shared.randomness.streams import Purpose


class Platform(PartyRole):
    """A platform's records under a plan."""

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
        self._row = _first_rows(records)
        self._answering: dict[str, Answering] = {}
        # What lenders released before a restart is there again.
        self._bits = lifetime.disclosure_store.received(plan.hash, "label")
        self._rows: np.ndarray | None = None
        self._labels: torch.Tensor | None = None
        if (epsilon := plan.privacy.label_epsilon) is not None:
            self.loss = ForwardCorrected.of_epsilon(epsilon)

    def check_told(self, phase: Phase) -> None:
        """Every lender must be aligned with, and must have released its labels where gradients are summed."""
        lenders = {party.name for party in self._plan.members(self._plan.lenders)}
        if {peer for peer, _ in self._pairs.items()} != lenders:
            raise Refused("not-aligned")
        if phase.of.clips and set(self._bits) != lenders:
            raise Refused("no-labels")

    def summed(self, phase: Phase, parameters: np.ndarray, parts: dict[str, bytes]) -> Sum:
        """As the role."""
        if phase.kind is Kind.BIN:
            return self.bin(phase, parameters)
        return (self.fit_units if phase.of.clips else self.signal_edges)(phase, parameters, parts)

    def steps(self, parts: dict[str, bytes]) -> Mapping[tuple[Kind, int], Callable[[], Pair]]:
        """What it does in which step of a paired phase."""
        return {
            (Kind.ALIGN, 2): lambda: self.align_response,
            (Kind.ALIGN, 4): lambda: self.align_accept,
            (Kind.LABELS, 2): lambda: self.release_labels,
            (Kind.SIGNAL, 1): lambda: self.disclose_signal(parts),
            (Kind.GROUPS, 1): lambda: self.disclose_groups,
            (Kind.REUSE, 1): lambda: self.reuse_signal,
        }

    def replace(self, records: Records) -> None:
        """Go on with other records of the same data set, from the next round on."""
        self._row = _first_rows(records)
        super().replace(records)

    def forget(self, peer: str, persons: Sequence[str]) -> None:
        """Use no more what a lender told of these persons."""
        self._pairs.forget(peer, persons)
        for person in persons:
            self._bits.get(peer, {}).pop(person, None)
        self.changed()

    def changed(self) -> None:
        super().changed()
        self._rows = self._labels = None

    def training_examples(self, tower: str, binning: Binning) -> tuple[torch.Tensor, torch.Tensor]:
        """Codes float64 [n, width] and noisy labels float64 [n] that the tower learns from; for use at this party."""
        codes = self._encoders[tower].codes("all", self._records.columns, binning)
        return codes[self._training_rows()], self._noisy_labels()

    def training_bins(self, tower: str, binning: Binning) -> tuple[np.ndarray, np.ndarray]:
        """Bins, integers [features, n], and noisy labels float64 [n] of the same; for use at this party."""
        bins = self._encoders[tower].bins("all", self._records.columns, binning)
        return bins[:, self._training_rows()], self._noisy_labels().numpy()

    def training_records(self) -> Records:
        """Aligned training records; for use at this party."""
        return self._records.take(self._training_rows())

    def signal_edges(self, phase: Phase, parameters: np.ndarray, parts: dict[str, bytes]) -> Sum:
        """Counts of aligned training records over the public cells of the tower's logit."""
        score = self._encoders[phase.tower].scorer(parameters, parts)
        mechanism = self._mechanisms.mechanism(phase, CELLS)

        def work(context: RoundContext) -> np.ndarray:
            logits = score("all", self._records.columns)[self._training_rows()]
            return mechanism.counts(signal_histogram(logits))

        return work, mechanism

    def align_response(self, context: PairContext, body: bytes) -> Payload:
        """Step 2 of align: tell a lender which of its persons are here and consented to it; so often a month."""
        persons, filler = self._joined(context.peer), context.stream(Purpose.FILLER)
        try:
            answering = self._pairs.matching(context.peer, self._name).answer(body, persons, filler)
        except AlignmentError as error:
            raise LocalFault(f"{self._name} cannot align with {context.peer}: {error}") from None
        self._answering[context.peer] = answering
        event = Disclosure(bits=1, recipient=context.peer, count=1)
        known = len(persons)
        return Payload(lambda: answering.response, (PayloadRelease(event, "known", lambda: Kept(known, known)),))

    def align_accept(self, context: PairContext, body: bytes) -> Payload:
        """Step 4 of align: take the handles by which the lender will speak of these persons."""
        answering = self._answering.pop(context.peer, None)
        if answering is None:
            raise Refused("out-of-order")
        try:
            aligned = answering.accept(body)
        except AlignmentError as error:
            raise LocalFault(f"{self._name} cannot align with {context.peer}: {error}") from None
        self._pairs.keep(context.peer, aligned)
        return Payload.of(b"")

    def release_labels(self, context: PairContext, body: bytes) -> Payload:
        """Step 2 of release_labels: take the noisy labels of the aligned training persons."""
        bits = self._pairs.read(context.peer, body, 2)
        self._bits[context.peer] = bits
        self._lifetime.disclosure_store.receive(self._plan.hash, context.peer, "label", bits)
        self.changed()
        return Payload.of(b"")

    def disclose_signal(self, parts: dict[str, bytes]) -> Pair:
        """Step 1 of disclose_signal: the level of every aligned person, once."""
        levels, encoder = self._plan.model.signal_levels, self._encoders[self._group]
        try:
            edges = edges_from_bytes(parts["edges"], levels)
            weights = weights_from_bytes(parts["tower"], encoder.score_length(parts))
        except ValueError:
            raise Refused("bad-part") from None
        score = encoder.scorer(weights, parts)
        meaning = signal_meaning(self._plan, self._group, parts)

        def work(context: PairContext, body: bytes) -> Payload:
            told = signal_levels(score("all", self._records.columns), edges)
            bits = self._plan.model.signal_bits

            def limit() -> int:
                return min(self._plan.privacy.signal_bits, self._lifetime.signal_bits)

            return self._disclosure(context, body, told, levels, "signal", meaning, bits, limit)

        return work

    def disclose_groups(self, context: PairContext, body: bytes) -> Payload:
        """Step 1 of disclose_groups: the bands of test persons' protected attributes; of training persons never."""
        names = self._plan.groups_at(self._group)
        sizes = [len(self._plan.bands(name)) for name in names]
        # Of nobody else is anything computed: no other record can have a part in it.
        rows = np.array(
            [self._row[p] for p in self._told_of(context.peer) if self._records.test[self._row[p]]], np.int64
        )
        codes = np.full(len(self._records), -1)
        codes[rows] = band_codes(self._plan, names, {name: self._records.columns[name][rows] for name in names})
        levels = int(np.prod(sizes))
        bits = bits_for(levels)
        meaning = told_meaning(self._plan, self._group)

        def limit() -> int:
            return self._lifetime.group_bits

        return self._disclosure(context, body, codes, levels, "groups", meaning, bits, limit)

    def reuse_signal(self, context: PairContext, body: bytes) -> Payload:
        """Step 1 of reuse_signal: the meaning of the levels that this lender has; nothing of any person.

        That they were told to it, its ledger said when the plan was approved.
        """
        source = self._plan.signals_from
        if body or source is None:
            raise Refused("malformed")
        return Payload.of(source.meanings[self._group].encode("ascii"))

    def _disclosure(
        self,
        context: PairContext,
        body: bytes,
        told: np.ndarray,
        levels: int,
        kind: str,
        what: str,
        bits: int,
        limit: Callable[[], int],
    ) -> Payload:
        """A payload of numbers [records] about the aligned persons, -1 where nothing is told, under a limit of bits.

        The limit is that of the moment in which they are kept.

        Where there is nothing to tell, or the limit does not hold it, stands a fill. Nothing else differs.
        """
        if body:
            raise Refused("malformed")
        disclosed = self._lifetime.disclosed
        values = {person: int(told[self._row[person]]) for person in self._told_of(context.peer)}
        numbers: Mapping[str, int] | None = None

        def keep() -> Kept:
            nonlocal numbers
            most = limit()
            found = disclosed.spend(kind, what, bits, levels, values, most, context.peer, self._plan.hash)
            numbers = found.numbers
            if found.over:
                self._tell(
                    f"{self._name} tells {context.peer} made-up numbers in the place of {found.over} of {len(values)} "
                    f"persons ({kind}), since no more than {most} bits of a person may ever be disclosed: use the "
                    "tower whose levels were told already, or raise the limit (sealscore-node budget) before a new "
                    "plan is run"
                )
            return Kept(found.persons, found.fresh)

        def make() -> bytes:
            if numbers is None:
                raise RuntimeError("numbers are sent once they were noted as told")
            return self._pairs.write(context.peer, numbers, levels, fill, context.stream(Purpose.FILLER))

        def fill(handle: bytes) -> int:
            return self._lifetime.fills.of_place(kind, what, handle, levels)

        event = Disclosure(bits=bits, recipient=context.peer, count=1)
        return Payload(make, (PayloadRelease(event, what, keep),))

    def _told_of(self, peer: str) -> list[str]:
        """The aligned persons of a pair who may be joined."""
        live = set(self._joined(peer))
        return [person for person in self._pairs[peer].persons if person in live]

    def _examples(self) -> list[tuple[str, int]]:
        """(lender, row) of every training example, at most `max_records_per_person` a person.

        Which lenders' labels are kept of a person depends on nothing but that person's own lenders.
        """
        of_person: dict[str, list[str]] = {}
        for peer, aligned in self._pairs.items():
            live = set(self._joined(peer))
            for person in aligned.persons:
                if person in live and not self._records.test[self._row[person]]:
                    of_person.setdefault(person, []).append(peer)
        most = self._plan.privacy.max_records_per_person
        examples = []
        for person, lenders in of_person.items():
            kept = sorted(lenders, key=lambda peer: hashlib.sha256(f"{peer}\0{person}".encode()).digest())[:most]
            examples += [(peer, self._row[person]) for peer in kept]
        return sorted(examples)

    def _training_rows(self) -> np.ndarray:
        if self._rows is None:
            self._rows = np.array([row for _, row in self._examples()], dtype=np.int64)
        return self._rows

    def _noisy_labels(self) -> torch.Tensor:
        """Noisy labels of the examples, float64 [n]."""
        if self._labels is None:
            persons = self._records.person
            bits = [self._bits[peer][persons[row]] for peer, row in self._examples()]
            self._labels = torch.tensor(bits, dtype=torch.float64)
        return self._labels


def _first_rows(records: Records) -> dict[str, int]:
    """The first row of each person."""
    return {person: row for row, person in reversed(list(enumerate(records.person)))}
