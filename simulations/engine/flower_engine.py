"""A run in Flower's simulation engine: the server app in Flower's process, couriers in Ray's workers, nodes here.

The nodes stay in the launching process and are served on Unix sockets, as a partner's node does it; Flower gets
the courier bundle, in which there is no node. A SuperLink is started on a free port of the loopback interface,
`flwr run` hands it the bundle, and everything that was started is ended again.

`run_simulation()` of Flower would need one process less; it is deprecated and gives the apps no run configuration.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sealscore.clients.courier import Responder
from sealscore.clients.node.socket_server import serve
from sealscore.server.run.progress.file import ProgressFollower
from sealscore.shared.bundle import courier_app, write_app
from sealscore.shared.processes import IMPORT_ROOT
from sealscore.simulations import QUIET_ENVIRONMENT
from sealscore.simulations.engine.flower_processes import end_tree, groups_below, terminable, undisturbed

if TYPE_CHECKING:
    from sealscore.server.run.rounds import Observer

COMPLETED = "finished:completed"
_SUPERLINK = "simulation"  # what the connection is called in Flower's configuration
_START_TIMEOUT = 60.0
_TAIL = 40


class FlowerRunError(RuntimeError):
    """A run in Flower's engine failed. The text ends with the last lines of its log."""

    @property
    def lines(self) -> list[str]:
        """The text, line by line."""
        return str(self).split("\n")


def run_with_flower(
    responders: Mapping[str, Responder],
    plan_bytes: bytes,
    output_dir: Path,
    *,
    timeout: float | None = None,
    workers: int = 2,
    app: Mapping[str, bytes] | None = None,
    observer: Observer | None = None,
) -> None:
    """Run the project's server app on `plan_bytes` with these nodes (by party); it writes into `output_dir`.

    `workers` Ray workers run the couriers. They only carry bytes, the nodes compute here one at a time, so more bring
    nothing. `app` has the files of the Flower app that runs, by default the courier bundle's. The coordinator runs in
    another process; `observer` is told its phases and rounds from the progress file in `output_dir`. Raises
    FlowerRunError when the run does not end as completed within `timeout` seconds.
    """
    tick = _nothing if observer is None else _follower(output_dir, observer, plan_bytes)
    # the paths of Ray's sockets hold little more than 100 bytes, too few for some systems' own temporary directory
    short = "/tmp" if os.access("/tmp", os.W_OK) else None
    with terminable(), tempfile.TemporaryDirectory(prefix="seal-", dir=short, ignore_cleanup_errors=True) as name:
        folder = Path(name)
        bundle = write_app(folder / "sealscore", app or courier_app())
        (folder / "plan").write_bytes(plan_bytes)
        with serve(responders.values(), folder / "nodes"):
            _write_toml(
                folder / "run.toml",
                {
                    "plan": str(folder / "plan"),
                    "output": str(output_dir.resolve()),
                    "parties": ",".join(sorted(responders)),
                    "node-sockets": str(folder / "nodes"),
                },
            )
            environment = _environment(folder)
            with _superlink(folder, environment):
                _run(folder, environment, bundle, len(responders), workers, timeout, tick)


def _nothing() -> None:
    """The tick of a run that nobody follows."""


def _follower(output_dir: Path, observer: Observer, plan_bytes: bytes) -> ProgressFollower:
    from sealscore.server.run.run_files import PROGRESS
    from sealscore.shared.phases.order import phases
    from sealscore.shared.plan.plan import Plan

    return ProgressFollower(output_dir / PROGRESS, observer, phases(Plan.from_canonical(plan_bytes)))


def _environment(folder: Path) -> dict[str, str]:
    scripts = sysconfig.get_path("scripts")
    return {
        **os.environ,
        **QUIET_ENVIRONMENT,
        "PATH": os.pathsep.join([scripts, os.environ.get("PATH", "")]),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(IMPORT_ROOT), os.environ.get("PYTHONPATH")])),
        "PYTHONWARNINGS": "ignore:Protobuf gencode version:UserWarning",
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
        "FLWR_HOME": str(folder / "flwr"),
        "FLWR_SUPEREXEC_TASK_POLL_INTERVAL": "0.1",
        "RAY_ADDRESS": "local",  # never a cluster that runs here for something else
        "RAY_TMPDIR": str(folder),
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # on Linux too: listen on the loopback interface only
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    }


