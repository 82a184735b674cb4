"""What a register says about consents and about one person."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from sealscore.compliance.figures.consents import EVERY_PURPOSE, consent_counts, open_disclosure_store, person_view
from sealscore.shared.ledger.disclosure_store import DisclosureStore, DisclosureStoreError
from sealscore.shared.persons.consent import Consent, parse_consents

DAY = date(2031, 6, 1)


@pytest.fixture
def disclosure_store(tmp_path: Path) -> DisclosureStore:
    """Three persons with consents, two of whom something was told."""
    found = DisclosureStore(tmp_path / "register.db")
    cells = {
        "ann": "video-1 for credit-scoring until 2031-12-31; federation",
        "bob": "video-1 for credit-scoring withdrawn 2031-05-01",
        "cid": "video-1 for credit-scoring until 2030-12-31; federation until 2031-06-01",
    }
    found.note_consents((who, f"loan of {who}", c) for who, cell in cells.items() for c in parse_consents(cell))
    # A second record of Bob's, and a consent that was given again after it had been withdrawn.
    again = [Consent("video-1", "credit-scoring", given=date(2031, 5, 2))]
    kept = [*found.consents(), *(("bob", "loan 2 of bob", one) for one in again)]
    found.note_consents([*kept, ("dan", "loan of dan", Consent("video-1", "fraud", given=date(2032, 1, 1)))])
    found.tell("label", "bad", 1, "video-1", "ab" * 32, {"ann": 1, "bob": 0})
    found.receive("ab" * 32, "video-1", "signal", {"ann": 7})
    return found


def test_records_are_counted_by_purpose_recipient_and_state(disclosure_store: DisclosureStore):
    found = {(one.purpose, one.recipient): one.states for one in consent_counts(disclosure_store, DAY)}
    assert found == {
        ("credit-scoring", "video-1"): {"live": 2, "not-yet": 0, "withdrawn": 1, "expired": 1},
        (EVERY_PURPOSE, "federation"): {"live": 2, "not-yet": 0, "withdrawn": 0, "expired": 0},
        ("fraud", "video-1"): {"live": 0, "not-yet": 1, "withdrawn": 0, "expired": 0},
    }
    later = {(one.purpose, one.recipient): one.states for one in consent_counts(disclosure_store, date(2031, 6, 2))}
    assert later[EVERY_PURPOSE, "federation"] == {"live": 1, "not-yet": 0, "withdrawn": 0, "expired": 1}


def test_a_live_consent_counts_before_one_that_was_withdrawn(tmp_path: Path):
    disclosure_store = DisclosureStore(tmp_path / "r.db")
    consents = parse_consents("video-1 withdrawn 2030-01-01; video-1 from 2031-01-01")
    disclosure_store.note_consents(("ann", "loan", one) for one in consents)
    assert consent_counts(disclosure_store, DAY)[0].states["live"] == 1
    assert consent_counts(disclosure_store, date(2030, 6, 1))[0].states == {
        **{"live": 0, "not-yet": 1, "withdrawn": 0, "expired": 0}
    }


def test_one_person(disclosure_store: DisclosureStore):
    ann = person_view(disclosure_store, "ann", DAY)
    assert [(record, consent.recipient, state) for record, consent, state in ann.consents] == [
        ("loan of ann", "federation", "live"),
        ("loan of ann", "video-1", "live"),
    ]
    assert [(told.kind, told.recipient, told.value, told.bits) for told in ann.told] == [("label", "video-1", 1, 1)]
    assert ann.received == [("ab" * 32, "video-1", "signal", 7)]
    bob = person_view(disclosure_store, "bob", DAY)
    assert {state for _, _, state in bob.consents} == {"withdrawn", "live"}
    assert bob.told
    assert person_view(disclosure_store, "eve", DAY).empty


def test_a_register_that_is_not_there_is_not_made(tmp_path: Path):
    with pytest.raises(DisclosureStoreError, match=r"none\.db"):
        open_disclosure_store(tmp_path / "none.db")
    assert not (tmp_path / "none.db").exists()
