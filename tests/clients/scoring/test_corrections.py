"""Corrections of wrong data: told beyond the ceilings, once, with the cause in the ledger; never a way to tell more."""

from __future__ import annotations

import contextlib
import dataclasses
import sqlite3
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from small_release import (
    LIMITS,
    TODAY,
    Pair,
    admit_entry,
    application,
    bits_told,
    code_of,
    content_of,
    crafted,
    everybody,
    known_at,
    level_of,
    request,
    small_release,
    trained_ledger,
)

from sealscore.clients.scoring.batches import batch_for, take_batch
from sealscore.clients.scoring.tokens import Correction, NoToken, TokenMaker
from sealscore.shared.ledger.entries import ServeCorrect, TellLimit
from sealscore.shared.ledger.scoring_bits import ToldForScoring, told_by_lender

WRONG = Correction("wrong-rows", "the import of March shifted a column")
BOTH = frozenset({"signal", "capacity"})


def right(pair: Pair, person: str, inflow: float, day: date = TODAY) -> TokenMaker:
    """The platform with that person's amount put right."""
    records = everybody("wallet")
    columns = {name: values.copy() for name, values in records.columns.items()}
    columns["inflow"][records.person.index(person)] = inflow
    return pair.maker(day, dataclasses.replace(records, columns=columns))


def moved(pair: Pair) -> tuple[str, TokenMaker]:
    """A person whose level moves where the amount is put right, and the platform that has it right."""
    for person in known_at(count=50):
        for inflow in (0.0, 100.0):
            maker = right(pair, person, inflow)
            if level_of(maker, person) != level_of(pair.maker(), person):
                return person, maker
    raise AssertionError("no level of the fixture moves")


def corrections(pair: Pair) -> list[ServeCorrect]:
    return pair.ledger.state.serving.releases[pair.release.hash].corrections


def correct(pair: Pair, person: str, maker: TokenMaker, key: str = "c", day: date = TODAY, **asked: Any) -> bytes:
    return maker.make(request(person, key, **{"lender": pair.lender, **asked}), day, WRONG)


def test_a_correction_tells_the_right_level_and_is_counted_with_its_cause(pair: Pair):
    person, maker = moved(pair)
    wrong = content_of(pair, pair.token(person)).values["signal"]
    made = content_of(pair, correct(pair, person, maker))
    assert made.values["signal"] == level_of(maker, person) != wrong
    assert bits_told(pair) == [3, 3]
    (entry,) = corrections(pair)
    assert (entry.cause, entry.why, entry.bits, entry.peer) == (WRONG.cause, WRONG.why, {"signal": 3}, "lender-1")
    assert [row.get("corrected") for row in pair.store.told_of(person)] == [None, "wrong-rows"]
    assert pair.store.most_bits() == {"signal": 6}
    assert pair.store.check() is None


def test_the_ledger_says_the_bits_of_a_corrected_person_to_whichever_lender(pair: Pair):
    person, maker = moved(pair)
    pair.token(person)
    before = ToldForScoring.of(pair.ledger.state.serving)
    correct(pair, person, maker)
    after = ToldForScoring.of(pair.ledger.state.serving)
    assert after.bits["signal"] == before.bits["signal"] + 3 == pair.store.most_bits()["signal"]
    assert (before.corrections, after.corrections) == (0, 1)
    assert {told.bits["signal"] for told in told_by_lender(pair.ledger.state.serving).values()} == {6}


def test_it_is_told_where_a_ceiling_is_reached_and_the_ceilings_count_without_it():
    pair = Pair(small_release(kinds=True))
    ledger = trained_ledger("wallet", None, pair.release.manifest.told["wallet"].meaning)
    ledger.append(lambda state: admit_entry(pair.release, "wallet", LIMITS | {"signal": TellLimit(month=3, life=6)}))
    pair.__dict__["ledger"] = ledger
    person, maker = moved(pair)
    pair.token(person)
    correct(pair, person, maker)
    april, may = date(2030, 4, 1), date(2030, 5, 1)
    pair.token(person, "april", april)
    assert code_of(lambda: pair.token(person, "may", may)) == "ceiling"
    assert sum(bits_told(pair)) == 3 + 3 + 3


