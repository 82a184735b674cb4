"""The desk: a withdrawal stops all telling, months and data change under it, and what cannot be read is told."""

from __future__ import annotations

import dataclasses
from datetime import date, timedelta

import pytest
from platform_desk import Desk
from small_release import TODAY, Pair, admit_entry, bits_told, content_of, crafted, everybody, known_at, request

from sealscore.clients.data import DataError
from sealscore.clients.data.errors import Problem
from sealscore.clients.platform_api.desk import RETRY
from sealscore.clients.scoring.tokens import NoToken
from sealscore.shared.ledger.entries import EndRelease
from sealscore.shared.ledger.ledger import Ledger, LedgerError
from sealscore.shared.persons.consent import Consent
from sealscore.shared.persons.records import Records

APRIL = date(2030, 4, 1)


def give(desk: Desk, person: str, key: str = "k", **asked: object) -> bytes:
    release = str(asked.pop("release", desk.pair.release.hash))
    return desk.do(lambda: desk.of.consent(release, request(person, key, **asked)).token)


def refused(desk: Desk, person: str, key: str, **asked: object) -> str:
    with pytest.raises(NoToken) as error:
        give(desk, person, key, **asked)
    return error.value.code


def consenting(*consents: Consent) -> Records:
    records = everybody("wallet")
    return dataclasses.replace(records, consent=tuple(consents for _ in records.person))


def test_a_token_is_kept_with_its_last_day(desk: Desk, pair: Pair):
    person = known_at()[0]
    kept = desk.do(lambda: desk.of.consent(pair.release.hash, request(person)))
    content = content_of(pair, kept.token)
    assert (content.as_of, str(content.expires)) == (TODAY, kept.expires)
    again = desk.do(lambda: desk.of.consent(pair.release.hash, request(person)))
    assert again == kept


def test_a_withdrawal_stops_all_telling_to_that_lender(desk: Desk):
    """Also where no token was ever given, and while the table of consents is still the old one."""
    one, other = known_at()[:2]
    give(desk, one)
    assert [desk.do(lambda who=who: desk.of.withdraw(who, "lender-1")) for who in (one, one, other)] == [1, 0, 0]
    for person in (one, other):
        assert refused(desk, person, "new") == "no-consent"
        give(desk, person, f"elsewhere-{person}", lender="lender-2")
    assert refused(desk, one, "k") == "withdrawn"
    assert desk.do(lambda: bits_told(desk.pair)) == [3, 0, 3]


def test_only_a_consent_of_a_later_day_holds_after_a_withdrawal(desk: Desk):
    person, later = known_at()[0], TODAY + timedelta(days=1)
    for consents, code in (
        ((Consent("lender-1"),), "no-consent"),
        ((Consent("lender-1", given=TODAY),), "no-consent"),
        ((Consent("lender-1", given=later),), ""),
    ):
        desk.records = lambda consents=consents: consenting(*consents)
        desk.version += 1
        desk.of.look(desk.worker)
        desk.do(lambda: desk.of.withdraw(person, "lender-1"))
        desk.today = later
        if code:
            assert refused(desk, person, "k") == code
        else:
            give(desk, person)
        desk.today = TODAY


def test_a_request_is_a_consent_only_where_the_operator_says_so(pair: Pair):
    for asking, consents, told in (
        (False, (), False),
        (True, (), True),
        (True, (Consent("lender-1", withdrawn=TODAY),), False),
        (True, (Consent("lender-1", withdrawn=TODAY - timedelta(days=1)),), True),
    ):
        desk = Desk(Pair(pair.release), asking_consents=asking)
        desk.records = lambda consents=consents: consenting(*consents)
        desk.version += 1
        desk.of.look(desk.worker)
        if told:
            give(desk, known_at()[0])
            desk.do(lambda desk=desk: desk.of.withdraw(known_at()[0], "lender-1"))
            assert refused(desk, known_at()[0], "again") == "no-consent"
        else:
            assert refused(desk, known_at()[0], "k") == "no-consent"
        desk.close()


def test_a_month_that_begins_has_its_keys_at_once(desk: Desk):
    person = known_at()[0]
    give(desk, person)
    desk.today = APRIL
    assert content_of(desk.pair, give(desk, person, "april")).as_of == APRIL


