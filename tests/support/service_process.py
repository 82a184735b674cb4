"""A service of `sealscore-node` in a process of its own, from its start to its end."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
from paths import ROOT

PATIENCE = 120.0
_PLACE = re.compile(r" listen(?:ing|s) at (\S+)")
_CLI = ("-m", "sealscore.clients.cli")


class ServiceProcess:
    """`sealscore-node COMMAND` on a folder; what it says goes to a file beside that folder."""

    def __init__(self, command: str, home: Path, *options: object, program: tuple[str, ...] = _CLI) -> None:
        self.log = home.parent / f"{home.name}.log"
        self._file = self.log.open("ab")
        self.started = self.log.stat().st_size
        words = [sys.executable, *program, command, "--home", str(home), *map(str, options)]
        self.process = subprocess.Popen(words, stderr=self._file, cwd=ROOT)
        self.place = ""

    def wait(self) -> None:
        """Wait until it listens."""
        end = time.monotonic() + PATIENCE
        while (found := _PLACE.search(said := self.said())) is None:
            if self.process.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"the service did not start: {said}")
            time.sleep(0.01)
        self.place = found[1]

    def said(self) -> str:
        """What it wrote into its log since it was started."""
        return self.log.read_bytes()[self.started :].decode()

    @property
    def port(self) -> int:
        """The port that it listens at."""
        return int(self.place.rpartition(":")[2])

    def client(self, **more: Any) -> httpx.Client:
        """A client of it."""
        path = self.place.removeprefix("unix:") if self.place.startswith("unix:") else None
        if path is not None:
            more["transport"] = httpx.HTTPTransport(uds=path)
        base = self.place if path is None else "http://service"
        return httpx.Client(base_url=base, timeout=PATIENCE, trust_env=False, **more)

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait()
        self._file.close()

    def end(self, number: int = signal.SIGTERM) -> int:
        """Ask it to end; gives its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(PATIENCE)
        finally:
            if self.process.poll() is None:
                self.kill()
            self._file.close()
