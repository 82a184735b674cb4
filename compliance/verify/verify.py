"""The check of a ledger, offline and without trust in the node's operator or the server.

What it proves: the entries are those that the holder of the card wrote, in that order, each as the approved plans
prescribe, and together within the ceilings. What it cannot see is a ledger that its own party rewrote, whole and
well: that takes anchors, heads of this ledger that the server or any peer kept. What was appended after the last of
them may have been cut off.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from sealscore.compliance.verify.anchoring import Anchor, agreeing, anchor_findings, head_of, kept_anchors
from sealscore.compliance.verify.budgets import Ceiling, claims, signal_bits
from sealscore.compliance.verify.conformance import Faults, Reservations, disclose_faults, plan_faults
from sealscore.compliance.verify.reading import EXPORT, Chain, Unreadable, count_rows, opened, rows, without_log
from sealscore.compliance.verify.verification import Anchored, Claim, Fault, Finding, Verification
from sealscore.shared.dp.effort import limited
from sealscore.shared.identity.identity import BadSignature, Card
from sealscore.shared.ledger.budget_check import label_epsilon
from sealscore.shared.ledger.chain import Head, StoredEntry, UnknownEntry, entry_of
from sealscore.shared.ledger.entries import (
    AdmitRelease,
    Answer,
    Approve,
    Disclose,
    Entry,
    Limit,
    Reserve,
    ServeCorrect,
    ServeDay,
)
from sealscore.shared.ledger.ledger import SIGNED
from sealscore.shared.ledger.scoring_bits import ToldForScoring, told_by_lender
from sealscore.shared.ledger.serving_state import ServingFault
from sealscore.shared.ledger.state import LedgerFault, LedgerState, Reservation
from sealscore.shared.plan.plan import SERVER

__all__ = ["Anchored", "Claim", "Fault", "Finding", "Verification", "verify_ledger"]

Progress = Callable[[int, int], None]

# One change early in a ledger can spoil thousands of entries after it, which say nothing more.
LISTED = 20
_PROGRESS_EVERY = 500
# Points of sampled releases (see `sealscore.shared.dp.effort`) in one check: the noise of some ten plans that
# ask for most. A figure that needs more is infinite, and an event that cannot be recomputed is a finding.
MOST_TO_VERIFY = 60_000_000


def verify_ledger(
    path: Path,
    anchors: Iterable[Anchor] = (),
    server_card: Card | None = None,
    simulation: bool = False,
    progress: Progress | None = None,
) -> Verification:
    """Check a ledger; nothing is raised for what is wrong with it.

    Args:
        path: the ledger's file, which is only read.
        anchors: heads and receipts that others keep; those of other parties say nothing about this ledger.
        server_card: by which receipts must be signed; by default those of the plans that the ledger approved.
        simulation: take a simulated party's ledger for what it is, seeded randomness with it.
        progress: called with the number of entries checked and of all, now and then.
    """
    return _LedgerCheck(path, simulation, progress).run(list(anchors), server_card)


class _LedgerCheck:
    """One pass over a ledger."""

    def __init__(self, path: Path, simulation: bool, progress: Progress | None) -> None:
        self._path, self._simulation, self._progress = path, simulation, progress
        self._findings: list[Finding] = []
        self._listed: Counter[str] = Counter()
        self._warnings: list[str] = []
        self._state, self._chain, self._ceiling = LedgerState(), Chain(), Ceiling()
        self._card: Card | None = None
        self._reservations = Reservations("")
        self._entries, self._uncounted, self._last_at = 0, 0, ""

    def run(self, given: list[Anchor], server: Card | None) -> Verification:
        """Everything, in the order of the entries; then what only the whole shows."""
        with limited(MOST_TO_VERIFY):
            return self._checked(given, server)

    def _checked(self, given: list[Anchor], server: Card | None) -> Verification:
        kept: list[Anchor] = []
        try:
            with opened(self._path) as database:
                total = count_rows(database)
                for number, row in enumerate(rows(database), start=1):
                    self._row(row)
                    if self._progress and (number % _PROGRESS_EVERY == 0 or number == total):
                        self._progress(number, total)
            kept = self._kept()
        except Unreadable as error:
            self._found("unreadable", error.seq, str(error))
        if not self._entries and not self._findings:
            self._found("unreadable", 0, f"{self._path}: the ledger has no entries")
        self._unidentified()
        figures = claims(self._state)
        for code, seq, what in self._ceiling.faults(self._state, figures):
            self._found(code, seq, what)
        return self._verification(figures, self._anchored(given, kept, server), kept)

    def _row(self, row: StoredEntry | Unreadable) -> None:
        if isinstance(row, Unreadable):
            self._found("unreadable", row.seq, str(row))
            self._uncounted += 1
            return
        self._entries += 1
        for code, what in self._chain.faults(row):
            self._found(code, row.seq, what)
        if row.at < self._last_at:
            self._warnings.append(f"entry {row.seq} is of {row.at}, before the entry above it: a clock was set back")
        self._last_at = row.at
        try:
            self._entry(row, entry_of(row.body))
        except UnknownEntry as error:
            self._found("unknown-entry", row.seq, str(error))
            self._uncounted += 1
        if self._card is not None:
            try:
                self._card.check(row.signature, SIGNED, row.hash)
            except BadSignature:
                self._found("signature", row.seq, f"it is not signed by {self._card.name}, whose ledger this is")

    def _entry(self, row: StoredEntry, entry: Entry) -> None:
        if isinstance(entry, Limit):
            for code, seq, what in self._ceiling.faults(self._state):
                self._found(code, seq, what)
        try:
            self._state.apply(row.seq, row.at, entry)
        except LedgerFault as fault:
            self._found(fault.code, row.seq, fault.what)
            self._count_anyway(row.seq, fault.code, entry)
        except (ValueError, TypeError, KeyError, ArithmeticError, RecursionError) as error:
            self._found("unknown-entry", row.seq, f"it cannot be followed: {type(error).__name__}")
            self._uncounted += 1
        if self._card is None and self._state.opened is not None:
            self._opened()
        if self._card is not None:
            for code, what in self._conformance(self._card, entry):
                self._found(code, row.seq, what)
        if isinstance(entry, Reserve | Disclose):
            self._ceiling.released(row.seq)
            if entry.source != "system" and not (self._simulation and self._card and self._card.simulation):
                what = "its randomness is seeded: whoever knows the seed can take off the noise"
                self._found("source", row.seq, what)

    def _opened(self) -> None:
        try:
            self._card = self._state.card
        except LedgerFault:
            return
        self._reservations, self._ceiling.party = Reservations(self._card.name), self._card.name
        if self._card.simulation and not self._simulation:
            what = f"the key of {self._card.name} is of a simulation: whoever knows the seed can write this ledger"
            self._found("source", 1, what)

    def _unidentified(self) -> None:
        """A ledger with plans in it says what names a person, or each could have been a second one under another."""
        plans, card = self._state.plans.values(), self._card
        if plans and card is not None and not card.simulation and self._state.identified is None:
            what = "no entry says which column names a person in which form: plans may have named the same ones twice"
            self._found("identifier", min(plan.approved for plan in plans), what)

    def _conformance(self, card: Card, entry: Entry) -> Faults:
        plan = self._state.plans.get(getattr(entry, "plan", ""))
        if plan is None:
            return iter(())
        if isinstance(entry, Approve):
            return plan_faults(plan.plan, card)
        if isinstance(entry, Reserve):
            return self._reservations.faults(plan, entry)
        if isinstance(entry, Disclose):
            return disclose_faults(plan, card.name, entry)
        return iter(())

    def _count_anyway(self, seq: int, code: str, entry: Entry) -> None:
        """What is not allowed can have been answered all the same, so the figures count it where they can."""
        if isinstance(entry, Approve) and code == "identifier":
            self._state.admit(seq, entry)
        if isinstance(entry, AdmitRelease | ServeDay | ServeCorrect):
            self._uncounted += not self._count_serving(seq, entry)
        if not isinstance(entry, Reserve | Disclose | Answer):
            return
        plan = self._state.plans.get(entry.plan)
        if plan is None:
            self._uncounted += not isinstance(entry, Answer)
            return
        _, phase = plan.phases.get(entry.phase, (0, None))
        if phase is not None and phase.paired and not isinstance(entry, Reserve):
            plan.exchange(phase)
        if isinstance(entry, Disclose):
            plan.disclosures.append(entry)
        elif isinstance(entry, Reserve):
            plan.reservations[seq] = Reservation(seq, entry)
            plan.charge(entry, entry.count)

    def _count_serving(self, seq: int, entry: AdmitRelease | ServeDay | ServeCorrect) -> bool:
        """Whether what may have been told for scoring is in the figures, or follows from entries that are."""
        serving = self._state.serving
        if isinstance(entry, AdmitRelease):
            with suppress(ServingFault):
                serving.take(seq, entry, self._state.plans)
            # Without it, what is charged under it is left out day by day.
            return True
        release = serving.releases.get(entry.release)
        if release is None:
            return False
        if isinstance(entry, ServeCorrect):
            release.corrections.append(entry)
        else:
            release.days.setdefault(entry.peer, []).append(entry)
        return True

    def _kept(self) -> list[Anchor]:
        found: list[Anchor] = []
        for anchor in kept_anchors(self._path):
            if isinstance(anchor, Unreadable):
                self._found("anchor-unreadable", 0, str(anchor))
            else:
                found.append(anchor)
        return found

    def _anchored(self, given: Sequence[Anchor], kept: Sequence[Anchor], server: Card | None) -> Anchored:
        if self._card is None or not self._chain.hashes:
            return Anchored()
        plans = [plan.plan for plan in self._state.plans.values() if plan.plan.enrolled]
        servers = [server] if server else list({plan.cards[SERVER].key: plan.cards[SERVER] for plan in plans}.values())
        ledger, hashes = self._chain.hashes.get(1, b""), self._chain.hashes
        for finding in anchor_findings(self._card, ledger, hashes, servers, [*given, *kept]):
            what = finding.what
            if finding.code == "anchor" and finding.seq > max(hashes) and without_log(self._path):
                what = f"{what}; or it was copied without {self._path.name}-wal while its node ran: {EXPORT}"
            self._found(finding.code, finding.seq, what)
        if given and not any(head_of(anchor).party == self._card.name for anchor in given):
            self._warnings.append(f"none of the anchors given is of {self._card.name}: they say nothing of this ledger")
        return agreeing(self._card, ledger, hashes, given, kept)

    def _found(self, code: str, seq: int, what: str) -> None:
        self._listed[code] += 1
        if self._listed[code] <= LISTED:
            self._findings.append(Finding(code, seq, what))

    def _verification(self, figures: list[Claim], anchored: Anchored, kept: Sequence[Anchor]) -> Verification:
        state, card = self._state, self._card
        return Verification(
            path=self._path,
            party=card.name if card else self._path.stem,
            ledger=self._chain.hashes.get(1, b"").hex(),
            card=card,
            data_set=state.opened.data_set if state.opened else "",
            entries=self._entries,
            uncounted=self._uncounted,
            findings=tuple(sorted(set(self._findings), key=lambda found: (found.seq, found.fault.value, found.code))),
            warnings=tuple(self._warnings[:LISTED]),
            claims=tuple(figures),
            ceilings=state.ceilings,
            label_epsilon=label_epsilon(state),
            signal_bits=signal_bits(state, card.name if card else ""),
            scoring=ToldForScoring.of(state.serving),
            scoring_by_lender=told_by_lender(state.serving),
            anchored=anchored,
            others=tuple(_others(kept, card)),
            simulation=card is not None and card.simulation,
            dropped=sum(max(0, count - LISTED) for count in self._listed.values()),
            without_log=without_log(self._path),
            state=state,
        )


def _others(kept: Sequence[Anchor], card: Card | None) -> Iterator[Head]:
    for anchor in kept:
        if isinstance(anchor, Head) and (card is None or anchor.party != card.name):
            yield anchor
