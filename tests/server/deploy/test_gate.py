"""The doors: what they refuse never reaches the application behind them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from sealscore.server.deploy.gate import CONTROL, FLEET, RUNTIME, STRANGERS, Gate, token_digest

LIMIT = 100
TOKEN = token_digest(b"the-token\n")


class Behind:
    """An application that says what reached it."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.lifespans = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            self.lifespans += 1
            return
        event = await receive()
        assert not event["more_body"]
        self.bodies.append(event["body"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})


def call(
    gate: Gate,
    path: str,
    pieces: Sequence[bytes | float] | None = None,
    *,
    method: str = "POST",
    headers: list[tuple[bytes, bytes]] | None = None,
    kind: str = "http",
) -> list[dict[str, Any]]:
    """The events that the door sends for one request, whose body comes in `pieces`; a number is a pause in seconds."""
    parts = [b""] if pieces is None else pieces
    coming: list[Any] = [
        {"type": "http.request", "body": part, "more_body": number < len(parts)} if isinstance(part, bytes) else part
        for number, part in enumerate(parts, 1)
    ]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if not coming:
            await asyncio.sleep(60)
        if isinstance(coming[0], float):
            await asyncio.sleep(coming.pop(0))
        return coming.pop(0)

    async def send(event: dict[str, Any]) -> None:
        sent.append(event)

    scope = {"type": kind, "path": path, "method": method, "headers": headers or []}
    asyncio.run(gate(scope, receive, send))  # type: ignore[arg-type]
    return sent


@pytest.fixture
def behind() -> Behind:
    return Behind()


@pytest.fixture
def partner(behind: Behind) -> Gate:
    return Gate(behind, FLEET, LIMIT)


@pytest.fixture
def control(behind: Behind) -> Gate:
    return Gate(behind, CONTROL | RUNTIME, LIMIT, guarded=CONTROL, token=TOKEN)


def test_what_it_serves_reaches_the_application_whole(partner: Gate, behind: Behind):
    assert call(partner, "/v1/fleet/push-object", [b"ab", b"", b"cd"])[0]["status"] == 200
    assert behind.bodies == [b"abcd"]


@pytest.mark.parametrize(
    "path", ["/", "/docs", "/v1/control/start-run", "/v1/fleet", "/v1/fleet/", "/v1/fleet/../control/start-run"]
)
def test_other_paths_are_not_there(partner: Gate, behind: Behind, path: str):
    assert call(partner, path)[0]["status"] == 404
    assert behind.bodies == []


def test_no_path_is_served_on_two_ports():
    assert not FLEET & (CONTROL | RUNTIME)


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "OPTIONS"])
def test_other_methods_are_refused(partner: Gate, behind: Behind, method: str):
    assert call(partner, "/v1/fleet/get-run", method=method)[0]["status"] == 405
    assert behind.bodies == []


def test_the_limit_holds_for_announced_and_unannounced_lengths(partner: Gate, behind: Behind):
    path = "/v1/fleet/push-object"
    assert call(partner, path, [b"x" * LIMIT])[0]["status"] == 200
    assert call(partner, path, headers=[(b"Content-Length", b"101")])[0]["status"] == 413
    assert call(partner, path, [b"x" * 60, b"x" * 41])[0]["status"] == 413
    assert call(partner, path, headers=[(b"content-length", b"9" * 5_000)])[0]["status"] == 413
    # a length that says less than comes
    assert call(partner, path, [b"x" * 101], headers=[(b"content-length", b"1")])[0]["status"] == 413
    assert behind.bodies == [b"x" * LIMIT]


def test_a_refusal_ends_the_connection(partner: Gate):
    assert (b"connection", b"close") in call(partner, "/")[0]["headers"]


def test_a_body_that_does_not_come_is_not_waited_for(behind: Behind):
    slow = Gate(behind, FLEET, LIMIT, patience=0.05)
    assert call(slow, "/v1/fleet/get-run", [])[0]["status"] == 408
    assert behind.bodies == []


