"""A platform's API: what a consent, a repetition, a withdrawal, factors and what was told cost over HTTP.

CPU is that of the whole service, all threads, for one request; the back end is a process of its own on a Unix socket.
Consents are measured with an empty store, and again where tokens of the same day are in it already. A release of UCI
credit default, vertical, epsilon 2, is served, with all of its persons at the platform.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from sealscore.clients.applicant.desk import ApplicantDesk
from sealscore.clients.applicant.used_numbers import CNY
from sealscore.clients.http.binding import Binding
from sealscore.clients.http.callers import Callers
from sealscore.clients.http.rates import LimitedCallers
from sealscore.clients.http.server import HttpServer
from sealscore.clients.platform_api.app import RIGHTS, PlatformApi, caller_file
from sealscore.clients.platform_api.applicants import made_at_platform
from sealscore.clients.platform_api.desk import ConsentDesk
from sealscore.clients.scoring.serving_store import KeptToken, ServingStore
from sealscore.clients.setup.serving_dir import today
from sealscore.shared.persons.records import Records
from sealscore.shared.serving.release import Release
from sealscore.shared.serving.serving_keys import month_of
from sealscore.simulations.bench.score import PLAN
from sealscore.simulations.bench.score.platform import TrainedPlatform
from sealscore.simulations.data.scenario import PLANS, Scenario
from sealscore.simulations.engine.federation import load_parties
from sealscore.simulations.experiments.job import RELEASE, run_job

REQUESTS, KEPT, TEXT = 500, 100_000, "5e" * 32


def run() -> dict[str, Any]:
    """All figures: milliseconds of CPU a request, and of the clock in the middle and for 99 of 100."""
    scenario = Scenario.load(PLANS / f"{PLAN}.toml")
    with tempfile.TemporaryDirectory() as folder:
        done = run_job(scenario, baselines=False, runs=Path(folder) / "runs")
        return measured(Release.load(done.folder / RELEASE), load_parties(scenario), Path(folder))


def measured(
    release: Release, records: Mapping[str, Records], folder: Path, requests: int = REQUESTS, kept: int = KEPT
) -> dict[str, Any]:
    """The figures of a release; `kept` is how many tokens of the day are in the store the second time."""
    with TrainedPlatform(release, records, folder) as platform, _served(platform) as token:
        persons, hash = platform.records.person, platform.release.hash
        if len(persons) < 2 * requests:
            raise ValueError(f"the platform has fewer than {2 * requests} persons")

        def consents(first: int) -> list[tuple[str, dict[str, Any]]]:
            said = {"lender": platform.lender, "release": hash, "text": TEXT, "language": "en"}
            asked = range(first, first + requests)
            return [("/v1/consents", {"person": persons[at], "key": f"key-{at}", **said}) for at in asked]

        one = [{"person": person} for person in persons[:requests]]
        found = _figures("consent", _asked(folder, token, consents(0)))
        found |= _figures("again", _asked(folder, token, consents(0)))
        found |= _figures("told", _asked(folder, token, [("/v1/told", body) for body in one]))
        found |= _figures("factors", _asked(folder, token, [("/v1/factors", body | {"release": hash}) for body in one]))
        found |= _figures(
            "withdrawal",
            _asked(folder, token, [("/v1/withdrawals", body | {"lender": platform.lender}) for body in one]),
        )
        _fill(platform, kept)
        found |= _figures(f"consent_with_{kept}_kept", _asked(folder, token, consents(requests)))
    return found


def _figures(name: str, measured: tuple[float, list[float]]) -> dict[str, float]:
    cpu, took = measured
    wall = np.percentile(took, [50, 99]) * 1e3
    return {f"{name}_ms": cpu * 1e3, f"{name}_wall_p50_ms": float(wall[0]), f"{name}_wall_p99_ms": float(wall[1])}


def _asked(folder: Path, token: str, requests: list[tuple[str, dict[str, Any]]]) -> tuple[float, list[float]]:
    """Seconds of this process's CPU a request, and of the clock of each, as its caller saw it."""
    # By its file: as a module of this package it would import all that the package does.
    caller = [sys.executable, str(Path(__file__).with_name("caller.py")), str(folder / "api.sock")]
    lines = f"{token}\n" + "".join(json.dumps(request) + "\n" for request in requests)
    before = time.process_time()
    done = subprocess.run(caller, input=lines, capture_output=True, text=True, check=True)
    # Starting the caller is little beside hundreds of requests, and is in it.
    return (time.process_time() - before) / len(requests), json.loads(done.stdout)


@contextmanager
def _served(platform: TrainedPlatform) -> Iterator[str]:
    """Serve the platform's API in this process; gives a caller's token."""
    token = caller_file(platform.folder).add("bench", RIGHTS)
    worker, listening = ThreadPoolExecutor(1), threading.Event()

    def opened() -> tuple[ConsentDesk, ServingStore]:
        store = platform.store()
        return ConsentDesk(platform.identity, platform.ledger, store, platform.sources(), platform.form), store

    desk, store = worker.submit(opened).result()
    desk.look(worker)
    applicants = ApplicantDesk(made_at_platform(CNY, None), today)
    callers = Callers(caller_file(platform.folder), print)
    api = PlatformApi(desk, worker, applicants, LimitedCallers(callers), b"{}")
    binding = Binding(path=platform.folder / "api.sock")
    server = HttpServer(api, binding, ready=lambda place: listening.set())
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        if token is None or not listening.wait(60):
            raise RuntimeError("the service does not listen")
        yield token
    finally:
        server.stop()
        thread.join()
        worker.submit(store.close).result()
        worker.shutdown()


def _fill(platform: TrainedPlatform, count: int) -> None:
    """Tokens of other persons, given today, as the store keeps them."""
    store, day, hash = platform.store(), str(platform.today), platform.release.hash
    with store.transaction() as own:
        for number in range(count):
            handle = os.urandom(16)
            own.keep(hash, platform.lender, f"fill-{number}", KeptToken(b"", handle, b"", day), f"other-{number}", day)
            own.tell(
                f"other-{number}", "signal", "other", month_of(platform.today), 0, 4, platform.lender, hash, handle
            )
    store.close()
