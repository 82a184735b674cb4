"""The platform's API over a real socket: consent to token, rights, refusals that quote nothing, and its description."""

from __future__ import annotations

import ast
import base64
import json
import logging
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from paths import ROOT
from platform_desk import Desk
from platform_http import BackEnd, new_caller, served
from small_release import TEXT, TODAY, bits_told, content_of, crafted, known_at

from sealscore.clients.http import problems
from sealscore.clients.http.problems import PROBLEM_TYPE
from sealscore.clients.platform_api import desk as desk_module
from sealscore.clients.platform_api import refusals
from sealscore.clients.platform_api.app import FEATURES, RIGHTS, ROUTES
from sealscore.clients.platform_api.refusals import CODES
from sealscore.clients.scoring import tokens
from sealscore.clients.scoring.serving_store import ServingStore, Transaction
from sealscore.clients.warning import watching
from sealscore.shared.ledger.entries import EndRelease

SECRET = "secret-person"


@pytest.fixture
def back_end(desk: Desk, tmp_path: Path) -> Iterator[BackEnd]:
    with served(desk, tmp_path) as found:
        yield found


def code(answer: httpx.Response, status: int) -> str:
    assert (answer.status_code, answer.headers["content-type"]) == (status, PROBLEM_TYPE), answer.text
    document = answer.json()
    assert document["status"] == status
    assert document["fix"]
    return str(document["code"])


def test_a_consent_becomes_a_token_which_the_lender_reads(back_end: BackEnd, desk: Desk):
    person = known_at()[0]
    asked = back_end.consent(person, kinds=["capacity"])
    answer = back_end.post("/v1/consents", asked)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    content = content_of(desk.pair, base64.urlsafe_b64decode(found["token"]))
    assert (content.fits(person), set(content.values)) == (True, {"signal", "capacity"})
    assert found == {
        "token": found["token"],
        "release": back_end.release,
        "lender": "lender-1",
        "expires": str(content.expires),
    }
    assert back_end.post("/v1/consents", asked).json() == found
    assert desk.do(lambda: bits_told(desk.pair)) == [3, 3]


def test_what_was_told_withdrawn_and_why(back_end: BackEnd):
    person = known_at()[0]
    assert back_end.post("/v1/told", {"person": person}).json() == {"told": []}
    factors = back_end.post("/v1/factors", {"person": person, "release": back_end.release}).json()
    assert factors["lowered"] or factors["raised"]
    back_end.post("/v1/consents", back_end.consent(person))
    (row,) = back_end.post("/v1/told", {"person": person}).json()["told"]
    assert (row["kind"], row["lender"], row["day"], row["withdrawn"]) == ("signal", "lender-1", str(TODAY), None)
    answer = back_end.post("/v1/withdrawals", {"person": person, "lender": "lender-1"})
    assert answer.json() == {"lender": "lender-1", "tokens": 1}
    (row,) = back_end.post("/v1/told", {"person": person}).json()["told"]
    assert row["withdrawn"] == str(TODAY)
    assert code(back_end.post("/v1/consents", back_end.consent(person)), 409) == "withdrawn"
    assert code(back_end.post("/v1/consents", back_end.consent(person, "new")), 403) == "no-consent"


def test_releases_readiness_and_the_description(back_end: BackEnd, desk: Desk):
    (release,) = back_end.client.get("/v1/releases").json()["releases"]
    assert (release["release"], release["kinds"]["signal"]) == (back_end.release, 3)
    assert back_end.client.get("/healthz").status_code == 200
    assert back_end.client.get("/readyz").json()["releases"] == 1
    document = back_end.client.get("/openapi.json").json()
    assert set(document["paths"]) == {route.path for route in ROUTES}
    assert set(document["components"]["schemas"]["ConsentBody"]["required"]) == {
        "key", "person", "lender", "release", "text", "language",
    }  # fmt: skip
    references = [text for text in json.dumps(document).split('"') if text.startswith("#/")]
    assert {one.rpartition("/")[2] for one in references} <= set(document["components"]["schemas"])
    desk.do(lambda: desk.pair.ledger.append(lambda state: EndRelease(release=back_end.release, why="over")))
    assert code(back_end.client.get("/readyz"), 503) == "not-ready"


