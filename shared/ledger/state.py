"""What follows from the entries of a ledger: the state of each plan, and what was spent. Nodes and verifiers share it.

Entries are folded in their order; one that the ones before it do not allow raises `LedgerFault`, so a ledger that was
written by other code than this is found out when it is read.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, NamedTuple

from sealscore.shared.dp.events import Event
from sealscore.shared.dp.mechanisms import Mechanisms
from sealscore.shared.identity.identity import Card, CardError
from sealscore.shared.ledger.earlier_signals import earlier_score_problems, earlier_signal_problems
from sealscore.shared.ledger.entries import (
    PARTS,
    Abort,
    Answer,
    Approve,
    Ceilings,
    Disclose,
    Entry,
    Identify,
    Limit,
    Open,
    Part,
    Refuse,
    Reserve,
    Revoke,
    ServingEntry,
    Settle,
    Withdraw,
)
from sealscore.shared.ledger.serving_state import ServingFault, ServingState
from sealscore.shared.phases.order import Phase
from sealscore.shared.plan.errors import PlanError
from sealscore.shared.plan.plan import Plan

Place = tuple[int, int, int]
NOWHERE: Place = (-1, 0, 0)
# Above every attempt that a request may name.
LAST_ATTEMPT = 2**31


class LedgerFault(ValueError):
    """An entry that is not allowed in its place; `code` names the kind of fault, `seq` the entry."""

    def __init__(self, code: str, seq: int, what: str) -> None:
        super().__init__(f"entry {seq}: {what}")
        self.code, self.seq, self.what = code, seq, what


@dataclass
class Reservation:
    """Answers that were reserved together: how many have left by record, and how many never will."""

    seq: int
    entry: Reserve
    answered: int = 0
    aborted: int = 0

    @property
    def spent(self) -> int:
        """The answers that count as given, whether or not there is a record of each."""
        return self.entry.count - self.aborted

    @property
    def end(self) -> tuple[int, int]:
        """The last round and attempt that an answer may have: a block may have been used up when its process died."""
        if self.entry.count > 1:
            return self.entry.round + self.entry.count - 1, LAST_ATTEMPT
        return self.entry.round, self.entry.attempt

    @property
    def left(self) -> int:
        """The answers of which there is no record yet."""
        return self.spent - self.answered


class Division(NamedTuple):
    """A rule by which persons are training or test persons and that never moves anybody.

    `split` is the plan's, `form` the normal form that names a person, and `column` what the plan calls the column. A
    plan that counts everybody and sets nobody apart has the split UNDIVIDED: it goes with any rule for these persons.
    """

    split: str
    form: str
    column: str


UNDIVIDED = ""
"""The split of a plan that divides nobody."""


@dataclass
class PlanState:
    """An approved plan in the ledger of `party`: `hash` is that of the text that was approved, at entry `approved`.

    `last` is the (phase index, round, attempt) up to which requests count as answered, by peer ("" for sums), and
    `answered` the place of the last sum of which there is a record. `spent` are the answers by phase that count as
    given, and `charged` their events by the part of the persons, with how often. `exchanged` are the groups of others
    with which something was exchanged, so that this party's records move their sums, too.
    """

    plan: Plan
    approved: int
    hash: str
    party: str
    state: Literal["live", "settled", "revoked"] = "live"
    run: str = ""
    reached: int = 0
    last: dict[str, Place] = field(default_factory=dict)
    answered: Place = NOWHERE
    spent: Counter[str] = field(default_factory=Counter)
    reservations: dict[int, Reservation] = field(default_factory=dict)
    disclosures: list[Disclose] = field(default_factory=list)
    refusals: int = 0
    charged: dict[Part, Counter[Event]] = field(default_factory=lambda: {part: Counter() for part in PARTS})
    exchanged: frozenset[str] = frozenset()
    version: int = 0
    _elsewhere: dict[frozenset[str], dict[Part, Counter[Event]]] = field(default_factory=dict)

    @cached_property
    def mechanisms(self) -> Mechanisms:
        """The plan's mechanisms; the noise is solved when it is first asked for."""
        return Mechanisms(self.plan)

    @cached_property
    def division(self) -> Division | None:
        """The rule by which persons are training or test persons; None where it moves persons, as by date."""
        plan, split = self.plan, self.plan.evaluation.split
        if split.moves:
            return None
        rule = UNDIVIDED if plan.monitoring is not None else split.model_dump_json()
        table = plan.groups[plan.party(self.party).group].table
        return Division(rule, plan.alignment.identifier, table.person_column)

    @cached_property
    def phases(self) -> dict[str, tuple[int, Phase]]:
        """Index and phase by name."""
        return {phase.name: (index, phase) for index, phase in enumerate(self.mechanisms.phases)}

    def part(self, phase: Phase) -> Part:
        """Whose records a phase reads, as far as that distinguishes persons."""
        if len(self.mechanisms.composed) == 1:
            return "all"
        return "test" if phase.test else "training"

    def planned(self, groups: Collection[str]) -> dict[Part, Counter[Event]]:
        """All that is in the plan's budget for the sums of some groups, by part."""
        events: dict[Part, Counter[Event]] = {part: Counter() for part in PARTS}
        for _, phase in self.phases.values():
            if not phase.paired and phase.group in groups:
                events[self.part(phase)][self.mechanisms.event(phase)] += phase.attempts
        return events

    def elsewhere(self, groups: Collection[str] | None = None) -> dict[Part, Counter[Event]]:
        """What other groups (by default the `exchanged`) may answer, by part, of sums that this party's records move.

        Who is in a lender's table decides who is in a platform's sums, and a platform's signal is in the lenders'. How
        many of these were answered this ledger does not know, so all in their budget count, also after the plan has
        ended here. Under a plan that no noise can meet nothing is ever answered.
        """
        wanted = self.exchanged if groups is None else frozenset(groups)
        if wanted not in self._elsewhere:
            try:
                self._elsewhere[wanted] = self.planned(wanted)
            except PlanError:
                self._elsewhere[wanted] = self.planned(())
        return self._elsewhere[wanted]

    def other_group(self, phase: Phase) -> str:
        """The group with which this party exchanges something in a paired phase."""
        own, lenders = self.plan.party(self.party).group, self.plan.lenders
        return phase.group if own == lenders else lenders

    def exchange(self, phase: Phase) -> None:
        """Count something as exchanged in a paired phase."""
        other = self.other_group(phase)
        if other not in self.exchanged:
            self.exchanged |= {other}
            self.version += 1

    def allows(self, peer: str, place: Place) -> bool:
        """Whether an answer at that place is above all that counts as answered."""
        return place[0] >= self.reached and place > self.last.get(peer, NOWHERE)

    def charge(self, entry: Reserve, answers: int) -> None:
        """Count so many answers of a reservation more, or fewer, as given."""
        self.spent[entry.phase] += answers
        self.charged[entry.part][entry.event] += answers
        self.version += 1

    def advance(self, peer: str, place: Place) -> None:
        """Count everything up to that place as answered."""
        self.last[peer] = place
        self.reached = max(self.reached, place[0])


