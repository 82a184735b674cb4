"""Progress of a run in a file: written line by line, and followed by whoever waits in another process."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sealscore.server.run.rounds import Observer
from sealscore.shared.phases.order import Phase


class FileObserver:
    """Writes one JSON line for each phase and round into a file that others can follow.

    It is always another file than the one that was there: who follows knows by its inode which of the two it reads.
    """

    def __init__(self, path: Path) -> None:
        fresh = path.with_name(f"{path.name}.new")
        self._file = fresh.open("w", encoding="utf-8", buffering=1)
        fresh.replace(path)

    def phase(self, phase: Phase) -> None:
        """A phase begins."""
        self._file.write(json.dumps({"phase": phase.name, "rounds": phase.rounds}) + "\n")

    def round(self, row: dict[str, Any]) -> None:
        """A round is done."""
        self._file.write(json.dumps(row) + "\n")


class ProgressFollower:
    """Passes to an observer what was written to a progress file since the last call; call it every now and then.

    A line names a phase that begins (`phase`, `rounds`) or gives the row of a round (`phase`, `round`, ...). A line
    that is not whole yet waits for the next call. `earlier` is the inode of a file that an earlier try left there
    (`inode_of`): that one is ignored.
    """

    def __init__(self, path: Path, observer: Observer, phases: Iterable[Phase], earlier: int | None = None) -> None:
        self._path = path
        self._observer = observer
        self._phases = {phase.name: phase for phase in phases}
        self._earlier = earlier
        self._read = 0

    def __call__(self) -> None:
        """Pass on what is new; nothing while there is no file."""
        if not self._path.exists():
            return
        with self._path.open("rb") as stream:
            if os.fstat(stream.fileno()).st_ino == self._earlier:
                return
            stream.seek(self._read)
            new = stream.read()
        whole = new[: new.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.splitlines():
            row = json.loads(line)
            if "round" in row:
                self._observer.round(row)
            else:
                self._observer.phase(self._phases[row["phase"]])


def inode_of(path: Path) -> int | None:
    """The inode of the file that is there now; None where there is none."""
    return path.stat().st_ino if path.exists() else None
