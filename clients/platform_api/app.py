"""The platform's API over ASGI: who asks is checked first, then the body, then the desk is asked, on its own thread.

Identifiers stand in bodies alone, never in a path, a query or a log.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import sqlite3
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from sealscore.clients.applicant.desk import ApplicantDesk
from sealscore.clients.http.bodies import ApiBody, checked
from sealscore.clients.http.callers import CallerFile
from sealscore.clients.http.exchange import HungUp, Receive, Scope, Send, read_json, send_json, send_problem
from sealscore.clients.http.problems import HttpProblem, internal, not_found, wrong_method
from sealscore.clients.http.rates import LimitedCallers
from sealscore.clients.platform_api import bodies
from sealscore.clients.platform_api.desk import ConsentDesk
from sealscore.clients.platform_api.refusals import not_ready, refusal, unavailable
from sealscore.clients.scoring.serving_store import ServingStoreError
from sealscore.clients.scoring.tokens import ConsentRequest, NoToken
from sealscore.clients.warning.watching import WatchRequest
from sealscore.shared.ledger.ledger import LedgerError
from sealscore.shared.ledger.state import LedgerFault

log = logging.getLogger("sealscore.platform_api")

MOST_BODY = 16_384  # bytes; a consent has a tenth of it
MOST_ROWS_BODY = 8 * 2**20  # bytes of a creator's raw rows
CONSENT, READ, APPLICANTS = "consent", "read", "features"
RIGHTS = (CONSENT, READ, APPLICANTS)
FEATURES = "/v1/features"
T = TypeVar("T")


@dataclass(frozen=True)
class Route:
    """A path that takes one method. `right` is the caller's that it needs, None for what says nothing of anybody."""

    method: str
    path: str
    right: str | None
    what: str
    body: type[ApiBody] | None
    answer: type[BaseModel] | None
    most: int = MOST_BODY


ROUTES = (
    Route("POST", "/v1/consents", CONSENT, "A creator agreed: charge, and make the token", bodies.ConsentBody,
          bodies.TokenAnswer),
    Route("POST", "/v1/watches", CONSENT, "A creator agreed to be watched, for a fixed number of quarters",
          bodies.WatchBody, bodies.WatchAnswer),
    Route("POST", "/v1/watches/end", CONSENT, "A creator ends that: the lender deletes its bits; tokens stay",
          bodies.WithdrawalBody, bodies.WatchEndAnswer),
    Route("POST", "/v1/withdrawals", CONSENT, "A creator withdraws: nothing more is told to that lender",
          bodies.WithdrawalBody, bodies.WithdrawalAnswer),
    Route("POST", "/v1/told", READ, "What was told of a creator for scoring, and when", bodies.PersonBody,
          bodies.ToldAnswer),
    Route("POST", "/v1/factors", READ, "What moves a creator's level, in words; nothing is charged",
          bodies.FactorsBody, bodies.FactorsAnswer),
    Route("POST", FEATURES, APPLICANTS, "Features and flags of one creator from raw rows; nothing is kept",
          bodies.FeaturesBody, bodies.FeaturesAnswer, MOST_ROWS_BODY),
    Route("GET", "/v1/releases", READ, "The releases for which tokens are made", None, bodies.ReleasesAnswer),
    Route("GET", "/healthz", None, "The service answers", None, None),
    Route("GET", "/readyz", None, "Tokens can be made", None, None),
    Route("GET", "/openapi.json", None, "This description", None, None),
)  # fmt: skip
# Each path takes one method.
_PATHS = {route.path: route for route in ROUTES}


def caller_file(folder: Path) -> CallerFile:
    """The callers of the API of the node in a folder."""
    return CallerFile(folder / "platform-callers.json", RIGHTS)


