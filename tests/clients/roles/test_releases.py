"""A payload keeps its order by itself: nothing is made of what was not kept."""

from __future__ import annotations

import pytest
from vertical_builders import Wire, vertical_plan

from sealscore.clients.roles.releases import Kept, Payload, PayloadRelease
from sealscore.clients.roles.role import PairContext
from sealscore.shared.dp.events import Disclosure
from sealscore.shared.ledger.disclosure_store import DisclosureStoreError
from sealscore.shared.phases.kind import Kind
from sealscore.shared.randomness.streams import StreamSource

EVENT = Disclosure(bits=1, recipient="wallet", count=1)


def test_a_payload_is_made_once_each_release_was_kept():
    kept: list[str] = []

    def keep(name: str, persons: int) -> Kept:
        kept.append(name)
        return Kept(persons, 1)

    one, two = (PayloadRelease(EVENT, name, lambda name=name: keep(name, 5)) for name in ("one", "two"))
    payload = Payload(lambda: ",".join(kept).encode(), (one, two))
    for release in (one, two):
        with pytest.raises(RuntimeError, match="was kept"):
            payload.make()
        assert payload.keep(release) == (5, 1)
    assert payload.make() == b"one,two"


def test_equal_releases_are_two():
    one, two = PayloadRelease(EVENT), PayloadRelease(EVENT)
    payload = Payload(lambda: b"made", (one, two))
    payload.keep(one)
    payload.keep(one)
    with pytest.raises(RuntimeError):
        payload.make()


def test_a_release_that_could_not_be_noted_is_not_kept():
    def full() -> Kept:
        raise DisclosureStoreError("no room")

    release = PayloadRelease(EVENT, keep=full)
    payload = Payload(lambda: b"made", (release,))
    with pytest.raises(DisclosureStoreError):
        payload.keep(release)
    with pytest.raises(RuntimeError):
        payload.make()


def test_what_costs_nothing_can_be_made_at_once():
    assert Payload.of(b"body").make() == b"body"


@pytest.mark.parametrize(
    ("kind", "party", "peer"),
    [(Kind.LABELS, "lender-1", "wallet"), (Kind.SIGNAL, "wallet", "lender-1"), (Kind.GROUPS, "wallet", "lender-1")],
    ids=["labels", "signal", "groups"],
)
def test_a_role_sends_nothing_that_was_not_kept(kind: Kind, party: str, peer: str):
    """Neither through the payload nor past it: what is told begins as nothing, and not as the truth."""
    made = Wire(vertical_plan())
    made.align("lender-1", "wallet")
    node, header = made.nodes[party], made.header(kind, "wallet", 1, party)
    parts = made.tower("wallet") if kind is Kind.SIGNAL else {}
    work = node.role.pair(node._phases[header.phase][1], 1, parts)
    payload = work(PairContext(StreamSource.seeded(1, party), header.reply(), peer), b"")
    (release,) = payload.releases
    for make in (payload.make, payload._make):
        with pytest.raises(RuntimeError):
            make()
    kept = payload.keep(release)
    assert 0 < kept.fresh == kept.persons
    assert len(payload.make()) == len(payload._make()) > 32
