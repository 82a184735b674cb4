"""Progress of a run in a file: written line by line, and followed by whoever waits in another process."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sealscore.server.run.rounds import Observer, StepObserver
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

    def step(self, phase: Phase, done: int, total: int) -> None:
        """Of a paired phase so many of all payloads were carried."""
        self._file.write(json.dumps({"phase": phase.name, "step": done, "steps": total}) + "\n")

    def round(self, row: dict[str, Any]) -> None:
        """A round is done."""
        self._file.write(json.dumps(row) + "\n")


class ProgressFollower:
    """Passes to an observer what was written to a progress file since the last call; call it every now and then.

    A line names a phase that begins (`phase`, `rounds`), gives the row of a round (`phase`, `round`, ...), or counts
    the payloads of a paired phase (`phase`, `step`, `steps`), of which an observer hears that has `step`. A line that
    is not whole yet waits for the next call. `earlier` is the inode of a file that an earlier try left there
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
            elif "step" in row:
                if isinstance(self._observer, StepObserver):
                    self._observer.step(self._phases[row["phase"]], row["step"], row["steps"])
            else:
                self._observer.phase(self._phases[row["phase"]])


def inode_of(path: Path) -> int | None:
    """The inode of the file that is there now; None where there is none."""
    return path.stat().st_ino if path.exists() else None


def last_of(path: Path) -> tuple[str, str]:
    """The last phase that a progress file names, and where it was in it, in words; empty where there is none."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return "", ""
    for line in reversed(lines):
        try:
            row = json.loads(line)
            if "step" in row:
                return str(row["phase"]), f"payload {row['step']} of {row['steps']}"
            return str(row["phase"]), f"{row.get('round', 0)} of {row['rounds']}"
        except (ValueError, KeyError, TypeError):  # a line that is not whole yet
            continue
    return "", ""