@pytest.mark.parametrize(
    ("status", "wanted", "changes"),
    [
        (404, "release", {"release": "0" * 64}),
        (422, "lender", {"lender": SECRET}),
        (422, "kind", {"kinds": ["flag"]}),
        (422, "retraining", {"retraining": True}),
        (422, "malformed", {"kinds": [SECRET]}),
        (422, "malformed", {"release": SECRET}),
        (422, "malformed", {"text": SECRET}),
        (422, "malformed", {"language": ""}),
        (422, "malformed", {"key": ""}),
        (422, "malformed", {"person": ""}),
        (422, "malformed", {"person": 7}),
        (422, "malformed", {"person": [SECRET]}),
        (422, "malformed", {"person": SECRET + "x" * 200}),
        (422, "malformed", {SECRET: 1}),
        (422, "malformed", {"retraining": SECRET}),
        (403, "no-consent", {"person": SECRET}),
    ],
)
def test_refusals_have_a_code_and_quote_nothing(
    back_end: BackEnd,
    desk: Desk,
    status: int,
    wanted: str,
    changes: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
):
    caplog.set_level(logging.DEBUG, logger="sealscore")
    answer = back_end.post("/v1/consents", back_end.consent(known_at()[0]) | changes)
    assert code(answer, status) == wanted
    assert "secret" not in answer.text + caplog.text
    assert known_at()[0] not in answer.text + caplog.text
    assert desk.do(lambda: bits_told(desk.pair)) == []


def test_every_code_of_the_maker_of_tokens_is_known():
    """Those of its source, the watch's and the desk's: a new one needs a status and a fix. The API corrects nothing."""
    named = set()
    for module in (tokens, watching, desk_module):
        for node in ast.walk(ast.parse(Path(str(module.__file__)).read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "NoToken":
                code = node.args[0]
                assert isinstance(code, ast.Constant), ast.unparse(node)
                named.add(code.value)
    of_corrections = {"cause", "not-told", "corrected", "unchanged"}
    assert of_corrections | {"ceiling", "retraining"} < named
    assert named - of_corrections == CODES


def test_every_code_stands_on_its_page():
    """With those of the HTTP room, which its source has."""
    section = (ROOT / "docs" / "errors.md").read_text("utf-8").split("## Problem documents of a platform's API")[1]
    shown = set(re.findall(r"`([a-z-]+)`", " ".join(re.findall(r"^\| ([^|]*) \| \d", section.split("\n## ")[0], re.M))))
    sources = (Path(str(module.__file__)).read_text("utf-8") for module in (problems, refusals))
    http = {code for source in sources for code in re.findall(r'HttpProblem\(\s*\d+, "([a-z-]+)"', source)}
    assert {"unauthenticated", "internal", "not-ready"} < http
    assert shown == http | CODES


def watch_body(back_end: BackEnd, person: str, **more: Any) -> dict[str, Any]:
    """The body of a consent to be watched, by the token of the key `k`."""
    given = {"key": "k", "person": person, "lender": "lender-1", "release": back_end.release, "quarters": 2}
    return given | {"text": TEXT, "language": "en", **more}


def test_a_creator_agrees_to_be_watched_and_ends_it(back_end: BackEnd):
    one, other = known_at()[:2]
    assert code(back_end.post("/v1/watches", watch_body(back_end, one)), 404) == "no-token"
    back_end.post("/v1/consents", back_end.consent(one))
    answer = back_end.post("/v1/watches", watch_body(back_end, one)).json()
    assert answer == {"lender": "lender-1", "release": back_end.release, "first": "2030-q2", "last": "2030-q3"}
    assert back_end.post("/v1/watches", watch_body(back_end, one)).json() == answer
    for changes, status, why in (
        ({"quarters": 3}, 409, "key-used"),
        ({"quarters": 7}, 422, "quarters"),
        ({"quarters": 13}, 422, "malformed"),
        ({"quarters": "2"}, 422, "malformed"),
        ({"person": other}, 404, "no-token"),
        ({"lender": "lender-9"}, 422, "lender"),
        ({"release": "0" * 64}, 404, "release"),
    ):
        refused = back_end.post("/v1/watches", watch_body(back_end, one) | changes)
        assert code(refused, status) == why
        assert one not in refused.text
    assert code(back_end.post("/v1/watches/end", {"person": one, "lender": "lender-9"}), 422) == "lender"
    ended = back_end.post("/v1/watches/end", {"person": one, "lender": "lender-1"}).json()
    assert ended == {"lender": "lender-1", "watches": 1}
    assert code(back_end.post("/v1/watches", watch_body(back_end, one)), 409) == "withdrawn"
    # Nothing was told of her but the token.
    assert [row["kind"] for row in back_end.post("/v1/told", {"person": one}).json()["told"]] == ["signal"]


def test_a_caller_has_its_rights_and_no_more(back_end: BackEnd, tmp_path: Path):
    bodies: dict[str, Any] = {
        "/v1/consents": back_end.consent(known_at()[0]),
        "/v1/watches": watch_body(back_end, known_at()[0]),
        "/v1/watches/end": {"person": known_at()[0], "lender": "lender-1"},
        "/v1/withdrawals": {"person": known_at()[0], "lender": "lender-1"},
        "/v1/told": {"person": known_at()[0]},
        "/v1/factors": {"person": known_at()[0], "release": back_end.release},
        FEATURES: {"release": back_end.release, "as_of": str(TODAY), "tables": {}},
        "/v1/releases": None,
    }
    assert set(bodies) == {route.path for route in ROUTES if route.right}
    for right in RIGHTS:
        headers = {"authorization": f"Bearer {new_caller(tmp_path, f'only-{right}', right)}"}
        for route in ROUTES:
            if route.right is None:
                continue
            body = bodies[route.path]
            # The release's table has columns of its own, which follow from no raw rows.
            allowed = 409 if route.path == FEATURES else 200
            for given, status in (
                (headers, allowed if route.right == right else 403),
                ({"authorization": "Bearer x"}, 401),
            ):
                answer = back_end.client.request(route.method, route.path, json=body, headers=given)
                assert answer.status_code == status, (route.path, answer.text)
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(tmp_path / "api.sock")), base_url="http://node") as nobody:
        assert nobody.post("/v1/consents", json=bodies["/v1/consents"]).status_code == 401
        assert nobody.get("/healthz").status_code == 200


