"""The scorer as a service against a plain one: FastAPI, XGBoost and its SHAP contributions, which keeps no log.

Both answer the same applicants of UCI credit default over 127.0.0.1, in processes of their own, and take turns. CPU is
the service's own. The plain one keeps nothing and proves nothing: what a commit to the disk takes on this machine is
among the figures, since it is in each answer of ours and in none of its. Decisions under the policy of `bench decide`
take turns with both.

The scorer is measured beside training at full load, too, in turns with itself while that training sleeps.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import psutil
import tomli_w

import sealscore
from sealscore.clients.decision.policy.approved import use_policy
from sealscore.clients.serve.process import caller_file
from sealscore.clients.setup.serving_dir import Pointer, ScorerDir
from sealscore.shared.crypto.sealing import PlanKeys
from sealscore.shared.identity.keyfile import write_key
from sealscore.shared.persons.records import Records
from sealscore.shared.serving.release import Release
from sealscore.shared.serving.serving_keys import month_of
from sealscore.simulations.bench.decide.made_up import bench_policy
from sealscore.simulations.bench.score.costs import features_of
from sealscore.simulations.bench.serve.load import Load, burst
from sealscore.simulations.bench.serve.training import trainer
from sealscore.simulations.data.scenario import PLANS, Scenario
from sealscore.simulations.engine.federation import load_parties
from sealscore.simulations.experiments.job import RELEASE, run_job
from sealscore.simulations.experiments.trees import Trees

PLAN, TURNS, ONE, MANY, CALLERS, RESTARTS = "uci_vertical_eps2", 5, 400, 1600, 16, 3
NICE = 10
_TREES, _DEPTH = 200, 4
_PATIENCE = 300.0


def run(turns: int = TURNS, one: int = ONE, many: int = MANY) -> dict[str, Any]:
    """All figures, medians of turns: milliseconds, requests a second, and ratios of ours to the plain service's."""
    scenario = Scenario.load(PLANS / f"{PLAN}.toml")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        job = run_job(scenario, baselines=set(), runs=folder / "runs")
        assert job.folder is not None
        records = load_parties(scenario)[scenario.plan.members(scenario.plan.lenders)[0].name]
        release = Release.load(job.folder / RELEASE)
        home, token = _home(folder / "scorer", job.folder / RELEASE, release)
        model = _plain_model(folder, records, release)
        serve = [sys.executable, "-m", "sealscore.clients.cli", "serve", "--home", str(home.folder)]
        plain = [sys.executable, "-m", "sealscore.simulations.bench.serve.plain", str(model)]
        found: dict[str, Any] = {"commit_ms": _commit_ms(folder)}
        found["ready_cpu_s"] = median(_ready_cpu([*serve, "--listen", f"127.0.0.1:{_free()}"]) for _ in range(RESTARTS))
        with _served([*serve, "--listen"], "{host}:{port}") as ours, _served(plain, "{port}") as theirs:
            load = Load(features_of(release, records, range(200)), release.manifest.purpose_code, token)
            sides = {
                "ours": _Side(ours, "/v1/scores", load.ours),
                "plain": _Side(theirs, "/score", load.plain),
                "decided": _Side(ours, "/v1/decisions", load.decided),
            }
            for side in sides.values():
                side.turn(1, one // 4)
            for _ in range(turns):
                for side in sides.values():
                    side.alone.append(side.turn(1, one))
            for _ in range(turns):
                for side in sides.values():
                    side.together.append(side.turn(CALLERS, many))
            found |= _beside_training(lambda: _Side(ours, "/v1/scores", load.ours), turns, one, many)
    for label, side in sides.items():
        found |= {f"{label}_{what}": value for what, value in side.figures().items()}
    # What a decision costs on top of its score, of one caller and of many.
    for what in ("cpu_ms", "busy_cpu_ms"):
        found[f"decision_{what}"] = found[f"decided_{what}"] - found[f"ours_{what}"]
    for what in ("cpu_ms", "p50_ms", "busy_cpu_ms", "busy_p99_ms", "busy_per_s"):
        found[f"{what.removesuffix('_ms')}_ratio"] = found[f"ours_{what}"] / found[f"plain_{what}"]
    return found


def _beside_training(side: Callable[[], _Side], turns: int, one: int, many: int) -> dict[str, float]:
    """Figures of the scorer beside training, their ratios to those while it sleeps, and the cores that it took."""
    beside, quiet = side(), side()
    with trainer(NICE, _environment()) as training:
        for _ in range(turns):
            quiet.alone.append(quiet.turn(1, one))
            with training.awake():
                beside.alone.append(beside.turn(1, one))
            quiet.together.append(quiet.turn(CALLERS, many))
            with training.awake():
                beside.together.append(beside.turn(CALLERS, many))
    figures, before = beside.figures(), quiet.figures()
    found = {f"training_{what}": value for what, value in figures.items()}
    found |= {f"training_{what.removesuffix('_ms')}_ratio": figures[what] / before[what] for what in figures}
    return found | {"training_nice": NICE, "training_cores": training.cpu / training.wall}


@dataclass(frozen=True)
class _ServeTurn:
    """Requests of one turn: CPU of the service and wall time in all, and how long each took, seconds."""

    cpu: float
    wall: float
    each: np.ndarray


class _Side:
    def __init__(self, served: _Served, path: str, make: Any) -> None:
        self._served, self._path, self._make = served, path, make
        self.alone: list[_ServeTurn] = []
        self.together: list[_ServeTurn] = []

    def turn(self, callers: int, count: int) -> _ServeTurn:
        """So many requests by so many callers at once."""
        requests = [self._make(self._path) for _ in range(count)]
        before = self._served.cpu
        began = time.perf_counter()
        each = burst(self._served.port, requests, callers)
        wall = time.perf_counter() - began
        return _ServeTurn(self._served.cpu - before, wall, each)

    def figures(self) -> dict[str, float]:
        """Medians over the turns."""

        def over(turns: list[_ServeTurn], what: Any) -> float:
            return float(median(what(turn) for turn in turns))

        def share(percent: float) -> Any:
            return lambda turn: np.percentile(turn.each, percent) * 1e3

        def cpu(turn: _ServeTurn) -> float:
            return turn.cpu / len(turn.each) * 1e3

        return {
            "cpu_ms": over(self.alone, cpu),
            "p50_ms": over(self.alone, share(50)),
            "p99_ms": over(self.alone, share(99)),
            "busy_cpu_ms": over(self.together, cpu),
            "busy_p50_ms": over(self.together, share(50)),
            "busy_p99_ms": over(self.together, share(99)),
            "busy_per_s": over(self.together, lambda turn: len(turn.each) / turn.wall),
        }


@dataclass(frozen=True)
class _Served:
    """A service that runs."""

    port: int
    process: psutil.Process

    @property
    def cpu(self) -> float:
        """CPU that it has used, seconds."""
        used = self.process.cpu_times()
        return float(used.user + used.system)


@contextmanager
def _served(command: list[str], place: str) -> Iterator[_Served]:
    port = _free()
    given = place.format(host="127.0.0.1", port=port)
    process = subprocess.Popen([*command, given], env=_environment(), stderr=subprocess.DEVNULL)
    try:
        _wait(process, port)
        yield _Served(port, psutil.Process(process.pid))
    finally:
        process.terminate()
        process.wait()


def _ready_cpu(command: list[str]) -> float:
    """CPU seconds from the start of a process until it answers that it is ready."""
    port = int(command[-1].rpartition(":")[2])
    process = subprocess.Popen(command, env=_environment(), stderr=subprocess.DEVNULL)
    try:
        _wait(process, port, "/readyz")
        used = psutil.Process(process.pid).cpu_times()
        return float(used.user + used.system)
    finally:
        process.terminate()
        process.wait()


def _wait(process: subprocess.Popen[bytes], port: int, path: str = "/healthz") -> None:
    end = time.monotonic() + _PATIENCE
    request = f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n".encode()
    while True:
        try:
            burst(port, [request], 1)
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError("a service of the benchmark did not start") from None
            time.sleep(0.01)


def _environment() -> dict[str, str]:
    root = str(Path(sealscore.__file__).parent.parent)
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    # One row is scored by one thread: more of them would wait for one another.
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path}


