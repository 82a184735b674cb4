"""The paths of the service. Each is an ASGI function; FastAPI routes and describes them.

A score skips the routing: it is the one path whose microseconds count.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import Any

import msgspec
from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from sealscore.clients.http.callers import Callers
from sealscore.clients.http.exchange import HungUp, Receive, Scope, Send, read_json, send_json, send_problem, send_text
from sealscore.clients.http.problems import HttpProblem, internal, malformed, not_found, wrong_method
from sealscore.clients.http.rates import CallerRates
from sealscore.clients.serve.applicants import ScorerApplicants
from sealscore.clients.serve.committer import Committer
from sealscore.clients.serve.faults import no_release
from sealscore.clients.serve.metrics import KIND, Metrics
from sealscore.clients.serve.openapi import (
    MOST_IN_BATCH,
    example,
    example_answer,
    example_features,
    example_rows,
    json_body,
    problems,
    schemas,
)
from sealscore.clients.serve.replayer import Replayer

RIGHTS = ("score", "batch", "replay", "features", "metrics")
MOST_BYTES, MOST_BATCH_BYTES = 2**20, 8 * 2**20
SCORES, BATCH, REPLAY, FEATURES = "/v1/scores", "/v1/scores:batch", "/v1/replay/{score_id}", "/v1/features"
_TOKEN = {"type": "http", "scheme": "bearer", "description": "a token of `sealscore-node caller add`"}
_BODY_CODES = (400, 408, 409, 413, 415, 422, 429, 503)

log = logging.getLogger("sealscore.scorer")

Handler = Callable[[Scope, Receive, Send], Awaitable[None]]


class ScorerApi:
    """The application that uvicorn serves."""

    def __init__(
        self,
        committer: Committer,
        replayer: Replayer,
        applicants: ScorerApplicants,
        callers: Callers,
        rates: CallerRates | None = None,
    ) -> None:
        self._committer, self._replayer, self._applicants, self._callers = committer, replayer, applicants, callers
        self._rates = rates or CallerRates()
        self._metrics = Metrics()
        self._described: tuple[str, bytes] | None = None
        self._app = self._routed()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["path"] == SCORES and scope["method"] == "POST":
            await self._guarded(SCORES, self._score, scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _score(self, scope: Scope, receive: Receive, send: Send) -> None:
        caller = self._callers.check(scope, "score")
        self._rates.take(caller.name)
        body = await read_json(scope, receive, MOST_BYTES)
        await send_json(send, await self._committer.ask([body], f"caller {caller.name}"))

    async def _batch(self, scope: Scope, receive: Receive, send: Send) -> None:
        caller = self._callers.check(scope, "batch")
        body = await read_json(scope, receive, MOST_BATCH_BYTES)
        given = body.get("applications") if isinstance(body, dict) and len(body) == 1 else None
        if not isinstance(given, list) or not 1 <= len(given) <= MOST_IN_BATCH:
            fix = f'send {{"applications": [...]}} with 1 to {MOST_IN_BATCH} applications'
            raise malformed("the body is no batch", fix)
        self._rates.take(caller.name, len(given))
        await send_json(send, await self._committer.ask(given, f"caller {caller.name}", alone=True))

    async def _replay(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._rates.take(self._callers.check(scope, "replay").name)
        await send_json(send, await self._replayer.replay(scope["path_params"]["score_id"]))

    async def _features(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._rates.take(self._callers.check(scope, "features").name)
        body = await read_json(scope, receive, MOST_BYTES)
        await self._committer.ready()
        live = self._committer.live
        if live is None or live.release is None:
            raise no_release("")
        plan = live.release.plan
        await send_json(send, await self._applicants.answer(body, plan.groups[plan.lenders].table))

    async def _healthy(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send_json(send, b'{"status":"running"}')

    async def _ready(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._committer.ready()
        await send_json(send, b'{"status":"ready"}')

    async def _counts(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._callers.check(scope, "metrics")
        committer = self._committer
        gauges = {
            "waiting": ("gauge", float(committer.waiting)),
            "commits_total": ("counter", float(committer.groups)),
            "answers_committed_total": ("counter", float(committer.committed)),
            "process_cpu_seconds_total": ("counter", time.process_time()),
        }
        await send_text(send, self._metrics.text(gauges), KIND)

    async def _description(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._callers.check(scope, None)
        live = self._committer.live
        release = None if live is None else live.release
        key = "" if release is None else release.hash
        if self._described is None or self._described[0] != key:
            found = self._app.openapi()
            found["components"] = {"schemas": schemas(release), "securitySchemes": {"token": _TOKEN}}
            one, answer = example(release), example_answer(release)
            several, answers = {"applications": [one]}, {"answers": [answer]}
            _describe(found["paths"][SCORES]["post"], "Application", one, "Answer", answer)
            _describe(found["paths"][BATCH]["post"], "Batch", several, "Answers", answers)
            asked, told = example_rows(), example_features(release)
            _describe(found["paths"][FEATURES]["post"], "RawRows", asked, "Features", told)
            self._described = (key, msgspec.json.encode(found))
        await send_json(send, self._described[1])

    async def _guarded(self, path: str, handler: Handler, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer whatever happens with a problem document, and count it."""
        began, status = time.monotonic(), 200
        try:
            await handler(scope, receive, send)
        except HttpProblem as problem:
            status = problem.status
            self._metrics.problem(problem.code)
            await send_problem(send, problem)
        except HungUp:
            return
        except Exception as error:
            # Never the text of an error: it may quote a value.
            log.error("%s failed: %s", path, type(error).__name__)
            status = 500
            self._metrics.problem("internal")
            await send_problem(send, internal())
        self._metrics.answered(path, status, time.monotonic() - began)

    def _routed(self) -> FastAPI:
        app = FastAPI(
            title="Sealscore scorer",
            version=version("sealscore"),
            description="Scores of applications by a released model; docs/scoring.md has the meaning of each field.",
            openapi_url=None,
            docs_url=None,
            redoc_url=None,
            redirect_slashes=False,
            exception_handlers={HTTPException: _not_routed},
        )
        self._route(app, "POST", SCORES, self._score, "Score one application", "score", *_BODY_CODES)
        self._route(app, "POST", BATCH, self._batch, "Score several applications, or none", "batch", *_BODY_CODES)
        self._route(app, "POST", REPLAY, self._replay, "Compute an answer again", "replay", 404, 429, 503)
        what = "Features and flags of one applicant from raw rows"
        self._route(app, "POST", FEATURES, self._features, what, "features", *_BODY_CODES)
        self._route(app, "GET", "/healthz", self._healthy, "Whether the process answers", "")
        self._route(app, "GET", "/readyz", self._ready, "Whether a score could be answered now", "", 503)
        self._route(app, "GET", "/metrics", self._counts, "Counts for Prometheus", "metrics")
        self._route(app, "GET", "/openapi.json", self._description, "This description", "any")
        return app

    def _route(
        self, app: FastAPI, method: str, path: str, handler: Handler, what: str, right: str, *codes: int
    ) -> None:
        async def endpoint(request: Request) -> Response:
            return _AsgiResponse(self._guarded, path, handler)

        content: Any = {"application/json": {"schema": {"type": "object"}}}
        if path == REPLAY:
            content = json_body("Replayed")
        elif path == "/metrics":
            content = {KIND.partition(";")[0]: {"schema": {"type": "string"}}}
        answers = {"200": {"description": what, "content": content}} | problems(*codes, *((401, 403) if right else ()))
        extra: dict[str, Any] = {"responses": answers}
        if path == REPLAY:
            identifier = {"name": "score_id", "in": "path", "required": True, "schema": {"type": "string"}}
            extra["parameters"] = [identifier]
        if right:
            extra["security"] = [{"token": []}]
        # The description is ours: FastAPI's own of a validation by pydantic would promise what there is not.
        app.add_api_route(path, endpoint, methods=[method], summary=what, openapi_extra=extra, response_class=Response)


class _AsgiResponse(Response):
    """A response that is an ASGI function of ours."""

    def __init__(self, guarded: Any, path: str, handler: Handler) -> None:
        super().__init__()
        self._run = (guarded, path, handler)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        guarded, path, handler = self._run
        await guarded(path, handler, scope, receive, send)


class _ProblemResponse(Response):
    def __init__(self, problem: HttpProblem) -> None:
        super().__init__()
        self._problem = problem

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await send_problem(send, self._problem)


async def _not_routed(request: Request, error: Exception) -> Response:
    """An unknown path or method, in our form."""
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        return _ProblemResponse(wrong_method(sorted(allowed.split(", "))))
    return _ProblemResponse(not_found())


def _describe(operation: dict[str, Any], asked: str, body: Any, answered: str, answer: Any) -> None:
    operation["requestBody"] = {"required": True, "content": json_body(asked, body)}
    operation["responses"]["200"]["content"] = json_body(answered, answer)