@contextmanager
def _superlink(folder: Path, environment: Mapping[str, str]) -> Iterator[None]:
    """Start a SuperLink for this run alone; end it and all that it has started."""
    port = free_port()
    address = f"127.0.0.1:{port}"
    (folder / "flwr").mkdir()
    (folder / "flwr" / "config.toml").write_text(
        f'[superlink]\ndefault = "{_SUPERLINK}"\n\n[superlink.{_SUPERLINK}]\naddress = "{address}"\ninsecure = true\n',
        encoding="utf-8",
    )
    command = ["flower-superlink", "--insecure", "--simulation", "--isolation", "subprocess"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--disable-runtime-dependency-installation"]
    process = _start(command, environment, folder, "superlink.log")
    groups: set[int] = set()
    try:
        deadline = time.monotonic() + _START_TIMEOUT
        while not _listens(port):
            if process.poll() is not None:
                log = _tail(folder, "superlink.log")
                raise FlowerRunError(f"flower-superlink ended with {process.returncode}\n{log}")
            if time.monotonic() > deadline:
                log = _tail(folder, "superlink.log")
                raise FlowerRunError(f"no SuperLink on {address} after {_START_TIMEOUT:g} s\n{log}")
            time.sleep(0.05)
        groups = groups_below(process.pid)
        yield
    finally:
        with undisturbed():
            end_tree(process, groups)


def _run(
    folder: Path,
    environment: Mapping[str, str],
    bundle: Path,
    parties: int,
    workers: int,
    timeout: float | None,
    tick: Callable[[], None],
) -> None:
    size = f"num-supernodes={parties} client-resources-num-cpus=1 init-args-num-cpus={workers}"
    command = ["flwr", "run", str(bundle), _SUPERLINK, "--stream"]
    command += ["--run-config", str(folder / "run.toml"), "--federation-config", size]
    deadline = None if timeout is None else time.monotonic() + timeout
    process = _start(command, environment, folder, "run.log")
    try:
        while process.poll() is None:
            if deadline is not None and time.monotonic() > deadline:
                raise FlowerRunError(f"the run was not done after {timeout:g} s\n{_tail(folder, 'run.log')}")
            tick()
            time.sleep(0.1)
        tick()
    finally:
        with undisturbed():
            end_tree(process)
    # the exit code is 0 for a run that failed, too
    status, details = _status(folder, environment)
    if status != COMPLETED:
        raise FlowerRunError(f"the run ended as {status} ({details})\n{_tail(folder, 'run.log')}")


def _status(folder: Path, environment: Mapping[str, str]) -> tuple[str, str]:
    listing = subprocess.run(
        ["flwr", "list", _SUPERLINK, "--format", "json"],
        env=dict(environment),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_START_TIMEOUT,
        check=False,
    )
    try:
        (run,) = json.loads(listing.stdout)["runs"]
        return str(run["status"]), str(run["status-details"])
    except (ValueError, KeyError, TypeError):
        return "not started", f"flwr list ended with {listing.returncode}"


def _start(command: Sequence[str], environment: Mapping[str, str], folder: Path, log: str) -> subprocess.Popen[bytes]:
    with (folder / log).open("wb") as stream:
        return subprocess.Popen(
            command,
            env=dict(environment),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            umask=0o077,
        )


def _write_toml(path: Path, values: Mapping[str, str]) -> None:
    path.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items()), encoding="utf-8")


def free_port() -> int:
    """A port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=0.2).close()
    except OSError:
        return False
    return True


def _tail(folder: Path, log: str) -> str:
    return "\n".join((folder / log).read_text("utf-8", "replace").splitlines()[-_TAIL:])
