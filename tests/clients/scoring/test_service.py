"""Adversaries of a lender's scorer: tokens that were bought, replayed, altered, passed on, kept too long or made up."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest
from small_release import (
    TODAY,
    Pair,
    admit_entry,
    application,
    content_of,
    crafted,
    known_at,
    request,
    small_release,
)

from sealscore.clients.scoring.application import Application, ApplicationError
from sealscore.clients.scoring.score_log import ScoreLogError
from sealscore.shared.serving.token import Token, person_tag, seal_token

APRIL = date(2030, 4, 2)


def status(answer: Mapping[str, Any], kind: str = "wallet") -> str:
    """What an answer says of a kind of platform's token, or of one that could not be opened."""
    return next(str(one["status"]) for one in answer["signals"] if one.get("kind", kind) == kind)


def asked(pair: Pair, person: str, *tokens: bytes, day: date = TODAY, **changes: Any) -> dict[str, Any]:
    return pair.service(TODAY, APRIL).score(application(person, *tokens, day=day, **changes), "me", day)


def sealed(pair: Pair, person: str, **changes: Any) -> bytes:
    """A token that a platform, or who has its key, made up."""
    whole = content_of(pair, pair.token(person, "own"))
    return seal_token(dataclasses.replace(whole, **changes), pair.identity(), pair.peer())


@pytest.fixture
def person() -> str:
    return known_at()[0]


def test_a_token_moves_the_score_of_its_person_alone(pair: Pair, person: str):
    other, token = known_at()[1], pair.token(known_at()[0])
    assert status(asked(pair, person, token)) == "used"
    bought = asked(pair, other, token)
    assert status(bought) == "other-person"
    without = asked(pair, other, application_id="without")
    assert (bought["pd"], bought["model"]) == (without["pd"], without["model"])
    assert "told" not in bought["signals"][0]


def test_without_the_tag_a_bought_token_would_be_used(pair: Pair, monkeypatch: pytest.MonkeyPatch):
    """The defence off: the score of a stranger is that of whom the token is of."""
    token = pair.token(known_at()[0])
    monkeypatch.setattr(Token, "fits", lambda self, person: True)
    assert status(asked(pair, known_at()[1], token)) == "used"


def test_a_token_serves_one_application_in_whatever_version(pair: Pair, person: str):
    token = pair.token(person)
    first = asked(pair, person, token)
    assert asked(pair, person, token) == first
    assert status(asked(pair, person, token, product="other")) == "used"
    again = asked(pair, person, token, application_id="another")
    assert status(again) == "other-application"
    assert again["pd"] == asked(pair, person, application_id="third")["pd"]
    # In one batch as well, and in whatever order.
    second = pair.token(person, "second")
    both = pair.service().score_many(
        [application(person, second, application_id=name) for name in ("x", "y")], "me", TODAY
    )
    assert [status(answer) for answer in both] == ["used", "other-application"]


def test_with_the_register_of_handles_lost_a_token_would_serve_twice(pair: Pair, person: str):
    """The defence off; why a log that was put back is refused."""
    token = pair.token(person)
    asked(pair, person, token)
    pair.log._database.execute("DELETE FROM handles")
    assert status(asked(pair, person, token, application_id="another")) == "used"


def test_an_altered_token_is_not_read(pair: Pair, person: str):
    token = pair.token(person)
    service = pair.service()
    for at in np.random.default_rng(0).integers(0, len(token), 40):
        altered = token[:at] + bytes([token[at] ^ 1]) + token[at + 1 :]
        answer = service.score(application(person, altered, application_id=f"a{at}"), "me", TODAY)
        assert answer["signals"][0]["status"] in {"unreadable", "other-release", "expired"}
    for rubbish in (b"", b"x", token[:-1], token + b"x", token * 2):
        answer = service.score(application(person, rubbish, application_id=f"r{len(rubbish)}"), "me", TODAY)
        assert answer["signals"][0]["status"] == "unreadable"


