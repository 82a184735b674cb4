"""Entries of serving: only a tower that a ledger knows, only what its release says, in the order of days."""

from __future__ import annotations

import pytest
from small_release import TODAY, Pair, admit_entry, crafted, small_release, trained_ledger

from sealscore.shared.ledger.entries import EndRelease, Entry, LogDay, ServeDay, ServeWithdraw, TellLimit
from sealscore.shared.ledger.ledger import Ledger
from sealscore.shared.ledger.state import LedgerFault


@pytest.fixture
def pair() -> Pair:
    return Pair(small_release(kinds=True))


def fault(ledger: Ledger, entry: Entry) -> str:
    """The code with which an entry is refused; fails where it is taken."""
    before = ledger.head
    with pytest.raises(LedgerFault) as error:
        ledger.append(lambda state: entry)
    assert ledger.head == before
    return error.value.code


def test_the_entry_of_a_day_is_as_the_release_says(pair: Pair):
    manifest = pair.release.manifest
    good = ServeDay(
        release=pair.release.hash,
        peer="lender-1",
        day=str(TODAY),
        most=manifest.most_a_day,
        bits={str(kind): bits for kind, bits in manifest.told["wallet"].bits.items()},
        store_head="0" * 64,
    )
    for change in ({"bits": {**good.bits, "signal": 2}}, {"bits": {"signal": 3}}, {"most": 1}, {"peer": "stranger"}):
        assert fault(pair.ledger, good.model_copy(update=change)) == "serving"
    assert fault(pair.ledger, good.model_copy(update={"release": "0" * 64})) == "release"
    pair.ledger.append(lambda state: good)
    for day in (good.day, "2030-03-09"):
        assert fault(pair.ledger, good.model_copy(update={"day": day})) == "order"
    assert fault(pair.lender_ledger, good) == "serving"
    pair.ledger.append(lambda state: EndRelease(release=pair.release.hash, why="over"))
    assert fault(pair.ledger, good.model_copy(update={"day": "2030-03-11"})) == "release"


def test_a_tower_whose_levels_were_never_told_is_not_approved():
    release = small_release()
    for meaning in ("0" * 64, release.manifest.told["video"].meaning):
        assert fault(trained_ledger("wallet", None, meaning), admit_entry(release, "wallet")) == "tower"
    assert fault(trained_ledger("wallet"), admit_entry(release, "wallet")) == "tower"


def test_a_tower_that_is_known_does_not_cover_another_in_the_same_release():
    """A release whose manifest names the tower of training, and whose files hold another one, is not read at all; one
    that names the other is not approved.
    """
    known, other = small_release(), small_release(seed=1)
    meaning = known.manifest.told["wallet"].meaning
    assert meaning != other.manifest.told["wallet"].meaning
    assert fault(trained_ledger("wallet", None, meaning), admit_entry(other, "wallet")) == "tower"


def test_an_approval_names_its_own_text_its_plan_and_its_limits(pair: Pair):
    other = crafted(pair.release, name="other")
    good = admit_entry(other, "wallet")
    for change in (
        {"release": "0" * 64},
        {"plan": "0" * 64},
        {"limits": {}},
        {"limits": {"signal": TellLimit(month=3, life=3)}},
        {"text": good.text.replace("other", "another")},
        {"text": " " + good.text},
    ):
        assert fault(pair.ledger, good.model_copy(update=change)) == "release"
    pair.ledger.append(lambda state: good)
    assert fault(pair.ledger, good) == "release"
    alone = crafted(pair.release, name="alone", lenders=["lender-2"])
    assert fault(pair.lender_ledger, admit_entry(alone, "lender-1")) == "release"


def test_batches_and_days_of_the_log_only_rise(pair: Pair):
    ledger = pair.ledger

    def batch(number: int, peer: str = "lender-1") -> ServeWithdraw:
        return ServeWithdraw(peer=peer, direction="passed", batch=number, persons=0)

    ledger.append(lambda state: batch(2))
    assert fault(ledger, batch(2)) == fault(ledger, batch(1)) == "order"
    ledger.append(lambda state: batch(1, "lender-2"))
    ledger.append(lambda state: LogDay(day="2030-03-10", head="0" * 64))
    assert fault(ledger, LogDay(day="2030-03-10", head="1" * 64)) == "order"
    assert fault(ledger, LogDay(day="2030-03-09", head="0" * 64)) == "order"