def test_what_was_told_is_told_with_its_day_and_its_withdrawal(desk: Desk, pair: Pair):
    one, other = known_at()[:2]
    give(desk, one, "a", kinds=frozenset({"signal", "capacity"}))
    give(desk, other, "b")
    desk.today = TODAY + timedelta(days=2)
    give(desk, one, "c", lender="lender-2")
    desk.do(lambda: desk.of.withdraw(one, "lender-1"))
    rows = desk.do(lambda: desk.of.told(one))
    days = [(row["lender"], row["kind"], row["day"], row["bits"], row["withdrawn"]) for row in rows]
    first, last = str(TODAY), str(desk.today)
    assert days == [
        ("lender-1", "capacity", first, 3, last),
        ("lender-1", "signal", first, 3, last),
        ("lender-2", "signal", last, 0, None),
    ]
    assert {row["release"] for row in rows} == {pair.release.hash}
    assert desk.do(lambda: desk.of.told("nobody")) == []


def test_a_withdrawal_names_a_lender_of_a_release_also_of_one_that_ended(desk: Desk, pair: Pair):
    person = known_at()[0]
    give(desk, person)
    pair.ledger.append(lambda state: EndRelease(release=pair.release.hash, why="over"))
    desk.of.look(desk.worker)
    assert desk.do(desk.of.ready) == {}
    assert refused(desk, person, "new") == "release"
    assert desk.do(lambda: desk.of.withdraw(person, "lender-1")) == 1
    for who, lender, code in ((person, "stranger", "lender"), ("\ud800", "lender-1", "person")):
        with pytest.raises(NoToken) as error:
            desk.do(lambda who=who, lender=lender: desk.of.withdraw(who, lender))
        assert error.value.code == code


def test_a_ledger_that_cannot_be_read_keeps_nobody_from_withdrawing(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    person = known_at()[0]
    give(desk, person)

    def broken(ledger: Ledger) -> None:
        raise LedgerError("it is damaged")

    with monkeypatch.context() as patched:
        patched.setattr(Ledger, "state", property(broken))
        assert desk.do(lambda: desk.of.withdraw(person, "lender-1")) == 1
        with pytest.raises(LedgerError):
            give(desk, person, "new")
    assert refused(desk, person, "new") == "no-consent"


def test_a_release_that_is_approved_is_served_without_a_restart(desk: Desk, pair: Pair):
    second = crafted(pair.release, name="second")
    desk.releases[second.hash] = second
    assert refused(desk, known_at()[0], "k", release=second.hash) == "release"
    pair.ledger.append(lambda state: admit_entry(second, "wallet"))
    assert desk.of.look(desk.worker)
    assert not desk.of.look(desk.worker)
    # Both have one plan and one tower: its level of the month is known, and costs nothing again.
    give(desk, known_at()[0])
    give(desk, known_at()[0], release=second.hash)
    assert desk.do(lambda: bits_told(pair)) == [3, 0]


def test_data_at_fault_leave_those_that_were_there_in_use(desk: Desk, pair: Pair):
    def faulty() -> Records:
        raise DataError([Problem("table", "a column is missing", "add it")])

    good, desk.records = desk.records, faulty
    desk.version += 1
    desk.of.look(desk.worker)
    assert len(desk.of.undone) == 1
    give(desk, known_at()[0])
    # It is tried again when the data change or a while later, and not each second.
    reads, desk.records = desk.reads, good
    assert not desk.of.look(desk.worker)
    assert desk.reads == reads
    desk.now = RETRY
    assert desk.of.look(desk.worker)
    assert desk.of.undone == ()


def test_a_release_whose_folder_is_gone_keeps_no_other_from_being_served(desk: Desk, pair: Pair):
    lost = crafted(pair.release, name="lost")
    pair.ledger.append(lambda state: admit_entry(lost, "wallet"))
    desk.of.look(desk.worker)
    assert len(desk.of.undone) == 1
    assert list(desk.do(desk.of.ready)) == [pair.release.hash]
    give(desk, known_at()[0])


def test_data_are_read_again_on_another_day_and_when_they_change(desk: Desk):
    assert (desk.reads, desk.of.look(desk.worker)) == (1, False)
    desk.version += 1
    assert desk.of.look(desk.worker)
    desk.today += timedelta(days=1)
    assert desk.of.look(desk.worker)
    assert desk.of.look(desk.worker, again=True)
    assert desk.reads == 4