def test_a_token_for_another_lender_that_is_passed_on_is_not_read(pair: Pair, person: str):
    token = pair.token(person, lender="lender-2")
    assert asked(pair, person, token)["signals"][0]["status"] == "unreadable"


def test_an_old_token_is_expired_also_when_its_key_is_destroyed(pair: Pair, person: str):
    token = pair.token(person)
    last = TODAY + timedelta(days=pair.release.manifest.token_days)
    assert status(asked(pair, person, token, day=last)) == "used"
    late = pair.token(person, "late")
    answer = asked(pair, person, late, day=last + timedelta(days=1), application_id="late")
    assert status(answer) == "expired"
    service = pair.service(APRIL)
    assert (
        service.score(application(person, late, application_id="x"), "me", TODAY)["signals"][0]["status"] == "expired"
    )


def test_a_token_of_tomorrow_waits_and_is_not_spent(pair: Pair, person: str):
    token = pair.token(person, day=TODAY + timedelta(days=1))
    assert status(asked(pair, person, token, application_id="early")) == "clock"
    answer = asked(pair, person, token, day=TODAY + timedelta(days=1), application_id="then")
    assert status(answer) == "used"


def test_a_token_of_another_purpose_or_release_is_not_used(pair: Pair, person: str):
    assert status(asked(pair, person, sealed(pair, person, purpose="marketing"))) == "other-purpose"
    other = crafted(pair.release, name="other")
    pair.ledger.append(lambda state: admit_entry(other, "wallet"))
    token = pair.maker(release=other).make(request(person, "o"), TODAY)
    assert asked(pair, person, token, application_id="b")["signals"][0]["status"] == "other-release"
    # Where this lender approved that one as well, the same tower's level is used, and what else it tells is not.
    installed = pair.service(installed=[other.hash])
    used = installed.score(application(person, token, application_id="c"), "me", TODAY)
    assert status(used) == "used"
    assert "told" not in used["signals"][0]


def test_a_level_of_another_tower_is_not_used(pair: Pair, person: str):
    second = small_release(kinds=True, seed=1)
    assert second.manifest.told["wallet"].meaning != pair.release.manifest.told["wallet"].meaning
    token = sealed(pair, person, release=second.hash, meaning=second.manifest.told["wallet"].meaning)
    service = pair.service(installed=[second.hash])
    assert status(service.score(application(person, token), "me", TODAY)) == "other-release"
    mixed = sealed(pair, person, meaning=second.manifest.told["wallet"].meaning)
    assert status(asked(pair, person, mixed)) == "other-release"


@pytest.mark.parametrize(
    "values",
    [
        {"signal": 5},
        {"signal": 254},
        {},
        {"capacity": 1},
        {"signal": 0, "capacity": 5},
        {"signal": 0, "flag": 0},
        {"signal": 0, "reasons": 0x33},
        {"signal": 0, "reasons": 0x13},
    ],
)
def test_values_that_no_one_may_tell_are_not_used(pair: Pair, person: str, values: dict[str, int]):
    token = sealed(pair, person, values=values)
    answer = asked(pair, person, token)
    assert answer["signals"][0]["status"] == "unreadable"
    assert answer["pd"] == asked(pair, person, application_id="without")["pd"]


def test_a_platform_speaks_for_its_own_kind_alone(pair: Pair, person: str):
    told = pair.release.manifest.told["video"]
    token = sealed(pair, person, group="video", meaning=told.meaning, values={"signal": 1})
    assert asked(pair, person, token)["signals"][0]["status"] == "other-release"
    forger = Pair(pair.release, platform="lender-2")
    whole = content_of(pair, pair.token(person, "own"))
    made_up = seal_token(dataclasses.replace(whole, platform="lender-2"), forger.identity(), pair.peer())
    assert asked(pair, person, made_up, application_id="b")["signals"][0]["status"] == "unreadable"