class LedgerState:
    """The fold over a ledger's entries."""

    def __init__(self) -> None:
        self.opened: Open | None = None
        self._card: Card | None = None
        self.ceilings: Ceilings | None = None
        self.identified: Identify | None = None
        self.plans: dict[str, PlanState] = {}
        self.alignments: dict[str, list[str]] = {}
        self.withdrawals: list[Withdraw] = []
        self.register_head: str | None = None
        self.serving = ServingState()
        self._apply: dict[type, Callable[[int, str, Any], None]] = {
            Open: self._open,
            Identify: self._identify,
            Limit: self._limit,
            Approve: self._approve,
            Reserve: self._reserve,
            Answer: self._answer,
            Abort: self._abort,
            Disclose: self._disclose,
            Refuse: self._refuse,
            Settle: self._end,
            Revoke: self._end,
            Withdraw: self._withdraw,
        }

    def apply(self, seq: int, at: str, entry: Entry) -> None:
        """Fold one entry.

        Raises:
            LedgerFault: it is not allowed here; nothing of it was folded.
        """
        if (seq == 1) != isinstance(entry, Open):
            raise LedgerFault("opening", seq, "a ledger begins with its one opening entry")
        if isinstance(entry, ServingEntry):
            try:
                self.serving.apply[type(entry)](seq, entry, self.plans)
            except ServingFault as fault:
                raise LedgerFault(fault.code, seq, str(fault)) from None
            return
        self._apply[type(entry)](seq, at, entry)

    @property
    def card(self) -> Card:
        """The card of the ledger's party; LedgerFault where there is no opening entry."""
        if self._card is None:
            raise LedgerFault("opening", 1, "there is no opening entry")
        return self._card

    @property
    def live(self) -> list[PlanState]:
        """Plans under which something may still be answered."""
        return [plan for plan in self.plans.values() if plan.state == "live"]

    def _open(self, seq: int, at: str, entry: Open) -> None:
        try:
            card = Card.from_text(entry.card)
        except CardError as error:
            raise LedgerFault("opening", seq, str(error)) from None
        if card.role == "server":
            raise LedgerFault("opening", seq, "a server has no data set")
        self.opened, self.ceilings, self._card = entry, entry.ceilings, card

    def _identify(self, seq: int, at: str, entry: Identify) -> None:
        if self.identified is not None:
            raise LedgerFault("identifier", seq, "what names a person is fixed already, for the life of the data set")
        others = [plan.plan.name for plan in self.plans.values() if plan.plan.alignment.identifier != entry.form]
        if others:
            what = f"approved above under another normal form than {entry.form!r}: {', '.join(others)}"
            raise LedgerFault("identifier", seq, what)
        self.identified = entry

    def _limit(self, seq: int, at: str, entry: Limit) -> None:
        self.ceilings = entry.ceilings

    def _approve(self, seq: int, at: str, entry: Approve) -> None:
        plan = self._plan(seq, entry)
        identified, form = self.identified, plan.alignment.identifier
        if identified is not None and form != identified.form:
            what = (
                f"the plan names persons in the normal form {form!r}, and this data set in {identified.form!r} for good"
            )
            raise LedgerFault("identifier", seq, what)
        problems = earlier_signal_problems(plan, self.card.name, self.plans, self.serving.releases)
        problems += earlier_score_problems(plan, self.card.name, self.plans)
        if problems:
            raise LedgerFault("approval", seq, "; ".join(problems))
        self.plans[entry.plan] = PlanState(plan, seq, entry.plan, self.card.name)

    def admit(self, seq: int, entry: Approve) -> None:
        """Take a plan for approved, whatever form it names persons in: a verifier counts what was released under it.

        Raises:
            LedgerFault: the plan cannot be read, or was approved before.
        """
        self.plans[entry.plan] = PlanState(self._plan(seq, entry), seq, entry.plan, self.card.name)

    def _plan(self, seq: int, entry: Approve) -> Plan:
        """The plan of an approval; LedgerFault where it cannot be read or was approved before."""
        if entry.plan in self.plans:
            raise LedgerFault("approval", seq, "this plan was approved before; a plan runs once in a node's history")
        if hashlib.sha256(entry.text.encode("ascii", "replace")).hexdigest() != entry.plan:
            raise LedgerFault("approval", seq, "the text is not that of the plan that it names")
        try:
            # A plan that was approved under an earlier version lacks the keys that came later.
            content = json.loads(entry.text)
            plan = Plan.parse(content)
            plan.party(self.card.name)
        except (PlanError, ValueError, RecursionError, KeyError) as error:
            raise LedgerFault("approval", seq, f"the plan cannot be read or lacks this party: {error}") from None
        if json.dumps(content, sort_keys=True, separators=(",", ":")) != entry.text:
            raise LedgerFault("approval", seq, "the plan is not in canonical form")
        return plan

    def _reserve(self, seq: int, at: str, entry: Reserve) -> None:
        state, index, phase = self._place(seq, entry.plan, entry.run, entry.phase)
        if phase.paired:
            raise LedgerFault("reservation", seq, f"{phase.name} has no sum")
        place = (index, entry.round, entry.attempt)
        if not state.allows("", place):
            raise LedgerFault("order", seq, f"{phase.name} round {entry.round} is not above what was answered")
        if state.spent[phase.name] + entry.count > phase.attempts:
            raise LedgerFault("attempts", seq, f"{phase.name} has {phase.attempts} attempts in its budget, no more")
        state.run = entry.run
        state.charge(entry, entry.count)
        state.reservations[seq] = reservation = Reservation(seq, entry)
        state.advance("", (index, *reservation.end))

    def _answer(self, seq: int, at: str, entry: Answer) -> None:
        state, index, phase = self._place(seq, entry.plan, entry.run, entry.phase)
        place = (index, entry.round, entry.attempt)
        if entry.reserve is None:
            self._exchanged(seq, state, phase, entry.peer, place)
            state.run = entry.run
            return
        reservation = state.reservations.get(entry.reserve)
        if reservation is None or (reservation.entry.phase, reservation.entry.plan) != (entry.phase, entry.plan):
            raise LedgerFault("answer", seq, f"there is no reservation {entry.reserve} of {entry.phase}")
        if entry.count > reservation.left:
            raise LedgerFault("answer", seq, f"reservation {entry.reserve} has only {reservation.left} answers left")
        first = (index, reservation.entry.round, reservation.entry.attempt)
        if not first <= place <= (index, *reservation.end):
            raise LedgerFault("answer", seq, f"{phase.name} round {entry.round} is outside of its reservation")
        if place <= state.answered:
            raise LedgerFault("order", seq, f"{phase.name} round {entry.round} is not above what was answered")
        reservation.answered += entry.count
        state.answered = place
        latest = reservation is next(reversed(state.reservations.values()))
        # Of the latest block it is now known how far it went; what was reserved after another one stays above it.
        state.advance("", place if latest else max(place, state.last[""]))

    def _abort(self, seq: int, at: str, entry: Abort) -> None:
        for state in self.plans.values():
            if (reservation := state.reservations.get(entry.reserve)) is not None:
                if entry.count > reservation.left:
                    raise LedgerFault(
                        "abort", seq, f"reservation {entry.reserve} has {reservation.left} answers that had not left"
                    )
                reservation.aborted += entry.count
                state.charge(reservation.entry, -entry.count)
                return
        raise LedgerFault("abort", seq, f"there is no reservation {entry.reserve}")

    def _disclose(self, seq: int, at: str, entry: Disclose) -> None:
        state, index, phase = self._place(seq, entry.plan, entry.run, entry.phase)
        self._exchanged(seq, state, phase, entry.peer, (index, entry.round, entry.attempt))
        state.run = entry.run
        state.disclosures.append(entry)
        self.register_head = entry.register_head or self.register_head
        if phase.name.startswith("align:"):
            self.alignments.setdefault(entry.peer, []).append(at)

    def _exchanged(self, seq: int, state: PlanState, phase: Phase, peer: str, place: Place) -> None:
        if not phase.paired or not peer:
            raise LedgerFault("disclosure", seq, f"{phase.name} has no payloads for {peer or 'nobody'}")
        if not state.allows(peer, place):
            raise LedgerFault("order", seq, f"{phase.name} step {place[1]} is not above what {peer} was answered")
        state.advance(peer, place)
        state.exchange(phase)

    def _refuse(self, seq: int, at: str, entry: Refuse) -> None:
        if (state := self.plans.get(entry.plan)) is not None:
            state.refusals += 1

    def _end(self, seq: int, at: str, entry: Settle | Revoke) -> None:
        state = self.plans.get(entry.plan)
        if state is None or state.state != "live":
            raise LedgerFault("ending", seq, "it ends a plan that is not live")
        state.state = "settled" if isinstance(entry, Settle) else "revoked"

    def _withdraw(self, seq: int, at: str, entry: Withdraw) -> None:
        self.withdrawals.append(entry)
        self.register_head = entry.register_head or self.register_head

    def _place(self, seq: int, plan: str, run: str, phase: str) -> tuple[PlanState, int, Phase]:
        state = self.plans.get(plan)
        if state is None or state.state != "live":
            raise LedgerFault("not-approved", seq, "it is under a plan that is not approved, or not any more")
        if state.run not in ("", run):
            raise LedgerFault("run", seq, f"it is of the run {run}, and the plan has the run {state.run}")
        if phase not in state.phases:
            raise LedgerFault("phase", seq, f"the plan has no phase {phase}")
        return (state, *state.phases[phase])
