"""Progress of a run whose coordinator works in another process: follow the file that it writes line by line."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

from sealscore.server.run.coordinator import Observer
from sealscore.shared.phases.order import Phase


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
