"""A party that goes on with somebody who withdrew, because the withdrawal was of another consent or at another party.

Joining two parties' data of a person needs two consents at each of them: to being joined with the other party, and to
sums over all. Whichever of the four ends, nothing is told of the person any more, and what was told is in no sum.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from datetime import datetime, tzinfo

import numpy as np
import pytest
from vertical_builders import Wire, federation_of, only, vertical_plan

from sealscore.shared.messages.codec import encode
from sealscore.shared.messages.messages import Hello, PairAnswer
from sealscore.shared.persons.consent import FEDERATION, parse_consents
from sealscore.shared.persons.records import Records
from sealscore.shared.phases.kind import Kind

LENDER, PLATFORM = "lender-1", "wallet"
PLAN = only(vertical_plan(), LENDER, PLATFORM).replace(alignment__min_overlap=1)
BOTH = pytest.mark.parametrize("ended", ["federation", "the peer"])


def consenting(records: Records, peer: str, without: str = "", persons: Iterable[str] = ()) -> Records:
    """The records with everybody's consent to sums and to the peer; these persons have withdrawn one of the two."""
    gone = set(persons)
    given = parse_consents(f"{FEDERATION}; {peer}")
    ended = FEDERATION if without == "federation" else peer
    left = parse_consents(f"{FEDERATION}; {peer}; {ended} withdrawn 2024-01-01")
    return dataclasses.replace(records, consent=tuple(left if p in gone else given for p in records.person))


class Pair:
    """A lender and a wallet that are aligned and, if they are, have told each other all that the plan has them tell."""

    def __init__(self, told: bool = True) -> None:
        full = federation_of(PLAN)
        self.records = {LENDER: consenting(full[LENDER], PLATFORM), PLATFORM: consenting(full[PLATFORM], LENDER)}
        self.wire = Wire(PLAN, self.records)
        self.wire.align(LENDER, PLATFORM)
        if told:
            self.tell()
        self.lender, self.platform = (self.wire.nodes[name].role for name in (LENDER, PLATFORM))
        self.persons = sorted(self.wire.aligned(LENDER, PLATFORM).persons)

    def tell(self) -> None:
        self.wire.give(Kind.LABELS, PLATFORM, LENDER, 2, self.wire.labels(LENDER, PLATFORM))
        levels = self.wire.signal(PLATFORM, LENDER)
        assert isinstance(levels, PairAnswer)
        self.wire.give(Kind.SIGNAL, LENDER, PLATFORM, 2, levels.body)
        bands = self.wire.give(Kind.GROUPS, PLATFORM, LENDER, 1)
        self.wire.give(Kind.GROUPS, LENDER, PLATFORM, 2, bands)

    def withdraw(self, party: str, ended: str, persons: Iterable[str]) -> None:
        """A party reads its data anew, and its notices reach the peer."""
        peer = PLATFORM if party == LENDER else LENDER
        self.wire.nodes[party].reload(consenting(self.records[party], peer, ended, persons))
        for plan, handle in self.wire.nodes[party].disclosure_store.notices(peer):
            self.wire.nodes[peer].forget(party, plan, [handle])

    def kept(self, party: str) -> set[str]:
        """Of whom the register of a party has something that the peer told."""
        disclosure_store, peer = self.wire.nodes[party].disclosure_store, PLATFORM if party == LENDER else LENDER
        kinds = ("label", "signal", "groups")
        return {person for kind in kinds for person in disclosure_store.received(PLAN.hash, kind).get(peer, {})}

    def summed(self) -> set[str]:
        """Persons in the platform's sums."""
        return {self.records[PLATFORM].person[row] for _, row in self.platform._examples()}

    def levels(self) -> set[str]:
        """Persons with whose level the lender goes on."""
        scored = self.lender.scored_records()
        known = ~np.isnan(scored.columns["signal.wallet"])
        return {person for person, level in zip(scored.person, known, strict=True) if level}

    def bands(self) -> set[str]:
        """Persons in whose band the lender evaluates."""
        return set(self.lender._bands_told("region"))


