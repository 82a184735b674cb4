"""The server's processes: the SuperLink behind its doors, and the executor that starts a run's server app.

A SuperLink's folder has

    superlink.db       Flower's state: enrolled keys, runs, payloads under way (sealed by the parties)
    control.token      what the operator's commands show at the control port
    executor.secret    what the executor shows there
    flower/            Flower's own folder (FLWR_HOME)
    logs/              superlink.log, executor.log

all of it its owner's alone.
"""

from __future__ import annotations

import os
import secrets
import ssl
import sys
import sysconfig
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import httpx

from sealscore.server.deploy.certificates import AUTHORITY, CERTIFICATE, KEY, TlsCertificateError, read_certificate
from sealscore.server.deploy.gate import MEBIBYTE
from sealscore.shared.files import create
from sealscore.shared.processes import IMPORT_ROOT, QUIET, Watched

TOKEN, SECRET, DATABASE, FLOWER_HOME = "control.token", "executor.secret", "superlink.db", "flower"
# How often the executor looks for a run to start, in seconds: Flower's own setting, 1 s by default. A look
# costs the SuperLink 10 ms.
POLL = {"FLWR_SUPEREXEC_TASK_POLL_INTERVAL": "0.5"}
_START = 60.0


class SuperLinkError(RuntimeError):
    """A SuperLink that does not come up; the text says why, and ends with the last lines of its log."""

    @property
    def lines(self) -> list[str]:
        """The text, line by line."""
        return str(self).split("\n")


@dataclass(frozen=True)
class SuperLinkSettings:
    """Where a SuperLink keeps its files and listens.

    `certificates` is the folder of `sealscore.server.deploy.certificates`. The control port listens on the loopback
    interface only. `body_limit` bounds a request of a partner's node, in bytes; one sealed message must fit.
    """

    folder: Path
    certificates: Path
    control_port: int = 9480
    partner_host: str = "127.0.0.1"
    partner_port: int = 9481
    body_limit: int = 16 * MEBIBYTE

    @property
    def control_address(self) -> str:
        return f"127.0.0.1:{self.control_port}"

    @property
    def authority(self) -> Path:
        return self.certificates / AUTHORITY

    @property
    def token(self) -> Path:
        return self.folder / TOKEN

    @property
    def database(self) -> Path:
        return self.folder / DATABASE


class SuperLink:
    """A SuperLink and its executor, started again when they end; a context manager.

    `notice` gets what happens to the processes, for the operator's console or log. `environment` is added to the
    environment of both processes, and so of the server app.
    """

    def __init__(
        self,
        settings: SuperLinkSettings,
        *,
        notice: Callable[[str], None] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.settings = settings
        logs = settings.folder / "logs"
        child = _environment(settings.folder / FLOWER_HOME) | dict(environment or {})
        self.link = Watched(
            "superlink",
            _link_command(settings),
            environment=child,
            folder=settings.folder,
            log=logs / "superlink.log",
            notice=notice,
            check=self._certificate_trouble,
        )
        self.executor = Watched(
            "executor",
            _executor_command(settings),
            environment=child,
            folder=settings.folder,
            log=logs / "executor.log",
            notice=notice,
        )

    def __enter__(self) -> SuperLink:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self, timeout: float = _START) -> None:
        """Start both processes and wait until the SuperLink answers.

        Raises:
            SuperLinkError: a certificate is missing or expired, a port is taken, or it does not answer in time.
        """
        prepare(self.settings)
        if (trouble := self._certificate_trouble()) is not None:
            raise SuperLinkError(trouble)
        self.link.start()
        self.wait_ready(timeout)
        self.executor.start()

    def stop(self) -> None:
        """End both processes and what they have started."""
        self.executor.stop()
        self.link.stop()

    def restart(self, timeout: float = _START) -> None:
        """Stop, and start on the same state; nodes connect again by themselves, a run under way is lost."""
        self.stop()
        self.start(timeout)

    def ready(self) -> bool:
        """Whether the SuperLink answers its operator now."""
        headers = {
            "authorization": f"Bearer {read_token(self.settings.token)}",
            "content-type": "application/protobuf",
            "accept": "application/protobuf",
        }
        url = f"https://{self.settings.control_address}/v1/control/list-runs"
        try:
            trust = ssl.create_default_context(cafile=str(self.settings.authority))
            # an empty body is Flower's request for all runs
            return httpx.post(url, headers=headers, verify=trust, timeout=5, trust_env=False).status_code == 200
        except (httpx.HTTPError, OSError):
            return False

    def wait_ready(self, timeout: float = _START) -> None:
        """Return when the SuperLink answers; raises SuperLinkError when it does not within `timeout` seconds."""
        deadline = time.monotonic() + timeout
        ended = len(self.link.exits)
        while not self.ready():
            if len(self.link.exits) > ended:
                raise SuperLinkError(f"the SuperLink ended at its start\n{self.link.tail()}")
            if time.monotonic() > deadline:
                raise SuperLinkError(f"the SuperLink does not answer after {timeout:g} s\n{self.link.tail()}")
            time.sleep(0.1)

    def _certificate_trouble(self) -> str | None:
        try:
            for name in (AUTHORITY, CERTIFICATE):
                facts = read_certificate(self.settings.certificates / name)
                if facts.expired:
                    return f"{facts.path}: expired on {facts.not_after:%Y-%m-%d}; make a new certificate"
        except TlsCertificateError as error:
            return str(error)
        return None


def prepare(settings: SuperLinkSettings) -> None:
    """Make the folder and its secrets where they are missing."""
    for folder in (settings.folder, settings.folder / FLOWER_HOME, settings.folder / "logs"):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in (TOKEN, SECRET):
        path = settings.folder / name
        if not path.exists():
            create(path, secrets.token_urlsafe(32).encode("ascii"))


def read_token(path: Path) -> str:
    """The operator's token. Raises SuperLinkError where there is none, or others may read it."""
    try:
        mode = path.stat().st_mode
        token = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        raise SuperLinkError(f"{path}: there is no token; start the server once, it makes one") from None
    if mode & 0o077:
        raise SuperLinkError(f"{path}: others may read the token; chmod 600 {path}")
    return token


def _link_command(settings: SuperLinkSettings) -> list[str]:
    options = {
        "certificate": settings.certificates / CERTIFICATE,
        "key": settings.certificates / KEY,
        "authority": settings.authority,
        "database": settings.database,
        "superexec-secret": settings.folder / SECRET,
        "token-file": settings.token,
        "control-port": settings.control_port,
        "partner-host": settings.partner_host,
        "partner-port": settings.partner_port,
        "body-limit": settings.body_limit,
    }
    command = [sys.executable, "-m", "sealscore.server.deploy.launcher"]
    return command + [part for name, value in options.items() for part in (f"--{name}", str(value))]


def _executor_command(settings: SuperLinkSettings) -> list[str]:
    return [
        *(sys.executable, "-m", "sealscore.server.deploy.executor"),
        "--runtime-api-address",
        settings.control_address,
        "--root-certificates",
        str(settings.authority),
        "--superexec-auth-secret-file",
        str(settings.folder / SECRET),
        "--parent-pid",
        str(os.getpid()),
    ]


def _environment(flower_home: Path) -> dict[str, str]:
    """This process's environment, with Flower's own settings replaced: some open further interfaces."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FLWR_")}
    return {
        **kept,
        **QUIET,
        **POLL,
        "FLWR_HOME": str(flower_home),
        "PATH": os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath)]),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(IMPORT_ROOT), os.environ.get("PYTHONPATH")])),
        "PYTHONUNBUFFERED": "1",
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
    }