def test_two_tokens_of_one_platform_are_refused_and_neither_is_spent(pair: Pair, person: str):
    one, two = pair.token(person, "a"), pair.token(person, "b")
    head = pair.log.head
    for tokens in ((one, two), (one, one)):
        with pytest.raises(ApplicationError) as error:
            asked(pair, person, *tokens)
        assert error.value.code == "two-tokens"
    assert pair.log.head == head
    for number, token in enumerate((one, two)):
        assert status(asked(pair, person, token, application_id=f"n{number}")) == "used"
    # One that is expired is in nobody's way.
    video = Pair(pair.release, platform="video-1")
    person = next(name for name in known_at("video-1", 200) if name in known_at(count=200))
    answer = asked(pair, person, pair.token(person, "c"), video.token(person, "d"), application_id="both")
    assert {one["status"] for one in answer["signals"]} == {"used"}


@pytest.mark.parametrize("day", [date(2029, 12, 31), date(2031, 1, 2)])
def test_a_release_outside_of_its_days_scores_nobody(pair: Pair, person: str, day: date):
    with pytest.raises(ApplicationError) as error:
        pair.service().score(application(person, day=day), "me", day)
    assert error.value.code == "release-expired"


def test_a_purpose_that_is_not_the_releases_is_refused(pair: Pair, person: str):
    with pytest.raises(ApplicationError) as error:
        asked(pair, person, purpose="marketing")
    assert error.value.code == "purpose"


def test_one_bad_application_of_a_batch_scores_none_and_spends_nothing(pair: Pair, person: str):
    token, head = pair.token(person), pair.log.head
    good, bad = application(person, token), application("x", features={"income": -5.5})
    with pytest.raises(ApplicationError) as error:
        pair.service().score_many([good, bad], "me", TODAY)
    assert "5.5" not in str(error.value)
    assert pair.log.head == head
    assert status(asked(pair, person, token, application_id="later")) == "used"


def test_an_answer_that_cannot_be_logged_does_not_leave(pair: Pair, person: str):
    service, token = pair.service(), pair.token(person)
    pair.log._database.execute("PRAGMA query_only = ON")
    with pytest.raises(ScoreLogError):
        service.score(application(person, token), "me", TODAY)
    pair.log._database.execute("PRAGMA query_only = OFF")
    assert status(service.score(application(person, token, application_id="b"), "me", TODAY)) == "used"


def test_withdrawn_is_withdrawn_whoever_comes_first(pair: Pair, person: str):
    used, unused = pair.token(person, "a"), pair.token(person, "b")
    before = asked(pair, person, used)
    handles = [content_of(pair, token).handle for token in (used, unused)]
    with pair.log.commit() as batch:
        assert batch.withdraw(handles, "wallet", str(TODAY), "2035-01-01") == 1
    for number, token in enumerate((used, unused)):
        answer = asked(pair, person, token, application_id=f"w{number}")
        assert status(answer) == "withdrawn"
        assert answer["pd"] == asked(pair, person, application_id=f"n{number}")["pd"]
        # What came after the withdrawal is told again like any other.
        assert asked(pair, person, token, application_id=f"w{number}") == answer
    with pytest.raises(ApplicationError) as error:
        asked(pair, person, used)
    assert error.value.code == "withdrawn"
    line = pair.log.find(before["score_id"])
    assert line is not None
    assert line.content is not None


def test_asking_again_and_again_raises_an_alarm(pair: Pair, person: str):
    alarms = [asked(pair, person, product=f"p{number}").get("alarm") for number in range(4)]
    assert alarms == [None, None, "score-shopping", "score-shopping"]


def test_what_a_name_stands_for_is_guarded_by_the_logs_keys(pair: Pair, person: str):
    """Nobody with the file alone can try identifiers, applications or bodies."""
    body = application(person)
    asked(pair, person)
    rows = pair.log._database.execute("SELECT application, digest FROM answers").fetchall()
    names = [body["application_id"].encode(), person.encode()]
    guesses = {hashlib.sha256(name).digest() for name in names}
    guesses.add(Application.parse(body, pair.plan, TODAY).digest)
    assert not guesses & {bytes(cell) for row in rows for cell in row}
    assert person_tag(b"h" * 16, person) not in {bytes(cell) for row in rows for cell in row}