class TestStrangers:
    """Who is not known has little room and little time, and is asked for its headers only when it wants more."""

    PATH = "/v1/fleet/push-object"

    @pytest.fixture
    def asked(self) -> list[list[tuple[bytes, bytes]]]:
        return []

    @pytest.fixture
    def door(self, behind: Behind, asked: list[list[tuple[bytes, bytes]]]) -> Gate:
        def enrolled(headers: list[tuple[bytes, bytes]]) -> bool:
            asked.append(headers)
            return (b"flwr-key", b"known") in headers

        return Gate(behind, FLEET, 3 * STRANGERS, enrolled=enrolled, haste=0.2, patience=1.0)

    def test_a_long_body_is_taken_of_somebody_who_is_known(self, door: Gate, behind: Behind, asked: list[Any]):
        pieces = [b"x" * STRANGERS] * 3
        assert call(door, self.PATH, pieces, headers=[(b"Flwr-Key", b"known")])[0]["status"] == 200
        assert behind.bodies == [b"".join(pieces)]
        assert len(asked) == 1

    def test_of_others_it_ends_where_it_gets_long(self, door: Gate, behind: Behind):
        announced = [(b"content-length", str(2 * STRANGERS).encode())]
        for headers in ([], announced, [(b"flwr-key", b"other")]):
            assert call(door, self.PATH, [b"x" * STRANGERS, b"x"], headers=headers)[0]["status"] == 401
        assert behind.bodies == []

    def test_what_is_short_is_left_to_flowers_own_check(self, door: Gate, behind: Behind, asked: list[Any]):
        assert call(door, self.PATH, [b"x" * STRANGERS])[0]["status"] == 200
        assert asked == []

    def test_the_limit_is_the_same_for_all(self, door: Gate):
        known = [(b"flwr-key", b"known")]
        assert call(door, self.PATH, [b"x" * STRANGERS] * 3 + [b"x"], headers=known)[0]["status"] == 413

    @pytest.mark.parametrize(("key", "status"), [(b"known", 200), (b"other", 401)])
    def test_who_is_known_has_more_time(self, door: Gate, key: bytes, status: int):
        pieces: list[bytes | float] = [b"x" * STRANGERS, b"x", 0.4, b"x"]
        assert call(door, self.PATH, pieces, headers=[(b"flwr-key", key)])[0]["status"] == status
        assert call(door, self.PATH, [b"x", 0.4, b"x"], headers=[(b"flwr-key", key)])[0]["status"] == 408


class TestToken:
    def test_control_needs_it(self, control: Gate, behind: Behind):
        known = [(b"Authorization", b"Bearer the-token")]
        assert call(control, "/v1/control/list-runs", headers=known)[0]["status"] == 200
        assert len(behind.bodies) == 1

    @pytest.mark.parametrize(
        "headers",
        [
            [],
            [(b"authorization", b"Bearer other")],
            [(b"authorization", b"Bearer ")],
            [(b"authorization", b"the-token")],
            [(b"authorization", b"Basic the-token")],
            [(b"authorization", b"Bearer the-token"), (b"authorization", b"Bearer the-token")],
        ],
    )
    def test_nothing_else_opens(self, control: Gate, behind: Behind, headers: list[tuple[bytes, bytes]]):
        for path in CONTROL:
            assert call(control, path, headers=headers)[0]["status"] == 401
        assert behind.bodies == []

    def test_runtime_is_left_to_flowers_own_checks(self, control: Gate, behind: Behind):
        assert call(control, "/v1/runtime/acquire-task")[0]["status"] == 200

    def test_a_door_with_guarded_paths_has_a_token(self, behind: Behind):
        with pytest.raises(ValueError, match="token"):
            Gate(behind, CONTROL, LIMIT, guarded=CONTROL)


def test_the_application_starts_and_ends_through_the_door(partner: Gate, behind: Behind):
    call(partner, "", kind="lifespan")
    assert behind.lifespans == 1


def test_no_websocket(partner: Gate, behind: Behind):
    assert call(partner, "/v1/fleet/get-run", kind="websocket") == [{"type": "websocket.close", "code": 1008}]
    assert behind.bodies == []