def _free() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _home(folder: Path, source: Path, release: Release) -> tuple[ScorerDir, str]:
    """A scorer's folder in which the release and a policy are live, and a caller's token."""
    found = ScorerDir(folder)
    (folder / "keys").mkdir(parents=True)
    month = month_of(datetime.now(UTC).date())
    write_key(folder / "keys" / f"serving-{month}", "serving-key", {"month": month}, PlanKeys.secret(), None)
    shutil.copytree(source, found.release_folder(release.hash))
    found.hand_over(release.manifest.lenders[0], {release.hash: release.manifest.retraining_code})
    found.point(Pointer().going_live(release.hash))
    with closing(found.log()) as log:
        use_policy(log, bench_policy(), "live", "bench")
    token = caller_file(found).add("bench", ["score", "decide"])
    assert token is not None
    return found, token


def _plain_model(folder: Path, records: Records, release: Release) -> Path:
    """Trees on the lender's own columns, as a team without a federation would serve them."""
    import xgboost

    names = list(features_of(release, records, range(1))[0])
    columns = np.column_stack([records.columns[name] for name in names])
    assert records.label is not None
    rows = xgboost.DMatrix(columns, label=records.label)
    booster = xgboost.train(Trees(_DEPTH, 1.0).params(1), rows, _TREES)
    booster.save_model(folder / "plain.ubj")
    (folder / "plain.toml").write_text(tomli_w.dumps({"names": names}), encoding="utf-8")
    return folder / "plain.ubj"


def _commit_ms(folder: Path) -> float:
    """Median milliseconds until 4 KiB are on the disk of the log."""
    spent = []
    with (folder / "probe").open("wb", buffering=0) as file:
        for _ in range(100):
            file.write(bytes(4096))
            before = time.perf_counter()
            os.fdatasync(file.fileno())
            spent.append(time.perf_counter() - before)
    return median(spent) * 1e3
