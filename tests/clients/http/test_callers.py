"""Callers: known by the hash of a token or by a certificate's subject, with rights, from the file as it is now."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from sealscore.clients.http.callers import SUBJECT, CallerFile, Callers, CallersError
from sealscore.clients.http.problems import HttpProblem

RIGHTS = ("score", "metrics")


@pytest.fixture
def file(tmp_path: Path) -> CallerFile:
    return CallerFile(tmp_path / "callers.json", RIGHTS)


def asking(token: str | None = None, subject: str | None = None, scheme: str = "Bearer") -> dict[str, Any]:
    headers = [] if token is None else [(b"authorization", f"{scheme} {token}".encode())]
    return {"headers": headers} | ({} if subject is None else {SUBJECT: subject})


def status(callers: Callers, right: str | None = "score", **asked: Any) -> int:
    try:
        callers.check(asking(**asked), right)
    except HttpProblem as problem:
        return problem.status
    return 200


def test_a_token_has_its_rights_and_the_file_has_no_token(file: CallerFile):
    token = file.add("loans", ["score"])
    assert token is not None
    callers = Callers(file, pytest.fail)
    assert callers.check(asking(token), "score").name == "loans"
    assert status(callers, "metrics", token=token) == 403
    assert status(callers, None, token=token) == 200
    text = file.path.read_text()
    assert token not in text
    assert token.partition(".")[2] not in text
    assert file.path.stat().st_mode & 0o777 == 0o600
    assert "score" in repr(file.read())
    assert str(file.read()[0].token) not in repr(file.read())


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"token": ""},
        {"token": "sealscore-caller-1.x"},
        {"token": "\x00"},
        {"token": "x" * 10_000},
        {"subject": "CN=nobody"},
    ],
)
def test_whoever_else_asks_is_nobody(file: CallerFile, asked: dict[str, Any]):
    file.add("loans", ["score"])
    assert status(Callers(file, pytest.fail), **asked) == 401


def test_another_scheme_or_two_tokens_are_none(file: CallerFile):
    token = file.add("loans", ["score"])
    callers = Callers(file, pytest.fail)
    assert status(callers, token=token, scheme="Basic") == 401
    assert status(callers, token=token, scheme="bEARER") == 200
    twice = {"headers": [(b"authorization", f"Bearer {token}".encode()), (b"authorization", b"Bearer x")]}
    with pytest.raises(HttpProblem):
        callers.check(twice, "score")


def test_a_certificate_counts_where_no_token_is_sent(file: CallerFile):
    assert file.add("loans", ["score"], subject="CN=loans") is None
    callers = Callers(file, pytest.fail)
    assert status(callers, subject="CN=loans") == 200
    assert status(callers, subject="CN=loans", right="metrics") == 403
    assert status(callers, subject="CN=loans", token="wrong") == 401


def test_who_is_removed_or_added_is_so_at_the_next_request(file: CallerFile):
    token = file.add("loans", ["score"])
    callers = Callers(file, pytest.fail)
    assert status(callers, token=token) == 200
    file.remove("loans")
    assert status(callers, token=token) == 401
    again = file.add("loans", ["score"])
    assert (status(callers, token=token), status(callers, token=again)) == (401, 200)


def test_nobody_is_let_in_by_a_file_that_others_may_write_or_that_is_damaged(file: CallerFile):
    token = file.add("loans", ["score"])
    warned: list[str] = []
    callers = Callers(file, warned.append)
    os.chmod(file.path, 0o622)
    assert [status(callers, token=token), status(callers, token=token)] == [401, 401]
    assert len(warned) == 1
    os.chmod(file.path, 0o600)
    assert status(callers, token=token) == 200
    for damaged in ("", "[]", "{}", '{"format": "sealscore-callers-1", "callers": [{}]}'):
        file.path.write_text(damaged)
        assert status(callers, token=token) == 401
        with pytest.raises(CallersError):
            file.read()
    assert len(warned) == 5


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a file to another user")
def test_a_file_of_a_third_user_lets_nobody_in(tmp_path: Path):
    folder, node, scorer, third = tmp_path / "scorer", 20_001, 20_002, 20_003
    folder.mkdir()
    (folder / "scorer.json").touch()
    os.chown(folder, scorer, scorer)
    os.chown(folder / "scorer.json", node, node)
    file = CallerFile(folder / "callers.json", RIGHTS, beside=[folder / "scorer.json"])
    token, warned = file.add("loans", ["score"]), list[str]()
    callers = Callers(file, warned.append)
    for owner, found in ((node, 200), (scorer, 200), (third, 401), (node, 200)):
        os.chown(file.path, owner, owner)
        assert status(callers, token=token) == found
    assert len(warned) == 1
    os.chown(file.path, third, third)
    # Nor does a command add to what it did not write.
    with pytest.raises(CallersError):
        file.add("other", ["score"])
    # Who took the place of the node's file while the service runs is not the node.
    os.chown(folder / "scorer.json", third, third)
    assert status(callers, token=token) == 401


def test_names_subjects_and_rights_are_checked(file: CallerFile):
    file.add("loans", RIGHTS, subject="CN=a")
    for name, rights, subject in (
        ("loans", RIGHTS, None),
        ("other", RIGHTS, "CN=a"),
        ("other", ["all"], None),
        ("other", [], None),
        ("Über", RIGHTS, None),
        ("", RIGHTS, None),
        ("a\nb", RIGHTS, None),
    ):
        with pytest.raises(CallersError):
            file.add(name, rights, subject)
    with pytest.raises(CallersError):
        file.remove("other")
    assert [one["name"] for one in json.loads(file.path.read_text())["callers"]] == ["loans"]
