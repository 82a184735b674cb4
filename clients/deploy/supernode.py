"""A partner's SuperNode as processes: the SuperNode, and the executor that runs couriers; started again when they end.

A SuperNode's folder, readable by its owner alone, has

    bundles.allowed    hashes of the bundles that may run (`sealscore.clients.deploy.pinning`)
    bundles.refused    what was refused, and why
    executor.secret    what the executor shows to the SuperNode
    contact            its time is the last that the server answered
    arrived            its time is the last that a message came
    flower/            Flower's own folder (FLWR_HOME)
    logs/              supernode.log, executor.log

The courier runs here and is the server's code, though approved: these processes get none of the environment of the
node beyond what is named below.
"""

from __future__ import annotations

import os
import secrets
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from sealscore.clients.deploy import executor
from sealscore.clients.deploy.connection import Trouble, check_connection
from sealscore.clients.deploy.pinning import ALLOWED, REFUSALS, BundleRefusal, allow, refusals
from sealscore.clients.deploy.server_watch import ServerWatch
from sealscore.clients.deploy.socket_path import WORD
from sealscore.shared.files import create
from sealscore.shared.processes import IMPORT_ROOT, QUIET, Exit, Watched

_SECRET, _CONTACT, _ARRIVED, _FLOWER_HOME = "executor.secret", "contact", "arrived", "flower"
_KEPT = ("LANG", "LC_ALL", "TZ", "TMPDIR", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
_TASK_POLL = 0.05  # seconds between two looks for a message at the SuperNode, on this machine
_FRESH = 30.0  # seconds for which an answer of the server counts, beside the wait between two questions
_QUIET = 12.0  # seconds without an answer, beside that wait, after which the server is asked why
_LINGER = 2.0  # seconds in which a port is free of a SuperNode whose node was killed
_OFTEN, _WITHIN = 3, 600.0  # ends of a process within so many seconds that are a trouble


@dataclass(frozen=True)
class SuperNodeSettings:
    """A SuperNode: where it keeps its files, whom it serves, whom it speaks to.

    `server` is the server's partner port as host:port; `port` is for the executor, on the loopback interface.
    `node_socket` is the Unix socket of the party's node. `poll` is the longest wait in seconds between two questions to
    the server (Flower's own is 3). Raises ValueError for a role, party or socket path that cannot be passed to Flower.
    """

    folder: Path
    server: str
    authority: Path
    key: Path
    role: str
    party: str
    node_socket: Path
    port: int = 9494
    poll: float = 0.5

    def __post_init__(self) -> None:
        for name, value in (("role", self.role), ("party", self.party), ("node_socket", str(self.node_socket))):
            if not WORD.fullmatch(value):
                raise ValueError(f"{name} {value!r}: blanks, quotes and backslashes cannot be passed to Flower")


class SuperNode:
    """A SuperNode and its executor; a context manager.

    It is not started while something is in the way, and is asked after while the server does not answer it; `trouble`
    says what it is, `notice` gets each in words, and it is checked again until it is fixed.
    """

    def __init__(self, settings: SuperNodeSettings, *, notice: Callable[[str], None] | None = None) -> None:
        self.settings = settings
        self._trouble: Trouble | None = None
        folder, logs = settings.folder, settings.folder / "logs"
        environment = _environment(folder)
        self.node = Watched(
            "supernode",
            _node_command(settings),
            environment=environment,
            folder=folder,
            log=logs / "supernode.log",
            check=self._look,
            notice=notice,
        )
        self.executor = Watched(
            "executor",
            _executor_command(settings),
            environment=environment,
            folder=folder,
            log=logs / "executor.log",
            check=self._others_port,
            notice=notice,
        )
        self.watch = ServerWatch(self.silent_since, self._ask, notice)

    def __enter__(self) -> SuperNode:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start both processes; returns at once."""
        prepare(self.settings.folder)
        self.node.start()
        self.executor.start()
        self.watch.start()

    def stop(self) -> None:
        """End both processes and what they have started."""
        self.watch.stop()
        self.executor.stop()
        self.node.stop()

    def restart(self) -> None:
        """Stop and start."""
        self.stop()
        self.start()

    @property
    def trouble(self) -> Trouble | None:
        """Why the SuperNode is not started, ends again and again, or gets no answer; None where nothing is known."""
        if self._trouble is not None:
            return self._trouble
        hindrance = self.node.hindrance or self.executor.hindrance
        if hindrance is not None:
            return Trouble("start", hindrance)
        return self._restarting(self.node) or self._restarting(self.executor) or self.watch.trouble

    def restarts(self) -> dict[str, int]:
        """How often each process has ended by itself within the last ten minutes, where it has."""
        counts = {process.name: len(_recent(process)) for process in (self.node, self.executor)}
        return {name: count for name, count in counts.items() if count}

    def last_contact(self) -> float | None:
        """When the server last answered a SuperNode here (seconds since 1970, within 5 s), None before the first time.

        It may have been one before this.
        """
        try:
            return (self.settings.folder / _CONTACT).stat().st_mtime
        except FileNotFoundError:
            return None

    def connected(self, within: float = _FRESH) -> bool:
        """Whether the server has answered the SuperNode that runs, within so many seconds beside the longest poll."""
        contact, started = self.last_contact(), self.node.started
        if self.node.pid is None or contact is None or started is None or contact < started:
            return False
        return time.time() - contact <= within + self.settings.poll

    def silent_since(self) -> float | None:
        """Since when the server has not answered a SuperNode that has run a while; None while it does."""
        started, contact = self.node.started, self.last_contact()
        if self.node.pid is None or started is None:
            return None
        quiet = time.time() - max(started, contact or 0.0) > _QUIET + self.settings.poll
        return max(0.0, contact or started) if quiet else None

    def refusals(self) -> list[BundleRefusal]:
        """The bundles that were refused, the last one last."""
        return refusals(self.settings.folder)

    def _ask(self) -> Trouble | None:
        return check_connection(self.settings.server, self.settings.authority, self.settings.key)

    def _look(self) -> str | None:
        taken = self._others_port()
        self._trouble = self._ask() if taken is None else Trouble("port", taken)
        return None if self._trouble is None else str(self._trouble)

    def _others_port(self) -> str | None:
        """That another process has the port; its SuperNode would be taken for this one's."""
        deadline = time.monotonic() + _LINGER
        while self.node.pid is None and (words := taken_port(self.settings.port)) is not None:
            if time.monotonic() >= deadline:
                return words
            time.sleep(_LINGER / 8)
        return None

    def _restarting(self, process: Watched) -> Trouble | None:
        ends = _recent(process)
        if len(ends) < _OFTEN:
            return None
        last = f"the last time with {ends[-1].how} after {ends[-1].seconds:.0f} s"
        words = f"the {process.name} has ended {len(ends)} times within {_WITHIN / 60:.0f} minutes, {last}"
        return Trouble("restarting", f"{words}; its log says why: {process.log}")


def _recent(process: Watched) -> list[Exit]:
    return [end for end in process.exits if time.time() - end.at <= _WITHIN]


def taken_port(port: int) -> str | None:
    """That a process of this machine has a port of the loopback interface, in words; None where it is free."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as a server asks for it
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            fix = "two nodes on one machine need two: set another port under [supernode] in node.toml, and start again"
            return f"port {port} on 127.0.0.1 is another process's ({error.strerror}); {fix}"
    return None


def prepare(folder: Path) -> None:
    """Make the folder, its secret and (empty) list of allowed bundles where they are missing.

    Without the list nothing may run, so one that cannot be written now is left to who keeps it.
    """
    for path in (folder, folder / _FLOWER_HOME, folder / "logs"):
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not (folder / ALLOWED).exists():
        with suppress(OSError):
            allow(folder, {})
    if not (folder / _SECRET).exists():
        create(folder / _SECRET, secrets.token_urlsafe(32).encode("ascii"))


def _node_command(settings: SuperNodeSettings) -> list[str]:
    folder = settings.folder
    return [
        *(sys.executable, "-m", "sealscore.clients.deploy.launcher"),
        *("--allowed", str(folder / ALLOWED), "--refusals", str(folder / REFUSALS)),
        *("--contact", str(folder / _CONTACT), "--arrived", str(folder / _ARRIVED), "--poll", str(settings.poll)),
        "--",
        *("--superlink", settings.server, "--root-certificates", str(settings.authority)),
        *("--auth-supernode-private-key", str(settings.key)),
        *("--host", "127.0.0.1", "--port", str(settings.port)),
        *("--isolation", "process", "--superexec-auth-secret-file", str(folder / _SECRET)),
        *("--node-config", f'role="{settings.role}" party="{settings.party}" node-socket="{settings.node_socket}"'),
    ]


def _executor_command(settings: SuperNodeSettings) -> list[str]:
    folder = settings.folder
    return [
        *(sys.executable, "-I", "-W", "ignore:Protobuf gencode version:UserWarning"),
        str(Path(executor.__file__).resolve()),
        *("--runtime", f"127.0.0.1:{settings.port}", "--secret", str(folder / _SECRET)),
        *("--allowed", str(folder / ALLOWED), "--refusals", str(folder / REFUSALS)),
        *("--arrived", str(folder / _ARRIVED), "--poll", str(_TASK_POLL)),
    ]


def _environment(folder: Path) -> dict[str, str]:
    local = ",".join(filter(None, ["127.0.0.1,localhost", os.environ.get("NO_PROXY", os.environ.get("no_proxy"))]))
    return {
        **{name: os.environ[name] for name in _KEPT if name in os.environ},
        **QUIET,
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "HOME": str(folder),
        "FLWR_HOME": str(folder / _FLOWER_HOME),
        "PATH": os.defpath,  # none of Flower's commands: the executor starts none
        "PYTHONPATH": str(IMPORT_ROOT),
        "PYTHONUNBUFFERED": "1",
        "NO_PROXY": local,
        "no_proxy": local,
    }
