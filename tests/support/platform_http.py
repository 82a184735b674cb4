"""A platform's API over a real socket, in a thread of the test, and its back end as a client."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from platform_desk import Desk
from small_release import TEXT, TODAY

from sealscore.clients.applicant.desk import ApplicantDesk
from sealscore.clients.http.binding import Binding
from sealscore.clients.http.callers import Callers
from sealscore.clients.http.rates import CallerRates, LimitedCallers
from sealscore.clients.http.server import HttpLimits, HttpServer
from sealscore.clients.platform_api.app import RIGHTS, PlatformApi, caller_file
from sealscore.clients.platform_api.applicants import made_at_platform
from sealscore.clients.platform_api.description import description


class BackEnd:
    """What the platform's back end sends. `place` is where the service listens."""

    def __init__(self, desk: Desk, client: httpx.Client, server: HttpServer, folder: Path, place: str) -> None:
        self.desk, self.client, self.server, self.folder, self.place = desk, client, server, folder, place

    @property
    def release(self) -> str:
        """The hash of the release that is served."""
        return self.desk.pair.release.hash

    def post(self, path: str, body: Any, **more: Any) -> httpx.Response:
        """POST a body as JSON."""
        return self.client.post(path, json=body, **more)

    def consent(self, person: str, key: str = "k", lender: str = "lender-1", **more: Any) -> dict[str, Any]:
        """The body of a consent."""
        given = {"key": key, "person": person, "lender": lender, "release": self.release}
        return given | {"text": TEXT, "language": "en", **more}


def new_caller(folder: Path, name: str = "back-end", *rights: str) -> str:
    """A caller's token, with all rights if none is given."""
    token = caller_file(folder).add(name, rights or RIGHTS)
    assert token is not None
    return token


def api_of(desk: Desk, folder: Path, most_a_second: float | None = None) -> PlatformApi:
    """The application of a desk, with the callers of a folder."""
    applicants = ApplicantDesk(made_at_platform({"CNY": 1.0}, None), lambda: TODAY)
    callers = LimitedCallers(Callers(caller_file(folder), print), CallerRates(most_a_second))
    return PlatformApi(desk.of, desk.worker, applicants, callers, description("1"))


@contextmanager
def served(
    desk: Desk,
    folder: Path,
    limits: HttpLimits | None = None,
    binding: Binding | None = None,
    most_a_second: float | None = None,
) -> Iterator[BackEnd]:
    """Serve until the block ends: at a Unix socket in a folder, if no other place is given."""
    binding, listening, places = binding or Binding(path=folder / "api.sock"), threading.Event(), list[str]()

    def ready(place: str) -> None:
        places.append(place)
        listening.set()

    server = HttpServer(api_of(desk, folder, most_a_second), binding, limits, ready)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    assert listening.wait(30)
    headers = {"authorization": f"Bearer {new_caller(folder)}"}
    try:
        transport = httpx.HTTPTransport(uds=None if binding.path is None else str(binding.path))
        base = places[0] if binding.path is None else "http://node"
        with httpx.Client(transport=transport, base_url=base, headers=headers, timeout=60) as client:
            yield BackEnd(desk, client, server, folder, places[0])
    finally:
        server.stop()
        thread.join()