def test_a_caller_that_asks_too_often_is_told_when_to_ask_again(desk: Desk, tmp_path: Path):
    with served(desk, tmp_path, most_a_second=1.0) as found:
        first, second = (found.post("/v1/consents", found.consent(f"nobody-{at}")) for at in range(2))
        assert (first.status_code, first.json()["code"]) == (403, "no-consent")
        assert (second.status_code, second.json()["code"]) == (429, "too-many")
        assert int(second.headers["retry-after"]) >= 1
        # Another caller is not held up, and nothing is counted of what nobody may ask for.
        other = {"authorization": f"Bearer {new_caller(tmp_path, 'other')}"}
        assert found.post("/v1/told", {"person": "nobody"}, headers=other).status_code == 200
        assert found.client.get("/healthz").status_code == 200


def test_paths_methods_and_bodies_that_are_none(back_end: BackEnd):
    assert code(back_end.client.get("/v1/told/secret"), 404) == "not-found"
    assert code(back_end.client.get("/v1/told?person=secret"), 405) == "wrong-method"
    assert code(back_end.client.post("/v1/told", content=b"{}"), 415) == "wrong-type"
    headers = {"content-type": "application/json"}
    for body in (b"", b"{", b"[1]", b'{"person": "\xff"}', b'{"person": NaN}', b'{"person": "a", "person": "b"}'):
        answer = back_end.client.post("/v1/told", content=body, headers=headers)
        assert (answer.status_code in (400, 422), answer.json()["code"]) == (True, "malformed")
    assert code(back_end.client.post("/v1/told", content=b" " * 20_000, headers=headers), 413) == "too-large"


def test_a_store_that_cannot_be_written_is_unavailable_and_the_next_request_goes_on(
    back_end: BackEnd, desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    import sqlite3

    person = known_at()[0]

    def full(*given: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(Transaction, "keep", full)
        assert code(back_end.post("/v1/consents", back_end.consent(person)), 503) == "unavailable"
    with monkeypatch.context() as patched:
        # Read outside of a transaction.
        patched.setattr(ServingStore, "told_of", full)
        assert code(back_end.post("/v1/told", {"person": person}), 503) == "unavailable"
    assert desk.do(lambda: bits_told(desk.pair)) == []
    assert back_end.post("/v1/consents", back_end.consent(person)).status_code == 200
    with monkeypatch.context() as patched:
        patched.setattr(Transaction, "kept", lambda *given: 1 / 0)
        assert code(back_end.post("/v1/consents", back_end.consent(person, "b")), 500) == "internal"
    assert person not in caplog.text


def test_many_at_once_get_one_token_for_a_key(back_end: BackEnd, desk: Desk):
    persons, found = known_at(count=4), []

    def ask(number: int) -> None:
        for round in range(6):
            person = persons[(number + round) % 4]
            answer = back_end.post("/v1/consents", back_end.consent(person, f"key-{person}"))
            found.append((person, answer.status_code, answer.json().get("token")))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 36
    assert len(set(found)) == 4
    assert desk.do(lambda: bits_told(desk.pair)) == [3] * 4


def test_a_caller_that_hangs_up_holds_up_nobody(back_end: BackEnd):
    with socket.socket(socket.AF_UNIX) as caller:
        caller.connect(str(back_end.folder / "api.sock"))
        caller.sendall(b"POST /v1/consents HTTP/1.1\r\nhost: node\r\ncontent-length: 100\r\n\r\n{")
        assert back_end.client.get("/readyz").status_code == 200
    assert back_end.post("/v1/consents", back_end.consent(known_at()[0])).status_code == 200


def test_a_release_that_is_new_is_listed(back_end: BackEnd, desk: Desk):
    from small_release import admit_entry

    second = crafted(desk.pair.release, name="second")
    desk.releases[second.hash] = second
    desk.do(lambda: desk.pair.ledger.append(lambda state: admit_entry(second, "wallet")))
    desk.of.look(desk.worker)
    listed = back_end.client.get("/v1/releases").json()["releases"]
    assert {one["name"] for one in listed} == {"small", "second"}