@BOTH
@pytest.mark.parametrize("party", [LENDER, PLATFORM])
def test_whichever_consent_ends_and_wherever_both_parties_go_on_without(party: str, ended: str):
    pair = Pair()
    assert min(len(pair.summed()), len(pair.levels()), len(pair.bands())) > 30
    gone = set(pair.persons[::2])
    stay = {"summed": pair.summed() - gone, "levels": pair.levels() - gone, "bands": pair.bands() - gone}
    pair.withdraw(party, ended, gone)
    assert {name: getattr(pair, name)() for name in stay} == stay
    assert not (pair.kept(LENDER) | pair.kept(PLATFORM)) & gone


@BOTH
@pytest.mark.parametrize("party", [LENDER, PLATFORM])
def test_of_nobody_who_lacks_one_of_both_anything_is_told_later(party: str, ended: str):
    pair = Pair(told=False)
    gone = pair.persons[::2]
    pair.withdraw(party, ended, gone)
    aligned = len(pair.wire.disclosures(LENDER)), len(pair.wire.disclosures(PLATFORM))
    pair.tell()
    noted = [
        entry.persons
        for name, before in zip((LENDER, PLATFORM), aligned, strict=True)
        for entry in pair.wire.disclosures(name)[before:]
    ]
    assert len(noted) == 5
    assert max(noted) == len(pair.persons) - len(gone)
    assert not (pair.kept(LENDER) | pair.kept(PLATFORM)) & set(gone)


@BOTH
@pytest.mark.parametrize("party", [LENDER, PLATFORM])
def test_who_lacks_one_of_both_is_not_aligned(party: str, ended: str):
    pair = Pair()
    gone = set(pair.persons[::2])
    peer = PLATFORM if party == LENDER else LENDER
    records = pair.records | {party: consenting(pair.records[party], peer, ended, gone)}
    wire = Wire(PLAN, records)
    wire.align(LENDER, PLATFORM)
    assert set(wire.aligned(PLATFORM, LENDER).persons) == set(pair.persons) - gone


def test_one_who_consents_again_is_not_told_of_again_under_a_plan_in_which_the_peer_deleted():
    """The peer names nobody by that handle any more, so it would be told, and charged, for nothing."""
    pair = Pair(told=False)
    person = pair.persons[0]
    pair.withdraw(LENDER, "federation", [person])
    pair.withdraw(LENDER, "federation", [])
    pair.wire.labels(LENDER, PLATFORM)
    assert pair.wire.disclosures(LENDER)[-1].persons == len(pair.persons) - 1


def test_a_last_day_that_passes_in_mid_run_is_passed_on_without_a_new_reading(monkeypatch: pytest.MonkeyPatch):
    pair = Pair()
    person, disclosure_store = pair.persons[0], pair.wire.nodes[LENDER].disclosure_store
    until = tuple(
        parse_consents(f"{FEDERATION} until 2100-01-01; {PLATFORM}") if one == person else given
        for one, given in zip(pair.records[LENDER].person, pair.records[LENDER].consent, strict=True)
    )
    pair.wire.nodes[LENDER].reload(dataclasses.replace(pair.records[LENDER], consent=until))
    assert disclosure_store.notices(PLATFORM) == []

    class Later(datetime):
        @classmethod
        def now(cls, zone: tzinfo | None = None) -> datetime:
            return datetime(2100, 1, 2, tzinfo=zone)

    for module in ("sealscore.clients.node.node", "sealscore.shared.persons.records"):
        monkeypatch.setattr(f"{module}.datetime", Later)
    pair.wire.nodes[LENDER].answer(encode(Hello(pair.wire.header(Kind.SIGNAL, PLATFORM, 0, LENDER, 0))))
    assert len(disclosure_store.notices(PLATFORM)) == 1
