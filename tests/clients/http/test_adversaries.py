"""Adversaries at the services of both roles, over raw sockets: dishonest paths, heads, tokens and texts."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from platform_desk import Desk
from platform_http import new_caller, served
from raw_http import raw, request, status_of
from scorer_home import ScorerHome, ScorerProcess, application, new_home
from small_release import Pair, known_at, small_release

from sealscore.clients.http.binding import Binding
from sealscore.clients.http.problems import PROBLEM_TYPE
from sealscore.clients.platform_api.app import caller_file as platform_callers
from sealscore.clients.serve.process import caller_file as scorer_callers

FORGED = "x\r\nset-cookie: forged=1\r\n\r\n2027-01-01T00:00:00Z INFO sealscore: forged\x1b[2J\x9b2J"


@dataclass(frozen=True)
class Service:
    """A service: a path, a body that it answers, tokens with and without the right, its log, its callers."""

    port: int
    path: str
    body: dict[str, Any]
    token: str
    other: str
    log: Any
    callers: Path
    home: ScorerHome | None = None

    def ask(self, target: str, *headers: str, method: str = "POST", token: str | None = None, **changes: Any) -> bytes:
        """What comes back for the body, with changes, at a target."""
        known = f"authorization: Bearer {self.token if token is None else token}"
        body = json.dumps(self.body | changes).encode()
        return raw(self.port, request(method, target, known, *headers, body=body))

    def head(self, *lines: str, after: bytes) -> bytes:
        """What comes back for the path with just these lines of a head, and what comes after it."""
        given = [f"POST {self.path} HTTP/1.1", "host: a", f"authorization: Bearer {self.token}"]
        given += ["content-type: application/json", *lines]
        return raw(self.port, "\r\n".join(given).encode("latin-1") + b"\r\n\r\n" + after)


@pytest.fixture(scope="module")
def scorer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    home = new_home(tmp_path_factory.mktemp("scorer") / "home")
    token, other = (home.caller(name, *rights)["authorization"][7:] for name, rights in (("a", ()), ("b", ["metrics"])))
    process = ScorerProcess(home).ready()
    file = scorer_callers(home.dir).path
    yield Service(process.port, "/v1/scores", application("one"), token, other, process.said, file, home)
    assert process.end() == 0


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder, said, root = tmp_path_factory.mktemp("platform"), StringIO(), logging.getLogger()
    handler, level = logging.StreamHandler(said), root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    desk = Desk(Pair(small_release(kinds=True)))
    with served(desk, folder, binding=Binding(port=0)) as back_end:
        other, body = new_caller(folder, "other", "read"), back_end.consent(known_at()[0])
        port, file = int(back_end.place.rpartition(":")[2]), platform_callers(folder).path
        token = back_end.client.headers["authorization"][7:]
        yield Service(port, "/v1/consents", body, token, other, said.getvalue, file)
    desk.close()
    root.removeHandler(handler)
    root.setLevel(level)


@pytest.fixture(params=["scorer", "platform"])
def service(request: pytest.FixtureRequest) -> Service:
    found: Service = request.getfixturevalue(request.param)
    return found


def answers(data: bytes) -> int:
    """How many answers have come."""
    return len(re.findall(rb"HTTP/1\.1 \d{3} ", data))


def refused(answer: bytes, *statuses: int) -> None:
    """One answer, a problem document of one of these statuses, and no word of the forger's in it."""
    assert status_of(answer) in statuses, answer
    assert answers(answer) == 1
    assert PROBLEM_TYPE.encode() in answer
    assert b"forged" not in answer


def test_the_honest_request_is_answered(service: Service):
    assert status_of(service.ask(service.path)) == 200
    # As a proxy writes it, and by a name that means the same (RFC 3986, 6.2.2.2).
    assert status_of(service.ask(f"http://other:80{service.path}")) == 200
    assert status_of(service.ask(service.path.replace("o", "%6f"))) == 200


