"""Ledgers in memory for tests, which tell of every charge before it is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sealscore.clients.node.plan_ledger import approve
from sealscore.shared.dp.accountant import PldAccountant
from sealscore.shared.dp.events import Event, RandomizedResponse
from sealscore.shared.identity.identity import Identity
from sealscore.shared.ledger.budget_check import Used, composed_epsilon
from sealscore.shared.ledger.chain import GENESIS, body_of, entry_hash
from sealscore.shared.ledger.entries import Ceilings, Disclose, Entry, Identify, Reserve
from sealscore.shared.ledger.ledger import SIGNED, Ledger, read_ledger, stored_entries
from sealscore.shared.ledger.state import LedgerState
from sealscore.shared.messages.codec import Address
from sealscore.shared.plan.plan import SERVER, Plan

UNLIMITED = Ceilings(epsilon=None, delta=1e-5)
Charge = Callable[[Address, Event], None]


def identity_of(plan: Plan, party: str) -> Identity:
    """The simulated identity of a party of the plan."""
    return Identity.simulated(plan.seed, party, plan.groups[plan.party(party).group].role)


def identified(plan: Plan, party: str) -> Identify:
    """What names a person at a party, as the plan has it."""
    column = plan.groups[plan.party(party).group].table.person_column
    return Identify(column=column, form=plan.alignment.identifier)


class WatchedLedger(Ledger):
    """A ledger that tells of every charge; what `charge` raises keeps the entry out."""

    charge: Charge = staticmethod(lambda header, event: None)

    def append(self, make: Callable[[LedgerState], Entry]) -> int:
        def watched(state: LedgerState) -> Entry:
            entry = make(state)
            released = isinstance(entry, Disclose) and not (
                isinstance(entry.event, RandomizedResponse) and entry.fresh == 0
            )
            if isinstance(entry, Reserve) or released:
                where = (entry.plan, entry.run, entry.phase, entry.round, entry.attempt, SERVER, self.party)
                self.charge(Address(*where), entry.event)
            return entry

        return super().append(watched)


def no_charge(header: Address, event: Event) -> None:
    """Let every charge pass."""


def ledger_of(plan: Plan, party: str, charge: Charge = no_charge, identity: Identity | None = None) -> Ledger:
    """A party's ledger in memory, with no ceilings of its own, in which the plan is approved."""
    named = identified(plan, party)
    who = identity or identity_of(plan, party)
    ledger = WatchedLedger.create(None, who, f"records of {party}", UNLIMITED, identified=named)
    watch(ledger, charge)
    approve(ledger, plan)
    return ledger


def watch(ledger: Ledger, charge: Charge) -> None:
    """From now on, tell of every charge in a watched ledger."""
    assert isinstance(ledger, WatchedLedger)
    ledger.charge = charge  # type: ignore[method-assign]


def copied(ledger: Ledger) -> Ledger:
    """A copy of a ledger in memory, as it is now."""
    copy = WatchedLedger(None, ledger._identity, ledger.clock)
    ledger._database.backup(copy._database)
    copy._refresh()
    return copy


def signed_anew(ledger: Ledger, change: Callable[[list[tuple[str, Entry]]], list[tuple[str, Entry]]]) -> Ledger:
    """A whole and well signed ledger in memory of other entries, as the party's own key can make it.

    `change` gets and gives (time, entry) of all of them.
    """
    made = WatchedLedger(None, ledger._identity, ledger.clock)
    previous = GENESIS
    entries = change([(stored.at, stored.entry) for stored in stored_entries(ledger._database, 0)])
    for seq, (at, entry) in enumerate(entries, start=1):
        body, nonce = body_of(entry), seq.to_bytes(32, "big")
        hashed = entry_hash(seq, previous, at, nonce, body)
        values = (seq, at, body, nonce, previous, hashed, ledger._identity.sign(SIGNED, hashed))
        made._database.execute("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?)", values)
        previous = hashed
    made._refresh()
    return made


def state_of(path: Path) -> LedgerState:
    """What follows from the entries in a ledger's file."""
    state = LedgerState()
    for stored in read_ledger(path):
        state.apply(stored.seq, stored.at, stored.entry)
    return state


def charged_in(state: LedgerState, plan: Plan) -> list[Event]:
    """What counts as answered with a sum under a plan, with how often."""
    events = state.plans[plan.hash].charged.values()
    return [event.model_copy(update={"count": event.count * n}) for counts in events for event, n in counts.items()]


def own_epsilon(state: LedgerState, plan: Plan) -> float:
    """Epsilon of what was answered under one plan, as the plan's claim counts it."""
    used = [Used.of(state.plans[plan.hash])]
    return composed_epsilon(used, plan.privacy.delta, plan.privacy.epsilon, PldAccountant())
