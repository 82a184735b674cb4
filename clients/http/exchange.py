"""One request and its answer over ASGI: read within limits, decoded once and strictly, answered in one piece."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from contextlib import suppress
from typing import Any

from sealscore.clients.http.problems import PROBLEM_TYPE, HttpProblem, malformed, too_large, wrong_type

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_JSON_HEADER = (b"content-type", b"application/json")
# Answers are of one applicant: no cache on the way keeps them.
_NO_STORE = (b"cache-control", b"no-store")


class HungUp(Exception):
    """The caller has closed its connection before its request was whole, or before it was answered."""


def header(scope: Scope, name: bytes) -> bytes | None:
    """The value of a header, by its name in lower case; None where it is not given, or given twice with two values."""
    found = {value for key, value in scope["headers"] if key == name}
    return found.pop() if len(found) == 1 else None


async def read_json(scope: Scope, receive: Receive, most: int) -> Any:
    """The body as JSON, of at most so many bytes: what is too large is refused while it comes.

    Raises:
        HttpProblem: `wrong-type`, `too-large` or `malformed`.
        HungUp: the caller is gone.
    """
    length: bytes | None = None
    kind = b""
    for name, value in scope["headers"]:
        if name == b"content-length":
            length = value
        elif name == b"content-type":
            kind = value
        elif name == b"content-encoding" and value.lower() != b"identity":
            raise wrong_type()
    main, _, parameters = kind.partition(b";")
    if main.strip().lower() != b"application/json":
        raise wrong_type()
    if parameters and parameters.strip().lower().replace(b'"', b"") != b"charset=utf-8":
        raise wrong_type()
    # A length of many digits is never turned into a number.
    if length is not None and (len(length) > 18 or int(length) > most):
        raise too_large(most)
    message = await receive()
    if message["type"] == "http.disconnect":
        raise HungUp
    body: bytes = message.get("body", b"")
    if message.get("more_body"):
        parts, size = [body], len(body)
        while message.get("more_body"):
            if size > most:
                raise too_large(most)
            message = await receive()
            if message["type"] == "http.disconnect":
                raise HungUp
            part = message.get("body", b"")
            parts.append(part)
            size += len(part)
        body = b"".join(parts)
    if len(body) > most:
        raise too_large(most)
    return strict_json(body)


def strict_json(body: bytes) -> Any:
    """Decode JSON (RFC 8259): no name twice in an object, no NaN, no infinite number, no deep nesting.

    Raises:
        HttpProblem: `malformed`, without a word of the body.
    """
    try:
        return json.loads(body.decode("utf-8"), object_pairs_hook=_object, parse_constant=_no_number)
    except _Twice:
        raise malformed("an object of the body has a name twice", "send each name once") from None
    except _NoNumber:
        fix = "leave it out or give null where there is no value"
        raise malformed("the body has NaN or Infinity, which JSON has not", fix) from None
    except (ValueError, RecursionError):
        raise malformed("the body is no JSON in UTF-8", "send one JSON value, nested as the API describes") from None


class _Twice(ValueError):
    """A name stands twice in an object."""


class _NoNumber(ValueError):
    """NaN or an infinity stands where a number should."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Twice
    return found


def _no_number(text: str) -> float:
    raise _NoNumber


async def send_json(send: Send, body: bytes, status: int = 200) -> None:
    """Answer with JSON that is encoded already."""
    length = (b"content-length", str(len(body)).encode())
    await _answer(send, body, status, [_JSON_HEADER, length, _NO_STORE])


async def send_problem(send: Send, problem: HttpProblem) -> None:
    """Answer with a problem document; nothing where the caller is gone."""
    with suppress(HungUp):
        await send_text(send, problem.body(), PROBLEM_TYPE, problem.status, problem.headers)


async def send_text(
    send: Send, body: bytes, kind: str, status: int = 200, headers: Mapping[str, str] | None = None
) -> None:
    """Answer with a body of any type."""
    given = {"content-type": kind, "content-length": str(len(body)), "cache-control": "no-store", **(headers or {})}
    await _answer(send, body, status, [(name.encode("ascii"), value.encode("ascii")) for name, value in given.items()])


async def _answer(send: Send, body: bytes, status: int, headers: Sequence[tuple[bytes, bytes]]) -> None:
    try:
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
    except RuntimeError as error:
        # What uvloop says of a connection that its other end closed while the answer was made.
        if "handler is closed" in str(error):
            raise HungUp from None
        raise
