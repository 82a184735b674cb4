"""Child processes that are watched: what they print goes to a file, they are started again when they end, and they
are stopped by their id together with what they have started.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

# Flower and Ray report usage and look for updates unless told otherwise before they are imported.
QUIET = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "PYTHONWARNINGS": "ignore:Protobuf gencode version:UserWarning",
}
_LONG_RUN = 60.0  # a process that has run so long failed for something new: the waits begin anew
_LOG_LIMIT = 20_000_000


@dataclass(frozen=True)
class Exit:
    """How a watched process ended: its exit code (negative: the signal), and after how many seconds."""

    code: int
    seconds: float


class Watched:
    """One child process, in a session of its own, that is started again whenever it ends.

    `check` is asked before each start; a text means that the process cannot run now and says why. It is then asked
    again after a wait, so a fault that somebody mends needs no restart by hand. `notice` is told each text once, and
    each end. The waits in seconds between starts grow along `waits`. The log file is the owner's alone, and moved to
    `<name>.1` when it is long. Files that the process makes are the owner's alone too (umask 077).
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        folder: Path,
        log: Path,
        check: Callable[[], str | None] | None = None,
        notice: Callable[[str], None] | None = None,
        restart: bool = True,
        waits: Sequence[float] = (0.5, 1.0, 2.0, 5.0, 15.0),
        patience: float = 10.0,
    ) -> None:
        self.name = name
        self.command = list(command)
        self.environment = dict(environment)
        self.folder = folder
        self.log = log
        self.hindrance: str | None = None
        self.exits: list[Exit] = []
        self._check = check
        self._notice = notice
        self._restart = restart
        self._waits = tuple(waits)
        self._patience = patience
        self._process: subprocess.Popen[bytes] | None = None
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._lock = threading.Lock()

    @property
    def pid(self) -> int | None:
        """The id of the process, or None while none runs."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def start(self) -> None:
        """Begin to watch; returns at once. Nothing happens where it has been started."""
        if self._thread is not None and self._thread.is_alive():
            return
        self._stopping.clear()
        self._thread = threading.Thread(target=self._watch, name=f"watch-{self.name}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Tell the process to end, wait `patience` seconds, kill it and what it has left; watch no more."""
        with self._lock:
            self._stopping.set()
            process = self._process
        if process is not None:
            with suppress(ProcessLookupError):
                process.terminate()
            try:
                process.wait(self._patience)
            except subprocess.TimeoutExpired:
                _kill_group(process.pid)
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def tail(self, lines: int = 40) -> str:
        """The last lines of the log, empty where there is none."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, self.log.stat().st_size - 200 * lines))
                return "\n".join(file.read().decode("utf-8", "replace").splitlines()[-lines:])
        except OSError:
            return ""

    def _watch(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            hindrance = self._check() if self._check is not None else None
            if hindrance is not None and hindrance != self.hindrance:
                self._tell(f"{self.name} is not started: {hindrance}")
            self.hindrance = hindrance
            if hindrance is None:
                ended = self._run()
                if ended is None or not self._restart:
                    return
                if ended.seconds > _LONG_RUN:
                    failures = 0
            self._stopping.wait(self._waits[min(failures, len(self._waits) - 1)])
            failures += 1

    def _run(self) -> Exit | None:
        """Run the process once; None when it ended because it was told to, or could not be started at all."""
        began = time.monotonic()
        with self._lock:
            if self._stopping.is_set():
                return None
            process = self._process = self._spawn()
        code = process.wait()
        _kill_group(process.pid)
        ended = Exit(code, time.monotonic() - began)
        self.exits.append(ended)
        if self._stopping.is_set():
            return None
        how = f"exit code {code}" if code >= 0 else f"signal {-code}"
        self._tell(f"{self.name} ended ({how}) after {ended.seconds:.0f} s; its log is {self.log}")
        return ended

    def _spawn(self) -> subprocess.Popen[bytes]:
        if self.log.exists() and self.log.stat().st_size > _LOG_LIMIT:
            self.log.replace(self.log.with_name(self.log.name + ".1"))
        handle = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            return subprocess.Popen(
                self.command,
                env=self.environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=handle,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                umask=0o077,
            )
        finally:
            os.close(handle)

    def _tell(self, text: str) -> None:
        if self._notice is not None:
            self._notice(text)


def follow_parent(parent: int, every: float = 0.5) -> None:
    """End this process soon after the process `parent`, which has started it, is gone, killed for instance."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(every)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="follow-parent", daemon=True).start()


def _kill_group(leader: int) -> None:
    """Kill what is left of the session that the process `leader` began."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)
