"""The paths of the service. Each is an ASGI function; FastAPI routes and describes them.

A score skips the routing: it is the one path whose microseconds count.
"""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from importlib.metadata import version
from typing import Any

import msgspec
from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from sealscore.clients.http.callers import Callers
from sealscore.clients.http.exchange import HungUp, Receive, Scope, Send, read_json, send_json, send_problem, send_text
from sealscore.clients.http.problems import HttpProblem, internal, malformed, not_found, wrong_method
from sealscore.clients.http.rates import CallerRates, LimitedCallers
from sealscore.clients.serve.applicants import ScorerApplicants
from sealscore.clients.serve.committer import Committer
from sealscore.clients.serve.decisions.api import DECISION_RIGHTS, DecisionApi
from sealscore.clients.serve.decisions.reader import DecisionReader
from sealscore.clients.serve.faults import no_release
from sealscore.clients.serve.metrics import KIND, Metrics
from sealscore.clients.serve.openapi import MOST_IN_BATCH, examples, schemas
from sealscore.clients.serve.replayer import Replayer
from sealscore.clients.serve.routes import BODY_CODES, Handler, ScorerRoute, in_path
from sealscore.clients.serve.work import one_score, score_batch

RIGHTS = ("score", "batch", "replay", "features", *DECISION_RIGHTS, "metrics")
MOST_BYTES, MOST_BATCH_BYTES = 2**20, 8 * 2**20
SCORES, BATCH, REPLAY, FEATURES = "/v1/scores", "/v1/scores:batch", "/v1/replay/{score_id}", "/v1/features"
_TOKEN = {"type": "http", "scheme": "bearer", "description": "a token of `sealscore-node caller add`"}

log = logging.getLogger("sealscore.scorer")


class ScorerApi:
    """The application that uvicorn serves."""

    def __init__(
        self,
        committer: Committer,
        replayer: Replayer,
        decisions: DecisionReader,
        applicants: ScorerApplicants,
        callers: Callers,
        rates: CallerRates | None = None,
    ) -> None:
        self._committer, self._replayer, self._applicants, self._callers = committer, replayer, applicants, callers
        self._decisions, self._rates = decisions, rates or CallerRates()
        self._limited = LimitedCallers(callers, self._rates)
        self._metrics = Metrics()
        self._described: tuple[tuple[str, str], bytes] | None = None
        self._routes = [*self._own_routes(), *DecisionApi(committer.ask, decisions, self._limited).routes()]
        self._direct = {(one.path, one.method): one.handler for one in self._routes if one.direct}
        self._app = self._routed()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        handler = self._direct.get((scope["path"], scope["method"]))
        if handler is not None:
            await self._guarded(scope["path"], handler, scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _score(self, scope: Scope, receive: Receive, send: Send) -> None:
        caller = self._limited.check(scope, "score")
        body = await read_json(scope, receive, MOST_BYTES)
        await send_json(send, await self._committer.ask(one_score(body, f"caller {caller.name}")))

    async def _batch(self, scope: Scope, receive: Receive, send: Send) -> None:
        caller = self._limited.check(scope, "batch")
        body = await read_json(scope, receive, MOST_BATCH_BYTES)
        given = body.get("applications") if isinstance(body, dict) and len(body) == 1 else None
        if not isinstance(given, list) or not 1 <= len(given) <= MOST_IN_BATCH:
            fix = f'send {{"applications": [...]}} with 1 to {MOST_IN_BATCH} applications'
            raise malformed("the body is no batch", fix)
        self._rates.take_rest(caller.name, len(given) - 1)
        await send_json(send, await self._committer.ask(score_batch(given, f"caller {caller.name}")))

    async def _replay(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._limited.check(scope, "replay")
        await send_json(send, await self._replayer.replay(scope["path_params"]["score_id"]))

    async def _features(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._limited.check(scope, "features")
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
        # A copy: the scorer's thread may add a label meanwhile.
        counts = dict(committer.counts)
        labelled = [("counter", f"{name}_total", labels, n) for (name, labels), n in counts.items()]
        # Where the log cannot be read, the other counts are wanted most.
        with suppress(HttpProblem):
            for queue, waits in (await self._decisions.queued()).items():
                for name, count in zip(("reviews_waiting", "reviews_overdue"), waits, strict=True):
                    labelled.append(("gauge", name, (("queue", queue),), count))
        await send_text(send, self._metrics.text(gauges, labelled), KIND)

    async def _description(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._callers.check(scope, None)
        live = self._committer.live
        release, policy = None if live is None else live.release, await self._decisions.policy()
        key = ("" if release is None else release.hash, "" if policy is None else policy.hash)
        if self._described is None or self._described[0] != key:
            found, shown = self._app.openapi(), examples(release, policy)
            found["components"] = {"schemas": schemas(release, policy), "securitySchemes": {"token": _TOKEN}}
            for route in self._routes:
                found["paths"][route.path][route.method.lower()] |= route.described(shown)
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
        for route in self._routes:
            # The description is ours: FastAPI's own of a validation by pydantic would promise what there is not.
            app.add_api_route(
                route.path, self._endpoint(route), methods=[route.method], summary=route.what, response_class=Response
            )
        return app

    def _endpoint(self, route: ScorerRoute) -> Any:
        async def endpoint(request: Request) -> Response:
            return _AsgiResponse(self._guarded, route.path, route.handler)

        return endpoint

    def _own_routes(self) -> list[ScorerRoute]:
        of, text = (in_path("score_id"),), KIND.partition(";")[0]
        return [
            ScorerRoute("POST", SCORES, self._score, "Score one application", ("score",), BODY_CODES, "Application",
                        "Answer", direct=True),
            ScorerRoute("POST", BATCH, self._batch, "Score several applications, or none", ("batch",), BODY_CODES,
                        "Batch", "Answers"),
            ScorerRoute("POST", REPLAY, self._replay, "Compute an answer again", ("replay",), (404, 429, 503), None,
                        "Replayed", of),
            ScorerRoute("POST", FEATURES, self._features, "Features and flags of one applicant from raw rows",
                        ("features",), BODY_CODES, "RawRows", "Features"),
            ScorerRoute("GET", "/healthz", self._healthy, "Whether the process answers"),
            ScorerRoute("GET", "/readyz", self._ready, "Whether a score could be answered now", (), (503,)),
            ScorerRoute("GET", "/metrics", self._counts, "Counts for Prometheus", ("metrics",), kind=text),
            ScorerRoute("GET", "/openapi.json", self._description, "This description", RIGHTS, (503,)),
        ]  # fmt: skip


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
