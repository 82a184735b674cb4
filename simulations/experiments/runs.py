"""Run folders: made aside and moved into place when whole, so that no half-written one looks like a run."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RUNS = Path("runs")
_PARTIAL = ".partial-"


class NoSuchRun(ValueError):
    """No run of that name, or more than one."""


class BadSetting(ValueError):
    """A choice that there is not; `setting` is its name, `words` say what is allowed."""

    def __init__(self, setting: str, words: str) -> None:
        super().__init__(f"{setting}: {words}")
        self.setting, self.words = setting, words


@dataclass(frozen=True)
class Run:
    """A whole run: its folder, `run.json` (what the server may know) and `oracle.json` (what a simulation knows)."""

    folder: Path
    record: dict[str, Any]
    oracle: dict[str, Any]

    @classmethod
    def load(cls, folder: Path) -> Run:
        """Read a run's two records; OSError or ValueError where they are not whole."""
        return cls(
            folder, json.loads((folder / "run.json").read_text()), json.loads((folder / "oracle.json").read_text())
        )


class NewRun:
    """A folder that gets its name when the run is whole, and is removed when it does not become so."""

    def __init__(self, name: str, runs: Path = RUNS) -> None:
        stamp = time.strftime("%Y%m%d-%H%M%S")
        self._runs, self._name = runs, f"{name}-{stamp}"
        self.folder = runs / f"{_PARTIAL}{self._name}-{time.monotonic_ns()}"

    def __enter__(self) -> NewRun:
        self.folder.mkdir(parents=True)
        return self

    def finish(self) -> Run:
        """Give the folder its name and read it as a run."""
        self.folder = self.folder.rename(_free(self._runs, self._name))
        return Run.load(self.folder)

    def __exit__(self, *_: object) -> None:
        if self.folder.name.startswith(_PARTIAL):
            shutil.rmtree(self.folder, ignore_errors=True)


def _free(runs: Path, name: str) -> Path:
    candidates = [runs / name, *(runs / f"{name}-{number}" for number in range(2, 1000))]
    return next(path for path in candidates if not path.exists())


def all_runs(runs: Path = RUNS) -> list[Run]:
    """Whole runs, oldest first; folders that are none are passed over."""
    found = []
    for folder in runs.iterdir() if runs.is_dir() else ():
        if folder.is_dir() and not folder.name.startswith(_PARTIAL):
            try:
                found.append(Run.load(folder))
            except (OSError, ValueError):
                continue
    return sorted(found, key=_age)


def _age(run: Run) -> tuple[str, int]:
    """When a run began, to the second; of those of one second, which was written first."""
    return str(run.record["started"]), (run.folder / "run.json").stat().st_mtime_ns


def find_run(name: str, runs: Path = RUNS) -> Run:
    """The run in that folder, or the only one whose name starts so; "last" is the newest. NoSuchRun otherwise."""
    if Path(name, "run.json").is_file():
        try:
            return Run.load(Path(name))
        except (OSError, ValueError) as error:
            raise NoSuchRun(f"{name} is no whole run: {error}; `sealscore-sim list` shows those that are") from None
    known = all_runs(runs)
    if name == "last" and known:
        return known[-1]
    fitting = [run for run in known if run.folder.name == name] or [r for r in known if r.folder.name.startswith(name)]
    if len(fitting) != 1:
        what = "no run" if not fitting else f"{len(fitting)} runs"
        raise NoSuchRun(f"{what} under {runs} match {name!r}; `sealscore-sim list` shows them all")
    return fitting[0]
