"""Errors as problem documents (RFC 9457): what is wrong and the fix, in our codes, and no value of a request."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

PROBLEM_TYPE = "application/problem+json"
_URN = "urn:sealscore:problem:"


class HttpProblem(Exception):
    """An answer that is an error.

    `code` is one of docs/errors.md, `title` says what is wrong, `fix` what to do about it; `errors` has a line for each
    fault where there are several. None of them may quote a value of the request.
    """

    def __init__(
        self,
        status: int,
        code: str,
        title: str,
        fix: str,
        errors: Sequence[str] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{status} {code}: {title}; {fix}")
        self.status, self.code, self.title, self.fix = status, code, title, fix
        self.errors, self.headers = tuple(errors), dict(headers or {})

    def document(self) -> dict[str, Any]:
        """The problem document."""
        found = {"type": _URN + self.code, "title": self.title, "status": self.status, "code": self.code}
        return found | {"fix": self.fix} | ({"errors": list(self.errors)} if self.errors else {})

    def body(self) -> bytes:
        """The problem document as it is sent."""
        return json.dumps(self.document(), ensure_ascii=False).encode()


def http_response(problem: HttpProblem) -> bytes:
    """A whole response over HTTP/1.1 that ends its connection, for what is refused before there is a request."""
    body = problem.body()
    head = [
        f"HTTP/1.1 {problem.status} {HTTPStatus(problem.status).phrase}",
        f"content-type: {PROBLEM_TYPE}",
        f"content-length: {len(body)}",
        *(f"{name}: {value}" for name, value in problem.headers.items()),
        "connection: close",
    ]
    return "\r\n".join(head).encode("ascii") + b"\r\n\r\n" + body


def unauthenticated() -> HttpProblem:
    """The caller is nobody whom the operator added."""
    what = "send `Authorization: Bearer TOKEN` with a token of `caller add`, or a client certificate that it names"
    headers = {"www-authenticate": 'Bearer realm="sealscore"'}
    return HttpProblem(401, "unauthenticated", "the caller is not known here", what, headers=headers)


def forbidden(right: str) -> HttpProblem:
    """The caller lacks a right."""
    fix = f"have the operator add the caller anew with it: caller remove NAME, caller add NAME --right {right}"
    return HttpProblem(403, "forbidden", f"this caller has not the right {right!r}", fix)


def too_many(seconds: int) -> HttpProblem:
    """The caller sends more than the service lets it."""
    fix = "send it again after Retry-After, in seconds; whoever runs the service sets the most: --most-a-second"
    headers = {"retry-after": str(seconds)}
    return HttpProblem(429, "too-many", "this caller sends more requests than it may", fix, headers=headers)


def not_found() -> HttpProblem:
    """There is nothing at a path. The path is not quoted: it may have an identifier in it."""
    return HttpProblem(
        404, "not-found", "there is nothing at this path", "see /openapi.json for the paths that there are"
    )


def wrong_method(allowed: Sequence[str]) -> HttpProblem:
    """A path does not know the method."""
    listed = ", ".join(allowed)
    fix = f"use {listed}"
    return HttpProblem(405, "wrong-method", "this path does not take that method", fix, headers={"allow": listed})


def wrong_type(wanted: str = "application/json") -> HttpProblem:
    """The body is of another kind, or compressed."""
    fix = f"send it with `Content-Type: {wanted}`, in UTF-8 and not compressed"
    return HttpProblem(415, "wrong-type", "the body is not of the type that this path takes", fix)


def too_large(most: int) -> HttpProblem:
    """The body has more bytes than the path takes."""
    return HttpProblem(413, "too-large", f"the body has more than {most:,} bytes", "send less at once")


def malformed(what: str, fix: str) -> HttpProblem:
    """The body cannot be read."""
    return HttpProblem(400, "malformed", what, fix)


def rows_refused(errors: Sequence[str]) -> HttpProblem:
    """Raw rows of an applicant that break a rule of their table; `errors` name table, column and row."""
    fix = "correct what `errors` lists, and send it again"
    return HttpProblem(422, "rows", "the raw rows of the applicant cannot be used", fix, errors)


def other_features() -> HttpProblem:
    """The plan's table has features of its own, or of another dictionary than this release's."""
    fix = "compute the features where the plan's table comes from"
    return HttpProblem(409, "other-features", "the features of this plan do not follow from raw rows here", fix)


def slow() -> HttpProblem:
    """The request did not come whole in time."""
    return HttpProblem(
        408, "slow", "the request did not come whole in time", "send it at once, over a connection that lasts"
    )


def head_too_large(most: int) -> HttpProblem:
    """The request's line and headers are too long."""
    fix = "send fewer or shorter headers"
    return HttpProblem(431, "head-too-large", f"the request's head has more than {most:,} bytes", fix)


def bad_request() -> HttpProblem:
    """Bytes that are no request of HTTP/1.1."""
    return HttpProblem(400, "bad-request", "this is no HTTP/1.1 request", "use a client that speaks HTTP/1.1")


def no_upgrade() -> HttpProblem:
    """The caller asks for another protocol, as clients of HTTP/2 do by themselves."""
    fix = "send no `Upgrade` header; set the client to HTTP/1.1"
    return HttpProblem(400, "bad-request", "the service speaks HTTP/1.1 alone", fix)


def busy() -> HttpProblem:
    """There are as many connections as are allowed."""
    fix = "close connections that are not used, and try again in a second"
    return HttpProblem(503, "busy", "the service has all the work that it takes", fix, headers={"retry-after": "1"})


def internal() -> HttpProblem:
    """A fault of the service itself, whose kind stands in its log."""
    fix = "nothing was answered; look at the service's log, and report what it says"
    return HttpProblem(500, "internal", "the service failed", fix)
