"""A node's ledger under one plan: every release is in the ledger before it happens, and nothing is answered twice.

Where the plan reserves in blocks, the ledger is written once a block, and a node that dies within one takes all of it
for answered when it comes back.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Literal

from sealscore.clients.roles.errors import LocalFault, Refused
from sealscore.clients.roles.releases import Kept, Payload, PayloadRelease
from sealscore.shared.dp.mechanisms import Mechanism
from sealscore.shared.ledger.budget_check import BudgetCheck, Overdrawn, check_labels
from sealscore.shared.ledger.disclosure_store import DisclosureStore
from sealscore.shared.ledger.entries import (
    Abort,
    Answer,
    Approve,
    Disclose,
    Entry,
    Refuse,
    Reserve,
    Settle,
    Withdraw,
    kept_meaning,
)
from sealscore.shared.ledger.ledger import Ledger, LedgerError
from sealscore.shared.ledger.state import LAST_ATTEMPT, NOWHERE, LedgerFault, LedgerState, Place, PlanState
from sealscore.shared.messages.codec import Address
from sealscore.shared.phases.order import Phase
from sealscore.shared.plan.plan import Plan
from sealscore.shared.randomness.streams import Source

# Refusals beyond so many under one plan give an operator no news, and a server could fill a disk with them.
MAX_REFUSALS = 200
# A lender learns by each alignment which of the ids that it tries a platform knows; so it gets so many, not more.
ALIGNMENTS, ALIGNMENT_DAYS = 20, 30


@dataclasses.dataclass
class _Block:
    """A reservation of this process: how many of its answers were given, the last of them where."""

    seq: int
    entry: Reserve
    given: int = 0
    place: Place = NOWHERE
    request: str = ""

    @property
    def end(self) -> int:
        return self.entry.round + self.entry.count - 1


class PlanLedger:
    """What one plan has cost, and what was answered under it, in the ledger of the party's data set.

    Raises:
        Refused: the plan is not approved in this ledger, or has ended.
        LedgerError: it is the ledger of a real party, and does not say what names a person.
    """

    def __init__(self, ledger: Ledger, plan: Plan, source: Source) -> None:
        self._ledger, self._plan, self._source = ledger, plan, source
        self._spending = BudgetCheck()
        self._block: _Block | None = None
        state = self._now()
        if state.state != "live":
            raise Refused("not-approved")
        self._places = {name: index for name, (index, _) in state.phases.items()}
        check_identified(ledger.state)

    @property
    def ledger(self) -> Ledger:
        """The ledger of the party's data set."""
        return self._ledger

    def bind(self, run: str) -> bool:
        """Whether the plan has this run, or none yet: a plan runs once in a node's history."""
        return self._now().run in ("", run)

    def allows(self, peer: str, place: Place) -> bool:
        """Whether an answer at that place is above all that was answered."""
        if not peer and self._block is not None and place[0] == self._now().reached:
            return place > self._block.place
        return self._now().allows(peer, place)

    def last(self, peer: str) -> Place:
        """The place of the last answer to a peer."""
        return self._now().last.get(peer, NOWHERE)

    def answers(self, phase: Phase) -> int:
        """How many answers of a phase count as given; those left in an own block do not."""
        left = 0
        if self._block is not None and self._block.entry.phase == phase.name:
            left = self._block.entry.count - self._block.given
        return self._now().spent[phase.name] - left

    def reserve(self, header: Address, phase: Phase, mechanism: Mechanism, cohort: int, request: str) -> None:
        """Charge an answer of a phase with a sum, before any record is read; `request` is the request's digest.

        Raises:
            Refused: it exceeds a ceiling, or the ledger cannot be written ("unavailable").
        """
        block = self._block
        if block is not None and not self._in_block(block, header, cohort):
            self._close_block()
            block = None
        if block is None:
            made: list[Reserve] = []

            def make(state: LedgerState) -> Reserve:
                made.append(self._reservation(state, header, phase, mechanism, cohort))
                return made[0]

            block = self._block = _Block(self._append(make, header), made[0])
        block.given, block.request = block.given + 1, request
        block.place = (self._places[phase.name], header.round, header.attempt)

    def answered(self) -> None:
        """Note that the answer which was charged last is about to leave."""
        if self._block is not None and self._block.given == self._block.entry.count:
            self._close_block()

    def clear(self, header: Address, releases: Sequence[PayloadRelease]) -> None:
        """Check that releases to a peer are within the ceilings of the data set, before they are noted anywhere.

        Raises:
            Refused: they are not, or nothing may be answered under the plan any more.
        """
        state = self._ledger.state
        if self._now().state != "live":
            raise Refused("not-approved")
        try:
            for release in releases:
                check_labels(state, release.event, release.what)
        except Overdrawn as error:
            self.refused(header, "budget", f"{error.ceiling}: {error}")
            raise Refused("budget") from None

    def exchanged(self, header: Address, peer: str, request: str) -> None:
        """Note a step of a paired phase that discloses nothing."""
        where = _where(header)
        self._append(lambda state: Answer(**where, peer=peer, request=request), header)

    def disclose(
        self, header: Address, peer: str, release: PayloadRelease, keep: Callable[[], tuple[Kept, str | None]]
    ) -> None:
        """Note a payload that is about to leave, and what it discloses of how many persons for the first time.

        `keep` notes it in the disclosure store, whose head it gives, and checks limits: under the lock of the ledger,
        so that it uses the ceilings under which the entry is made.

        Raises:
            Refused: it exceeds a ceiling, or nothing may be answered under the plan any more; nothing is kept.
        """

        def make(state: LedgerState) -> Entry:
            if state.plans[self._plan.hash].state != "live":
                raise Refused("not-approved")
            # Again: another plan's labels may have been released since `clear`.
            check_labels(state, release.event, release.what)
            kept, register_head = keep()
            return Disclose(
                **_where(header),
                peer=peer,
                event=release.event,
                what=kept_meaning(release.what),
                persons=kept.persons,
                fresh=kept.fresh,
                source=self._source,
                register_head=register_head,
            )

        self._append(make, header)

    def note(self, header: Address, peer: str, request: str, payload: Payload, store: DisclosureStore) -> None:
        """Note what a payload discloses in the disclosure store, and then here, before the payload is made.

        Raises:
            Refused: as `clear` and `disclose`.
            DisclosureStoreError: the store cannot be written; nothing may be sent.
        """
        self.clear(header, payload.releases)
        for release in payload.releases:
            with store.alone():
                before = store.head
                self.disclose(header, peer, release, partial(_kept, store, payload, release))
                if store.head != before:
                    store.confirm()
        if not payload.releases:
            self.exchanged(header, peer, request)

    def aligning(self, peer: str) -> None:
        """Check that a peer has not been aligned with too often of late.

        Raises:
            LocalFault: it has; says from when on it may again.
        """
        now = datetime.fromtimestamp(self._ledger.clock(), UTC)
        times = [datetime.fromisoformat(at) for at in self._ledger.state.alignments.get(peer, [])]
        recent = [at for at in times if at > now - timedelta(days=ALIGNMENT_DAYS)]
        if len(recent) >= ALIGNMENTS:
            again = (recent[-ALIGNMENTS] + timedelta(days=ALIGNMENT_DAYS)).date()
            raise LocalFault(
                f"{peer} has aligned {ALIGNMENTS} times within {ALIGNMENT_DAYS} days; no more are answered before "
                f"{again}"
            )

    def withdrawn(
        self, peer: str, direction: Literal["passed", "received"], persons: int, register_head: str | None
    ) -> None:
        """Note withdrawn consents that were passed on to a peer, or received from it."""
        plan = self._plan.hash
        self._ledger.append(
            lambda state: Withdraw(
                plan=plan, peer=peer, direction=direction, persons=persons, register_head=register_head
            )
        )

    def refused(self, header: Address, code: str, why: str = "") -> None:
        """Note a request under this plan that was not answered; says nothing where the ledger cannot be written."""
        if header.plan != self._plan.hash:
            return
        # A refused request may contain anything.
        where = _where(header) | {"run": header.run[:200] or "-", "phase": header.phase[:200] or "-"}
        where |= {name: min(max(0, where[name]), LAST_ATTEMPT) for name in ("round", "attempt")}
        with contextlib.suppress(LedgerError, Refused):
            if self._now().refusals < MAX_REFUSALS:
                self._ledger.append(lambda state: Refuse(**where, code=code, why=why[:500]))

    def settle(self, why: str) -> None:
        """End the plan here, where it has not ended: nothing more is answered under it."""
        self._close_block()
        if self._now().state == "live":
            self._ledger.append(lambda state: Settle(plan=self._plan.hash, why=why))

    def close(self) -> None:
        """Note what was answered of an open block, and give back the rest."""
        self._close_block()

    def _now(self) -> PlanState:
        found = self._ledger.state.plans.get(self._plan.hash)
        if found is None:
            raise Refused("not-approved")
        return found

    def _in_block(self, block: _Block, header: Address, cohort: int) -> bool:
        entry = block.entry
        same = (entry.phase, entry.cohort) == (header.phase, cohort)
        return same and block.given < entry.count and header.round <= block.end

    def _reservation(
        self, state: LedgerState, header: Address, phase: Phase, mechanism: Mechanism, cohort: int
    ) -> Reserve:
        plan = state.plans[self._plan.hash]
        left = min(phase.attempts - plan.spent[phase.name], phase.rounds - header.round + 1)
        entry = Reserve(
            **_where(header),
            count=max(1, min(self._plan.privacy.reserve_block, left)),
            event=mechanism.event,
            part=plan.part(phase),
            own_noise=mechanism.own_noise(cohort),
            cohort=cohort,
            max_colluding=mechanism.insiders,
            source=self._source,
        )
        self._spending.check(state, self._plan.hash, entry)
        return entry

    def _append(self, make: Callable[[LedgerState], Entry], header: Address) -> int:
        try:
            return self._ledger.append(make)
        except Overdrawn as error:
            self.refused(header, "budget", f"{error.ceiling}: {error}")
            raise Refused("budget") from None
        except LedgerFault as error:
            raise Refused("not-approved" if error.code == "not-approved" else "out-of-order") from None

    def _close_block(self) -> None:
        block, self._block = self._block, None
        # Under a plan that the operator has revoked nothing more is written: all of the block counts as given.
        if block is None or self._now().state != "live":
            return
        entry = block.entry
        _, round, attempt = block.place
        place: dict[str, Any] = {"plan": entry.plan, "run": entry.run, "phase": entry.phase}
        # One that was charged and failed before it left is counted as given, too.
        answer = Answer(
            **place, round=round, attempt=attempt, reserve=block.seq, count=block.given, request=block.request
        )
        self._ledger.append(lambda state: answer)
        if (left := block.entry.count - block.given) > 0:
            self._ledger.append(lambda state: Abort(reserve=block.seq, count=left, why="not-asked"))


