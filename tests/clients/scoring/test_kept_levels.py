"""Levels of tokens that a lender keeps for retraining: by consent and purpose, until they are withdrawn or erased."""

from __future__ import annotations

import sqlite3
from datetime import date, timedelta
from pathlib import Path

import pytest
from small_release import (
    TODAY,
    Pair,
    application,
    content_of,
    crafted,
    everybody,
    known_at,
    level_of,
    request,
    small_release,
)

from sealscore.clients.scoring.application import ApplicationError
from sealscore.clients.scoring.storage.kept_levels import MOST_DAYS, KeptLevels
from sealscore.clients.scoring.storage.log_keys import LogKeys
from sealscore.clients.scoring.tokens import Correction
from sealscore.shared.ledger.disclosure_store import DisclosureStoreError

PURPOSE = "retraining"


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    """Whose release names a purpose of retraining; the log lies in a file."""
    return Pair(crafted(small_release(kinds=True), retraining_code=PURPOSE), folder=tmp_path)


def kept(pair: Pair) -> KeptLevels:
    assert pair.folder is not None
    return KeptLevels(pair.folder / "scores.db", lambda: LogKeys.of(b"k" * 96).naming)


def levels(pair: Pair, *persons: str, **changes: str) -> dict[str, int]:
    meaning = pair.release.manifest.told["wallet"].meaning
    asked = {"platform": "wallet", "meaning": meaning, "purpose": PURPOSE} | changes
    return kept(pair).of(persons=persons, **asked)


def used(pair: Pair, person: str, key: str = "k", day: date = TODAY, retraining: bool = True) -> int:
    """A token that a lender used: its level."""
    token = pair.token(person, f"{key} {person}", day, retraining=retraining)
    given = application(person, token, day=day, application_id=f"{person} {key}")
    answer = pair.service(TODAY, day).score(given, "test", day)
    assert answer["signals"][0]["status"] == "used"
    return content_of(pair, token).values["signal"]


def test_a_level_is_kept_where_the_consent_names_retraining_and_found_for_its_persons_alone(pair: Pair):
    one, two, three = known_at()[:3]
    assert levels(pair, one) == {}
    level = used(pair, one)
    used(pair, two, retraining=False)
    assert levels(pair, one, two, three, "nobody") == {one: level}
    assert levels(pair, two, three) == {}


@pytest.mark.parametrize("change", [{"purpose": "credit-decision"}, {"meaning": "0" * 64}, {"platform": "video-1"}])
def test_a_level_is_for_its_purpose_meaning_and_platform(pair: Pair, change: dict[str, str]):
    person = known_at()[0]
    used(pair, person)
    assert levels(pair, person, **change) == {}


def test_of_several_levels_the_first_counts_whatever_came_later(pair: Pair):
    person = next(one for one in known_at(count=50) if level_of(pair.maker(), one) != 0)
    first = used(pair, person)
    with sqlite3.connect(pair.folder / "scores.db") as database:  # type: ignore[operator]
        # The same level a month later, and another one.
        database.execute(
            "INSERT INTO levels SELECT x'00', person, platform, meaning, purpose, date(as_of, '+9 days'), 0 FROM levels"
        )
    assert levels(pair, person) == {person: first}


def test_a_level_that_is_withdrawn_erased_or_too_old_is_gone_from_the_file(pair: Pair):
    one, two, three = known_at()[:3]
    for person in (one, two, three):
        used(pair, person)
    before = kept(pair).deletions()
    (handle,) = pair.log._database.execute("SELECT handle FROM levels").fetchone()
    with pair.log.commit() as batch:
        assert batch.withdraw([bytes(handle)], "wallet", str(TODAY), str(TODAY)) == 1
    assert len(levels(pair, one, two, three)) == 2
    assert kept(pair).deletions() > before
    (gone,) = {one, two, three} - set(levels(pair, one, two, three))
    left = [person for person in (one, two, three) if person != gone]
    with pair.log.commit() as batch:
        assert batch.erase(left[0], "a right")
    assert set(levels(pair, one, two, three)) == {left[1]}
    with pair.log.commit() as batch:
        batch.destroy_expired(str(TODAY + timedelta(days=MOST_DAYS)))
    assert set(levels(pair, left[1])) == {left[1]}
    with pair.log.commit() as batch:
        batch.destroy_expired(str(TODAY + timedelta(days=MOST_DAYS + 1)))
    assert levels(pair, left[1]) == {}