def test_only_once_a_month_however_the_data_are_changed_so_it_at_most_doubles(pair: Pair):
    """An operator who sets the amount at will, to tell a lender more."""
    person, _ = moved(pair)
    for month in range(3, 6):
        day = date(2030, month, 10)
        pair.token(person, f"{month}", day)
        for attempt, inflow in enumerate((0.0, 100.0, 0.0, 50.0, 100.0)):
            with contextlib.suppress(NoToken):
                correct(pair, person, right(pair, person, inflow, day), f"{month}-{attempt}", day)
    assert 1 <= len(corrections(pair)) <= 3
    assert sum(bits_told(pair)) == 3 * (3 + len(corrections(pair)))
    assert ToldForScoring.of(pair.ledger.state.serving).bits["signal"] == sum(bits_told(pair))


@pytest.mark.parametrize("kinds", [frozenset({"signal"}), BOTH])
def test_what_was_not_told_or_did_not_change_is_not_corrected(pair: Pair, kinds: frozenset[Any]):
    person, maker = moved(pair)
    assert code_of(lambda: correct(pair, person, maker, kinds=kinds)) == "not-told"
    pair.token(person, kinds=kinds)
    assert code_of(lambda: correct(pair, person, pair.maker(), kinds=kinds)) == "unchanged"
    assert code_of(lambda: correct(pair, person, maker, "k1", kinds=kinds)) == "key-used"
    no = Correction("because", "x")
    assert code_of(lambda: maker.make(request(person, "c", kinds=kinds), TODAY, no)) == "cause"
    assert corrections(pair) == []
    assert sum(bits_told(pair)) == 3 * len(kinds)


def test_a_month_that_is_over_is_not_corrected(pair: Pair):
    person, _ = moved(pair)
    pair.token(person)
    april = date(2030, 4, 1)
    assert code_of(lambda: correct(pair, person, right(pair, person, 0.0, april), day=april)) == "not-told"


def test_other_lenders_get_the_corrected_level_and_the_rest_can_be_corrected_later(pair: Pair):
    person, maker = moved(pair)
    pair.token(person)
    pair.token(person, "two", lender="lender-2", kinds=BOTH)
    fixed = content_of(pair, correct(pair, person, maker)).values
    other = maker.make(request(person, "again", "lender-2"), TODAY)
    assert content_of(pair, other, "lender-2").values == fixed
    assert len(corrections(pair)) == 1
    # The band was told to the second lender alone; the level is not told a third time with it.
    own = everybody("wallet").columns["inflow"][everybody("wallet").person.index(person)]
    banded = right(pair, person, 0.0 if own > 45 else 100.0)
    rest = correct(pair, person, banded, "rest", lender="lender-2", kinds=BOTH)
    assert content_of(pair, rest, "lender-2").values["signal"] == fixed["signal"]
    assert [one.bits for one in corrections(pair)] == [{"signal": 3}, {"capacity": 3}]


def test_a_correction_that_came_before_gives_the_same_token(pair: Pair):
    person, maker = moved(pair)
    pair.token(person)
    assert correct(pair, person, maker) == correct(pair, person, maker)
    assert len(corrections(pair)) == 1


def test_tokens_that_told_the_wrong_level_are_used_no_more(pair: Pair):
    """A creator who liked the wrong level better brings the old token after the correction."""
    person, maker = moved(pair)
    old = pair.token(person)
    new = correct(pair, person, maker)
    batch = batch_for(pair.identity(), pair.ledger, pair.store, pair.release, pair.peer(), TODAY)
    releases, lender = {pair.release.hash: pair.release}, pair.identity(pair.lender)
    take_batch(batch, lender, pair.lender_ledger, pair.log, releases, [pair.keys()], TODAY, 100)
    service = pair.service()
    for token, status in ((old, "withdrawn"), (new, "used")):
        answer = service.score(application(person, token, application_id=status), "test", TODAY)
        assert answer["signals"][0]["status"] == status


