"""The folder of a sweep: one file for each finished run, and all of them as one table.

A row is written whole or not at all, and under a name that follows from what was run: a sweep that was stopped goes
on where it was, and one whose file was changed runs only what is new.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from sealscore.shared.files import replacing, write_whole
from sealscore.simulations.sweep.config import Sweep, Task
from sealscore.simulations.sweep.row import Row

TABLE, RECORD, ROWS, BEST = "sweep.parquet", "sweep.json", "rows", "best.json"


class SweepFolderError(ValueError):
    """A folder that holds no sweep, cannot be written, or is being written by another process."""


class Store:
    """The rows of a sweep under a folder."""

    def __init__(self, folder: Path, sweep: Sweep) -> None:
        self.folder, self.sweep = folder, sweep

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Make the folder and hold it: a second sweep into it is refused until this one ends, however it ends.

        Raises:
            SweepFolderError: it is held already, or cannot be written.
        """
        try:
            (self.folder / ROWS).mkdir(parents=True, exist_ok=True)
            handle = (self.folder / ".lock").open("w")
        except OSError as error:
            raise SweepFolderError(f"{self.folder} cannot be written: {error}") from None
        with handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise SweepFolderError(f"{self.folder}: another sweep is writing into it") from None
            for left in self.folder.rglob(".*.partial"):
                left.unlink()
            self._write_record()
            yield

    def missing(self) -> list[Task]:
        """The runs that have no row yet, in the order of the sweep."""
        return [task for task in self.sweep.tasks if not self._path(task.id).is_file()]

    def add(self, row: Row) -> None:
        """Keep the row of a finished run."""
        write_whole(self._path(row["id"]), json.dumps(row, indent=1))

    def write_table(self) -> pl.DataFrame:
        """Write the table of all rows of the sweep that are there, in its order; rows of other runs are left out."""
        rows = [json.loads(self._path(task.id).read_bytes()) for task in self.sweep.tasks if self._known(task)]
        frame = tidy(rows)
        with replacing(self.folder / TABLE) as file:
            frame.write_parquet(file)
        return frame

    def best(self) -> Row | None:
        """The row on test of the setting that was chosen, where there is one."""
        return read_best(self.folder)

    def keep_best(self, row: Row) -> None:
        """Keep the row on test of the chosen setting."""
        write_whole(self.folder / BEST, json.dumps(row, indent=1))

    def _known(self, task: Task) -> bool:
        return self._path(task.id).is_file()

    def _path(self, name: str) -> Path:
        return self.folder / ROWS / f"{name}.json"

    def _write_record(self) -> None:
        record = {
            "name": self.sweep.name,
            "title": self.sweep.title,
            "keys": list(self.sweep.keys),
            "runs": len(self.sweep.tasks),
            "declaration": self.sweep.declaration,
            "judge": self.sweep.judge,
            "file": self.sweep.text,
        }
        write_whole(self.folder / RECORD, json.dumps(record, indent=1))


def tidy(rows: Sequence[Row]) -> pl.DataFrame:
    """Rows as a table, null where a row lacks a column; a column of values of several kinds is text."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = []
    for name in names:
        values = [row.get(name) for row in rows]
        kinds = {type(value) for value in values if value is not None}
        if len(kinds) > 1 and not kinds <= {int, float}:
            values = [None if value is None else str(value) for value in values]
        elif kinds == {int, float}:
            values = [None if value is None else float(value) for value in values]
        columns.append(pl.Series(name, values))
    return pl.DataFrame(columns)


def read_sweep(folder: Path) -> tuple[dict[str, object], pl.DataFrame]:
    """The record of a sweep's folder and its table.

    Raises:
        SweepFolderError: there is no sweep, or none of its runs is finished.
    """
    try:
        record = json.loads((folder / RECORD).read_bytes())
        frame = pl.read_parquet(folder / TABLE)
    except (OSError, ValueError, pl.exceptions.PolarsError) as error:
        raise SweepFolderError(f"{folder} holds no sweep: {error}; `sealscore-sim sweep` makes one") from None
    if frame.is_empty():
        raise SweepFolderError(f"{folder}: no run of this sweep is finished yet")
    return record, frame


def read_best(folder: Path) -> Row | None:
    """The row on test of the setting that a sweep on validation chose; None where it has not come so far."""
    try:
        found: Row = json.loads((folder / BEST).read_bytes())
    except (OSError, ValueError):
        return None
    return found