def refused(pair: Pair, person: str) -> tuple[bytes, bytes]:
    """Two tokens of an application that is refused within a commit that goes on, as a service's does; their handles."""
    tokens = [pair.token(person, key, retraining=True) for key in "ab"]
    service = pair.service()
    opened = service.open([application(person, *tokens)], TODAY)
    with pair.log.commit() as batch, pytest.raises(ApplicationError) as error:
        service.answer(batch, opened[0], "test", TODAY)
    assert error.value.code == "two-tokens"
    first, second = (content_of(pair, token).handle for token in tokens)
    return first, second


def test_a_refused_application_leaves_no_level(pair: Pair):
    person = known_at()[0]
    handles = refused(pair, person)
    assert levels(pair, person) == {}
    with pair.log.commit() as batch:
        assert [batch.handle(one) for one in handles] == [None, None]


@pytest.mark.parametrize("way", ["withdrawn", "next day"])
def test_a_level_that_an_earlier_version_kept_of_an_unused_token_goes(pair: Pair, way: str):
    person = known_at()[0]
    token = content_of(pair, pair.token(person, retraining=True))
    with pair.log.commit() as batch:
        batch.keep_level(token, person, PURPOSE)
    assert set(levels(pair, person)) == {person}
    before = kept(pair).deletions()
    with pair.log.commit() as batch:
        if way == "withdrawn":
            batch.withdraw([token.handle], "video-1", str(TODAY), str(TODAY))
            assert not batch.shed
            batch.withdraw([token.handle], "wallet", str(TODAY), str(TODAY))
        else:
            batch.destroy_expired(str(TODAY))
        assert batch.shed
    assert levels(pair, person) == {}
    assert kept(pair).deletions() > before


def test_a_withdrawal_of_another_platform_deletes_nothing(pair: Pair):
    person = known_at()[0]
    used(pair, person)
    (handle,) = pair.log._database.execute("SELECT handle FROM levels").fetchone()
    with pair.log.commit() as batch:
        assert batch.withdraw([bytes(handle)], "video-1", str(TODAY), str(TODAY)) == 0
    assert set(levels(pair, person)) == {person}


def test_nothing_of_an_answer_that_failed_is_kept(pair: Pair, monkeypatch: pytest.MonkeyPatch):
    person = known_at()[0]
    token = pair.token(person, retraining=True)
    service = pair.service()

    def fails(*given: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(service._scorer, "score", fails)
    with pytest.raises(RuntimeError):
        service.score(application(person, token), "test", TODAY)
    assert levels(pair, person) == {}


def test_a_corrected_level_takes_the_place_of_the_wrong_one(pair: Pair):
    """The batch that withdraws the wrong token deletes its level; the new token brings the right one."""
    person = known_at()[0]
    used(pair, person)
    records = everybody("wallet")
    at = records.person.index(person)
    for inflow in (0.0, 50.0, 100.0):
        columns = {name: values.copy() for name, values in records.columns.items()}
        columns["inflow"][at] = inflow
        maker = pair.maker(records=type(records)(**{**vars(records), "columns": columns}))
        if level_of(maker, person) != level_of(pair.maker(), person):
            break
    token = maker.make(request(person, "c", retraining=True), TODAY, Correction("wrong-rows", "x"))
    with pair.store.transaction() as own:
        _, handles, _ = own.take_batch(pair.lender, str(TODAY), 8)
    with pair.log.commit() as batch:
        batch.withdraw(handles, "wallet", str(TODAY), str(TODAY))
    assert levels(pair, person) == {}
    pair.service().score(application(person, token, application_id="again"), "test", TODAY)
    assert levels(pair, person) == {person: level_of(maker, person)}


def test_a_log_of_before_has_no_levels_and_a_broken_one_says_so(tmp_path: Path):
    path = tmp_path / "scores.db"
    found = KeptLevels(path, lambda: b"k" * 32)
    assert (found.of("wallet", "m", PURPOSE, ["p"]), found.deletions()) == ({}, 0)
    sqlite3.connect(path).close()
    assert (found.of("wallet", "m", PURPOSE, ["p"]), found.deletions()) == ({}, 0)
    path.write_bytes(b"no database" * 100)
    with pytest.raises(DisclosureStoreError):
        found.deletions()


def test_of_a_log_that_was_put_back_no_level_is_used(pair: Pair):
    """One that was withdrawn since would be."""
    person, other = known_at()[:2]
    used(pair, person)
    pair.close()
    path = kept(pair).path
    copy = path.read_bytes()
    assert set(levels(pair, person)) == {person}
    with pair.log.commit() as batch:
        batch.erase(person, "a right")
    pair.close()
    assert levels(pair, person, other) == {}
    path.write_bytes(copy)
    with pytest.raises(DisclosureStoreError):
        levels(pair, person)
    with pytest.raises(DisclosureStoreError):
        kept(pair).deletions()