def test_nothing_is_told_where_the_ledger_cannot_be_written(pair: Pair, monkeypatch: pytest.MonkeyPatch):
    person, maker = moved(pair)
    pair.token(person)

    def full(make: Any) -> int:
        raise RuntimeError("no room")

    monkeypatch.setattr(pair.ledger, "append", full)
    with pytest.raises(RuntimeError):
        correct(pair, person, maker)
    assert bits_told(pair) == [3]
    assert pair.store.told_of(person)[-1].get("corrected") is None


def test_a_correction_takes_nothing_of_the_days_most(tmp_path: Path):
    pair = Pair(crafted(small_release(kinds=True), most_a_day=2), folder=tmp_path)
    person, maker = moved(pair)
    pair.token(person)
    correct(pair, person, maker)
    with pair.store.transaction() as own:
        assert own.given_on(pair.release.hash, pair.lender, str(TODAY)) == 1
    others = [one for one in known_at() if one != person]
    pair.token(others[0], "other")
    assert code_of(lambda: pair.token(others[1], "third")) == "day-full"
    # Also where a file from before days were counted is counted once.
    pair.close()
    with closing(sqlite3.connect(tmp_path / "serving.db")) as database:
        database.executescript("DROP TRIGGER tokens_counted; DROP TABLE given;")
    with pair.store.transaction() as own:
        assert own.given_on(pair.release.hash, pair.lender, str(TODAY)) == 2
    pair.close()


class TestByRequest:
    """`consents = "request"`: the table has no consent of the creator; that of a token is the back end's word."""

    def maker(self, pair: Pair, like: TokenMaker, day: date = TODAY, asking: bool = True) -> TokenMaker:
        records = like._records
        unsaid = dataclasses.replace(records, consent=tuple(() for _ in records.person))
        return pair.maker(day, unsaid, asking_consents=asking)

    def test_the_consent_of_the_token_stands_for_the_correction(self, pair: Pair):
        person, right = moved(pair)
        self.maker(pair, pair.maker()).make(request(person), TODAY)
        assert code_of(lambda: correct(pair, person, self.maker(pair, right, asking=False))) == "no-consent"
        made = correct(pair, person, self.maker(pair, right))
        assert content_of(pair, made).values["signal"] == level_of(right, person)
        assert len(corrections(pair)) == 1

    @pytest.mark.parametrize(
        "changes", [{"lender": "lender-2"}, {"text": "b" * 64}, {"language": "zh"}, {"kinds": BOTH}]
    )
    def test_another_consent_does_not(self, pair: Pair, changes: dict[str, Any]):
        person, right = moved(pair)
        self.maker(pair, pair.maker()).make(request(person), TODAY)
        assert code_of(lambda: correct(pair, person, self.maker(pair, right), **changes)) == "no-consent"
        assert corrections(pair) == []

    def test_nor_one_that_was_withdrawn_until_she_consents_again(self, pair: Pair):
        person, right = moved(pair)
        tomorrow = TODAY + timedelta(days=1)
        self.maker(pair, pair.maker()).make(request(person), TODAY)
        with pair.store.transaction() as own:
            own.withdraw(person, pair.lender, str(TODAY))
        for day in (TODAY, tomorrow):
            assert code_of(lambda day=day: correct(pair, person, self.maker(pair, right, day), day=day)) == "no-consent"
        self.maker(pair, pair.maker(), tomorrow).make(request(person, "again"), tomorrow)
        correct(pair, person, self.maker(pair, right, tomorrow), day=tomorrow)
        assert len(corrections(pair)) == 1

    def test_nor_one_of_another_month(self, pair: Pair):
        person, right = moved(pair)
        april = date(2030, 4, 1)
        self.maker(pair, pair.maker()).make(request(person), TODAY)
        self.maker(pair, pair.maker(), april).make(request(person, "april", "lender-2"), april)
        assert code_of(lambda: correct(pair, person, self.maker(pair, right, april), day=april)) == "no-consent"