@pytest.mark.parametrize(
    ("target", "statuses"),
    [
        ("/{path}", {404}),
        ("//other{path}", {404}),
        ("/v1/..{path}", {404}),
        ("/.{path}", {404}),
        ("/healthz/..{path}", {404}),
        ("{path}/", {404}),
        ("{path}/.", {404}),
        ("{path};a=b", {404}),
        ("{path}%20", {404}),
        ("{path}%00", {404}),
        ("{path}%0d%0aforged:%201", {404}),
        ("/%2e%2e{path}", {404}),
        ("/v1%2f{last}", {404}),
        ("/v1%2F{last}", {404}),
        ("/v1%5c{last}", {404}),
        ("/v1%252f{last}", {404}),
        ("/v1\\{last}", {400, 404}),
        ("{upper}", {404}),
        ("http://other/healthz/..{path}", {404}),
        ("http://other/v1%2f{last}", {404}),
        ("file://{path}", {400, 404}),
        ("other{path}", {400}),
        ("*", {404}),
        ("", {400}),
        ("{path}\0", {400}),
        ("{path}\x7f", {400, 404}),
        ("{path}\xe9", {400, 404}),
        ("{path}\tHTTP/1.1\tforged", {400}),
        ("/" + "a" * 10_000, {404}),
        ("/" + "a" * 20_000, {431}),
        ("{path}?" + "a" * 20_000, {431}),
        ("/" + "%2e%2e/" * 1000, {404}),
    ],
)
def test_a_path_that_is_like_one_is_none(service: Service, target: str, statuses: set[int]):
    last = service.path.rpartition("/")[2]
    made = target.format(path=service.path, last=last, upper=service.path.upper())
    refused(service.ask(made), *statuses)


def test_a_target_by_which_others_are_reached_is_none(service: Service):
    refused(service.ask("other:443", method="CONNECT"), 400, 404, 405)
    refused(service.ask("*", method="OPTIONS"), 404, 405)
    refused(service.ask("http://other/v1/none"), 404)


def test_the_way_to_a_path_gives_no_right_to_it(service: Service):
    path = service.path
    for target in (path, f"http://other{path}", path.replace("o", "%6f"), f"{path}?a=b"):
        refused(service.ask(target, token=service.other), 403)
        refused(service.ask(target, token="nobody"), 401)
    for name in ("x-original-url", "x-rewrite-url", "x-http-method-override", "x-forwarded-prefix"):
        refused(service.ask("/v1/none", f"{name}: {path}", token=service.other), 404)


HIDDEN = b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n"


@pytest.mark.parametrize(
    "lines",
    [
        ["content-length: 0", "content-length: {size}"],
        ["content-length: {size}", "content-length: {size}"],
        ["content-length: {size}, {size}"],
        ["content-length: +{size}"],
        ["content-length: 0x{size}"],
        ["content-length: {size}", "transfer-encoding: chunked"],
        ["transfer-encoding: chunked", "content-length: {size}"],
        ["transfer-encoding: xchunked"],
        ["transfer-encoding: chunked, identity"],
        ["transfer-encoding : chunked"],
        ["x: y\r\n\tcontent-length: {size}", "transfer-encoding : chunked"],
        ["content-length : 0"],
        ["content-length: 0\n", "x: y"],
        ["x: y\0z", "content-length: 0"],
        ["x\0y: z", "content-length: 0"],
        ["x: y\rcontent-length: 0"],
        [": y", "content-length: 0"],
        ["x y: z", "content-length: 0"],
        ["\xe9: y", "content-length: 0"],
    ],
)
def test_a_head_that_two_readers_would_read_differently_is_refused_with_all_behind_it(
    service: Service, lines: list[str]
):
    refused(service.head(*[line.format(size=len(HIDDEN)) for line in lines], after=HIDDEN), 400)