def approve(ledger: Ledger, plan: Plan) -> int:
    """Approve a plan in a ledger, if all that it may cost is within the ceilings beside what others have spent.

    Raises:
        Overdrawn: it is not.
        LedgerFault: the plan was approved before, or names persons in another normal form than the data set does.
        LedgerError: it is the ledger of a real party, and does not say what names a person.
    """
    text = plan.canonical().decode("ascii")

    def make(state: LedgerState) -> Entry:
        check_identified(state)
        BudgetCheck().check_whole(state, plan)
        return Approve(plan=plan.hash, text=text)

    return ledger.append(make)


def check_identified(state: LedgerState) -> None:
    """Raise LedgerError where the ledger of a real party does not say what names a person."""
    if state.identified is None and not state.card.simulation:
        raise LedgerError(
            "the ledger does not say which column names a person, so another spelling could make each a second one; "
            "open it with a node whose node.toml has identifier and form under [data]"
        )


def _kept(store: DisclosureStore, payload: Payload, release: PayloadRelease) -> tuple[Kept, str | None]:
    """Keep a release; the store's head where it changed, for one from before would vouch for what never was."""
    before, kept = store.head, payload.keep(release)
    return kept, store.head if store.head != before else None


def _where(header: Address) -> dict[str, Any]:
    fields = ("plan", "run", "phase", "round", "attempt")
    return {name: getattr(header, name) for name in fields}
