"""Whatever a platform's back end sends, the API answers with a code, never with 500, and quotes nothing of it."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from platform_desk import Desk
from platform_http import api_of, new_caller
from small_release import TEXT, Pair, bits_told, known_at, small_release

from sealscore.clients.platform_api.app import ROUTES, PlatformApi
from sealscore.clients.platform_api.refusals import CODES

MARK = "sésame"
CELLS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.text().map(lambda text: MARK + text)
    | st.sampled_from(["", "\x00", "\ud800", "1" * 300, "lender-1", "signal", "0" * 64]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
PATHS = [(route.method, route.path) for route in ROUTES]


class Caller:
    """A back end that sends bytes of its own to the application."""

    def __init__(self, folder: Path) -> None:
        self.desk = Desk(Pair(small_release(kinds=True)))
        self.app: PlatformApi = api_of(self.desk, folder)
        self.token = new_caller(folder)

    def valid(self) -> dict[str, Any]:
        """A body with all that any path takes."""
        release = self.desk.pair.release.hash
        given = {"key": "k", "person": known_at()[0], "lender": "lender-1", "release": release}
        return given | {"text": TEXT, "language": "en"}

    def send(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        """Status and body of the answer."""
        sent: list[Any] = []
        headers = [(b"authorization", f"Bearer {self.token}".encode()), (b"content-type", b"application/json")]

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {"type": "http", "method": method, "path": path, "headers": headers, "query_string": b""}
        asyncio.run(self.app(scope, receive, send))
        return sent[0]["status"], sent[1]["body"]


@pytest.fixture(scope="module")
def caller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    logging.getLogger("sealscore").setLevel(logging.DEBUG)
    made = Caller(tmp_path_factory.mktemp("api"))
    yield made
    made.desk.close()


def check(caller: Caller, method: str, path: str, body: bytes) -> int:
    status, answer = caller.send(method, path, body)
    found = json.loads(answer)
    assert status < 500
    if status != 200:
        assert found["code"] in CODES | {"not-found", "wrong-method", "too-large"}
        assert MARK not in answer.decode()
        assert known_at()[0] not in answer.decode()
    return status


@given(st.data())
def test_bodies_of_changed_keys_and_values(caller: Caller, data: st.DataObject):
    valid = caller.valid()
    changed = data.draw(st.dictionaries(st.sampled_from([*valid, "kinds", "retraining", MARK]), CELLS, max_size=3))
    dropped = data.draw(st.sets(st.sampled_from(list(valid)), max_size=3))
    keep = data.draw(st.sampled_from([set(valid), {"person"}, {"person", "lender"}, {"person", "release"}]))
    body = {name: value for name, value in valid.items() if name in keep - dropped} | changed
    method, path = data.draw(st.sampled_from(PATHS))
    check(caller, method, path, json.dumps(body).encode())
    # Of a consent that was refused nothing was charged, and there is one person here and one level.
    assert sum(caller.desk.do(lambda: bits_told(caller.desk.pair, "signal"))) <= 3 * len(caller_persons(caller))


def caller_persons(caller: Caller) -> set[str]:
    query = "SELECT DISTINCT person FROM told"
    rows = caller.desk.do(lambda: caller.desk.pair.store._database.execute(query).fetchall())
    return {person for (person,) in rows}


@given(st.binary(max_size=200) | CELLS.map(lambda cell: json.dumps(cell).encode()), st.sampled_from(PATHS))
def test_bytes_that_are_anything(caller: Caller, body: bytes, place: tuple[str, str]):
    status = check(caller, *place, body)
    assert status != 200 or place[0] == "GET"


def test_the_valid_body_is_one(caller: Caller):
    """Otherwise nothing above would come beyond the first check."""
    valid = caller.valid() | {"person": known_at()[1], "key": "another"}
    assert check(caller, "POST", "/v1/consents", json.dumps(valid).encode()) == 200
    for path, keys in (
        ("/v1/told", ["person"]),
        ("/v1/factors", ["person", "release"]),
        ("/v1/withdrawals", ["person", "lender"]),
    ):
        body = {name: valid[name] for name in keys}
        assert check(caller, "POST", path, json.dumps(body).encode()) == 200