def test_a_body_in_parts_whose_sizes_are_wrong_hides_no_request(service: Service):
    wrong = (b"0x5\r\nhello\r\n", b"-1\r\n\r\n", b"5;\n\r\nhello\r\n", b"5\r\nhelloX\r\n", b"f" * 18 + b"\r\n")
    for chunk in wrong:
        answer = service.head("transfer-encoding: chunked", after=chunk + b"0\r\n\r\n" + HIDDEN)
        refused(answer, 400, 413)


def test_letters_beyond_ascii_in_a_header_are_letters(service: Service):
    assert status_of(service.ask(service.path, "x: \xe9\xff")) == 200
    refused(service.ask(service.path, token="\xe9" * 20), 401)
    refused(service.ask(service.path, "content-type: application/json; charset=\xff"), 415)


def test_an_upgrade_is_refused(service: Service):
    for protocol in ("h2c", "websocket", "forged"):
        answer = service.ask(service.path, f"upgrade: {protocol}", "connection: upgrade", "http2-settings: AAMAAABk")
        refused(answer, 400)
        # By a word of its own, not by one of a body that the parser never saw.
        assert b"Upgrade" in answer


def test_a_token_is_the_callers_own_whole_and_given_once(service: Service):
    kept = [one["token"] for one in json.loads(service.callers.read_text("utf-8"))["callers"]]
    assert len(kept) > 1
    wrong = [*kept, service.token[:-1], service.token + "x", service.token.swapcase(), "", " ", "\x00", "a b"]
    for token in (*wrong, service.token.rpartition(".")[2], "sealscore-caller-1.", f"{service.token},{service.other}"):
        answer = service.ask(service.path, token=token)
        assert status_of(answer) in (400, 401), token
        assert answers(answer) == 1
    # Neither of two tokens counts, in whatever order: a proxy may have checked the other one.
    for first, second in ((service.token, service.other), (service.other, service.token)):
        refused(service.ask(service.path, f"authorization: Bearer {second}", token=first), 401)
    for header in ("x-caller: a", "x-forwarded-user: a", "x-ssl-client-s-dn: CN=a", "sealscore.subject: CN=a"):
        refused(service.ask(service.path, header, token=service.other), 403)
    refused(service.ask(service.path, f"cookie: authorization={service.token}", token=service.other), 403)
    refused(service.ask(f"{service.path}?authorization=Bearer+{service.token}", token=service.other), 403)


def test_a_text_begins_no_header_and_no_line_of_a_log(service: Service):
    """Whatever text a body has, and whether or not it is taken."""
    before = len(service.log())
    for name in service.body:
        answer = service.ask(service.path, **{name: FORGED})
        head, _, body = answer.partition(b"\r\n\r\n")
        assert b"forged" not in head
        assert b"\x1b" not in body
        assert status_of(answer) < 500
    assert status_of(service.ask(f"{service.path}/%0d%0aforged%1b[2J")) == 404
    assert status_of(service.ask(service.path, "user-agent: forged\x1b[2J", "referer: forged")) in (200, 400)
    said = service.log()[before:]
    assert "forged" not in said
    assert "\x1b" not in said


def test_the_log_of_scores_keeps_a_text_as_it_came(scorer: Service):
    """One line is one entry, whatever it has in it: the texts are escaped where they are kept."""
    assert scorer.home is not None
    found = {}
    for name in ("application_id", "product"):
        answer = scorer.ask(scorer.path, **{name: FORGED, "person": f"{name} of a forger"})
        body = answer.partition(b"\r\n\r\n")[2]
        assert status_of(answer) == 200
        assert b"\\u001b" in body or name == "product"
        found[json.loads(body)["score_id"]] = name
    log = scorer.home.dir.log()
    for score, name in found.items():
        line = log.find(score)
        assert line is not None
        assert line.content is not None
        assert line.content[name] == FORGED
        assert line.content["caller"] == "caller a"
    assert log.check() == []
    log.close()
