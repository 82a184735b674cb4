"""Ceilings that the operator lowers while a plan's door is open: what is told next is within them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from vertical_builders import Wire, federation_of, only, vertical_plan

from sealscore.clients.node.plan_ledger import PlanLedger
from sealscore.clients.roles.lifetime import Lifetime
from sealscore.clients.roles.releases import PayloadRelease
from sealscore.shared.ledger.disclosure_store import DisclosureStore
from sealscore.shared.ledger.entries import Ceilings, Limit
from sealscore.shared.ledger.ledger import Ledger
from sealscore.shared.messages.codec import Address
from sealscore.shared.messages.messages import PairAnswer
from sealscore.shared.phases.kind import Kind
from sealscore.shared.randomness.streams import StreamSource

LENDER, PLATFORM = "lender-1", "wallet"
PLAN = only(vertical_plan(), LENDER, PLATFORM).replace(alignment__min_overlap=1)


def limit(ledger: Ledger, **ceilings: Any) -> None:
    """The operator's word, from another process or from this one."""
    ledger.append(lambda state: Limit(ceilings=Ceilings(epsilon=None, delta=1e-5, **ceilings), why="asked"))


def aligned() -> tuple[Wire, Ledger]:
    """An aligned pair of which the platform's limit of bits is its ledger's, with that ledger."""
    books: list[Ledger] = []

    def bits() -> int:
        ceilings = books[0].state.ceilings
        assert ceilings is not None
        return ceilings.signal_bits

    lives = {
        LENDER: Lifetime.fresh(StreamSource.seeded(0, LENDER)),
        PLATFORM: Lifetime.of(StreamSource.seeded(0, PLATFORM), DisclosureStore(), bits),
    }
    wire = Wire(PLAN, federation_of(PLAN), lives)
    books.append(wire.nodes[PLATFORM].plan_ledger.ledger)
    wire.align(LENDER, PLATFORM)
    return wire, books[0]


def told(wire: Wire) -> int:
    """Of how many persons the ledger says that a level was told."""
    assert isinstance(wire.signal(PLATFORM, LENDER), PairAnswer)
    return wire.disclosures(PLATFORM)[-1].persons


@pytest.mark.parametrize(("bits", "all_told"), [(PLAN.model.signal_bits, True), (PLAN.model.signal_bits - 1, False)])
def test_levels_are_told_within_the_limit_of_the_moment(bits: int, all_told: bool):
    wire, ledger = aligned()
    limit(ledger, signal_bits=bits)
    assert told(wire) == (len(wire.aligned(PLATFORM, LENDER).persons) if all_told else 0)


def just_after_the_check(monkeypatch: pytest.MonkeyPatch, lower: Callable[[], None]) -> None:
    """Another process has its word written once a release was found to be within the ceilings."""
    clear = PlanLedger.clear

    def cleared(books: PlanLedger, header: Address, releases: Sequence[PayloadRelease]) -> None:
        clear(books, header, releases)
        lower()

    monkeypatch.setattr(PlanLedger, "clear", cleared)


def test_also_where_it_is_lowered_between_the_check_and_the_entry(monkeypatch: pytest.MonkeyPatch):
    wire, ledger = aligned()
    just_after_the_check(monkeypatch, lambda: limit(ledger, signal_bits=1))
    assert told(wire) == 0
    assert wire.lifetimes[PLATFORM].disclosure_store.meanings("signal") == {}


def test_the_same_of_labels(monkeypatch: pytest.MonkeyPatch):
    wire, _ = aligned()
    ledger, disclosure_store = wire.nodes[LENDER].plan_ledger.ledger, wire.lifetimes[LENDER].disclosure_store
    before = disclosure_store.head
    just_after_the_check(monkeypatch, lambda: limit(ledger, label_epsilon=0.5))
    assert wire.code(Kind.LABELS, LENDER, PLATFORM, 1) == "budget"
    assert disclosure_store.head == before
    assert wire.events(LENDER) == []


def test_nothing_is_noted_for_a_plan_that_is_revoked_in_between(monkeypatch: pytest.MonkeyPatch):
    wire, _ = aligned()
    disclosure_store = wire.lifetimes[LENDER].disclosure_store
    before = disclosure_store.head
    just_after_the_check(monkeypatch, lambda: wire.nodes[LENDER].plan_ledger.settle("expired"))
    assert wire.code(Kind.LABELS, LENDER, PLATFORM, 1) == "not-approved"
    assert disclosure_store.head == before