class PlatformApi:
    """The ASGI application. `worker` is the desk's one thread; raw rows are worked on by that of `applicants`."""

    def __init__(
        self,
        desk: ConsentDesk,
        worker: Executor,
        applicants: ApplicantDesk,
        callers: LimitedCallers,
        description: bytes,
    ) -> None:
        self._desk, self._worker, self._applicants, self._callers = desk, worker, applicants, callers
        self._fixed = {"/openapi.json": description, "/healthz": b'{"status": "up"}'}
        self._handlers: Mapping[str, Callable[[Any], Any]] = {
            "/v1/consents": self._consent,
            "/v1/watches": self._watch,
            "/v1/watches/end": self._end_watch,
            "/v1/withdrawals": self._withdraw,
            "/v1/told": lambda body: {"told": desk.told(body.person)},
            "/v1/factors": lambda body: desk.factors(body.release, body.person),
            FEATURES: lambda body: desk.table(body.release),
            "/v1/releases": lambda body: self._releases(),
            "/readyz": lambda body: self._ready(),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or the server's own beginning and end."""
        if scope["type"] == "lifespan":
            await _live(receive, send)
            return
        try:
            await send_json(send, await self._answered(scope, receive))
        except HttpProblem as problem:
            await send_problem(send, problem)
        except HungUp:
            return
        except Exception as error:
            # Its text may have values of the request.
            log.error("a request failed: %s", type(error).__name__)
            await send_problem(send, internal())

    async def _answered(self, scope: Scope, receive: Receive) -> bytes:
        route = _PATHS.get(scope["path"])
        if route is None:
            raise not_found()
        if scope["method"] != route.method:
            raise wrong_method([route.method])
        if route.right is not None:
            self._callers.check(scope, route.right)
        if route.path in self._fixed:
            return self._fixed[route.path]
        body = None
        if route.body is not None:
            body = checked(route.body, await read_json(scope, receive, route.most))
        handler = self._handlers[route.path]
        found = await asyncio.get_running_loop().run_in_executor(self._worker, _guarded, handler, body)
        if isinstance(body, bodies.FeaturesBody):
            return await self._applicants.answer({"as_of": body.as_of, "tables": body.tables}, found)
        return json.dumps(found, ensure_ascii=False).encode()

    def _consent(self, body: bodies.ConsentBody) -> dict[str, str]:
        kinds = frozenset({"signal", *body.kinds})
        asked = ConsentRequest(
            body.lender, body.person, body.text, body.language, body.key, kinds, retraining=body.retraining
        )
        kept = self._desk.consent(body.release, asked)
        token = base64.urlsafe_b64encode(kept.token).decode("ascii")
        return {"token": token, "release": body.release, "lender": body.lender, "expires": kept.expires}

    def _watch(self, body: bodies.WatchBody) -> dict[str, str]:
        asked = WatchRequest(body.lender, body.person, body.key, body.text, body.language, body.quarters)
        made = self._desk.watch(body.release, asked)
        return {"lender": made.lender, "release": made.release, "first": made.first, "last": made.last}

    def _end_watch(self, body: bodies.WithdrawalBody) -> dict[str, Any]:
        return {"lender": body.lender, "watches": self._desk.end_watch(body.person, body.lender)}

    def _withdraw(self, body: bodies.WithdrawalBody) -> dict[str, Any]:
        return {"lender": body.lender, "tokens": self._desk.withdraw(body.person, body.lender)}

    def _releases(self) -> dict[str, Any]:
        found = []
        for hash, (manifest, told) in self._desk.ready().items():
            found.append(
                {
                    "release": hash,
                    "name": manifest.name,
                    "purpose": manifest.purpose_code,
                    "lenders": list(manifest.lenders),
                    "kinds": {str(kind): bits for kind, bits in told.bits.items()},
                    "expires": str(manifest.expires),
                }
            )
        return {"releases": found}

    def _ready(self) -> dict[str, Any]:
        ready = self._desk.ready()
        if not ready:
            raise not_ready()
        return {"status": "ready", "releases": len(ready), "undone": len(self._desk.undone)}


def _guarded(handler: Callable[[Any], T], body: Any) -> T:
    """What a handler answers, on the worker's thread."""
    try:
        return handler(body)
    except NoToken as error:
        raise refusal(error) from None
    except (LedgerError, LedgerFault, ServingStoreError, sqlite3.Error) as error:
        log.error("nothing can be charged or read: %s", error)
        raise unavailable() from None


async def _live(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
