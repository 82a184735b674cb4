"""Child processes that are watched: what they print goes to a file, they are started again when they end, and they
are stopped by their id together with what they have started.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import sealscore

IMPORT_ROOT = Path(sealscore.__file__).resolve().parents[1]
"""What PYTHONPATH needs so that a child process imports this same package."""

# Flower and Ray report usage and look for updates unless told otherwise before they are imported.
QUIET = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "PYTHONWARNINGS": "ignore:Protobuf gencode version:UserWarning",
}
_LONG_RUN = 60.0  # a process that has run so long failed for something new: the waits start over
_LOG_LIMIT = 20_000_000  # bytes
_LOG_EVERY = 60.0  # seconds between two looks at the length of a log


@dataclass(frozen=True)
class Exit:
    """How a watched process ended: exit code (negative: the signal), after how many seconds, when (since 1970)."""

    code: int
    seconds: float
    at: float

    @property
    def how(self) -> str:
        """The end in words."""
        return f"exit code {self.code}" if self.code >= 0 else f"signal {-self.code}"


class Watched:
    """One child process, in a session of its own, that is started again whenever it ends.

    `check` is asked before each start; a text means that the process cannot run now and says why. It is then asked
    again after a wait, so a fault that somebody fixes needs no restart by hand. A check that fails itself, and a
    process that cannot be started, are such faults too. `hindrance` is the text that holds, `started` when the process
    was started last (seconds since 1970), `exits` are its ends. `notice` is told each text once, and each end. The
    waits in seconds between starts grow along `waits`. The log file is the owner's alone, and what it has goes to
    `<name>.1` when it is long, also while the process runs (a line that is written at that moment may be lost). Files
    that the process makes are the owner's alone too (umask 077).
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
        self.started: float | None = None
        self._check = check
        self._notice = notice
        self._restart = restart
        self._waits = tuple(waits)
        self._patience = patience
        self._process: subprocess.Popen[bytes] | None = None
        self._thread: threading.Thread | None = None
        self._cutter: threading.Thread | None = None
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
        if self._cutter is None:
            self._cutter = threading.Thread(target=self._cut, name=f"log-{self.name}", daemon=True)
            self._cutter.start()

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
        if self._cutter is not None:
            self._cutter.join()
            self._cutter = None

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
            hindrance, ended = self._asked(), None
            if hindrance is None:
                try:
                    ended = self._run()
                except Exception as error:  # no room, no rights, no memory: the watch goes on whatever it is
                    hindrance = f"it cannot be run ({_words(error)})"
            if hindrance is not None:
                self._hold_back(hindrance)
            elif ended is None or not self._restart:
                return
            elif ended.seconds > _LONG_RUN:
                failures = 0
            self._stopping.wait(self._waits[min(failures, len(self._waits) - 1)])
            failures += 1

    def _asked(self) -> str | None:
        """What the check says; that it failed is a hindrance as well."""
        try:
            return None if self._check is None else self._check()
        except Exception as error:
            return f"what is in its way cannot be looked at ({_words(error)})"

    def _hold_back(self, hindrance: str) -> None:
        known, self.hindrance = self.hindrance, hindrance
        if hindrance != known:
            self._tell(f"{self.name} is not started: {hindrance}")

    def _run(self) -> Exit | None:
        """Run the process once; None when it ended because it was told to, or was not started for that."""
        began = time.monotonic()
        with self._lock:
            if self._stopping.is_set():
                return None
            self.started = time.time()
            process = self._process = self._spawn()
            self.hindrance = None
        code = process.wait()
        _kill_group(process.pid)
        ended = Exit(code, time.monotonic() - began, time.time())
        self.exits.append(ended)
        if self._stopping.is_set():
            return None
        self._tell(f"{self.name} ended ({ended.how}) after {ended.seconds:.0f} s; its log is {self.log}")
        return ended

    def _spawn(self) -> subprocess.Popen[bytes]:
        if self._is_long():
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

    def _is_long(self) -> bool:
        try:
            return self.log.stat().st_size > _LOG_LIMIT
        except FileNotFoundError:
            return False

    def _cut(self) -> None:
        """Keep the log short until told to stop: the process holds the file open, so it is copied and emptied."""
        while not self._stopping.wait(_LOG_EVERY):
            with suppress(OSError):  # no room for the copy: the log stays as it is, and is looked at again
                if self._is_long():
                    _empty_into(self.log, self.log.with_name(self.log.name + ".1"))

    def _tell(self, text: str) -> None:
        if self._notice is not None:
            with suppress(Exception):  # who is told must not end the watch
                self._notice(text)


def follow_parent(parent: int, every: float = 0.5) -> None:
    """End this process soon after the process `parent`, which has started it, is gone, killed for instance."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(every)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="follow-parent", daemon=True).start()


def _empty_into(log: Path, kept: Path) -> None:
    """Copy a log that is written to (by O_APPEND, so it goes on at the new end) in place of `kept`, and empty it."""
    kept.unlink(missing_ok=True)
    handle = os.open(kept, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as copy, log.open("rb") as written:
        shutil.copyfileobj(written, copy)
    os.truncate(log, 0)


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _kill_group(leader: int) -> None:
    """Kill what is left of the session that the process `leader` began."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)
