"""The table of a sweep as a report reads it: which keys vary, and figures over the seeds of each setting."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from sealscore.shared.model.released.table_figures import Figure
from sealscore.simulations.experiments.judges import TEST
from sealscore.simulations.sweep.config import LABEL
from sealscore.simulations.sweep.keys import counted_group
from sealscore.simulations.sweep.row import Row
from sealscore.simulations.sweep.store import read_best, read_sweep

_NAMES = {
    LABEL: "",
    "privacy.epsilon": "epsilon",
    "simulation.alpha": "alpha",
    "simulation.partition": "",
    "training.algorithm": "",
    "training.optimizer.kind": "",
    "training.sample_rate": "sample rate",
    "training.optimizer.learning_rate": "learning rate",
}


@dataclass(frozen=True)
class Spread:
    """A figure over the seeds of a setting: mean, lowest and highest, and how many seeds have it."""

    mean: float
    low: float
    high: float
    seeds: int


@dataclass(frozen=True)
class SweepSetting:
    """The runs of one setting: its values at the axes, its name, and its rows."""

    values: tuple[Any, ...]
    name: str
    rows: pl.DataFrame

    def spread(self, column: str) -> Spread | None:
        """A column over the seeds; None where no seed has a value."""
        return spread_of(self.rows[column]) if column in self.rows.columns else None

    def released(self, column: str) -> Spread | None:
        """A released figure over the seeds: its mean with the 95 % interval of the mean of the exact ones.

        None where no seed has the figure or the sweep kept no intervals.
        """
        names = [column, f"{column}.low", f"{column}.high"]
        if not set(names) <= set(self.rows.columns):
            return None
        told = self.rows.select(names).drop_nulls()
        if told.is_empty():
            return None
        found = Figure.mean([Figure(*row) for row in told.cast(pl.Float64).iter_rows()])
        return Spread(found.value, found.low, found.high, told.height)


@dataclass(frozen=True)
class Results:
    """A sweep's rows; `axes` are the keys by which settings differ, without those that follow from another.

    `judge` says on whom figures were made; `best` is the row on test of the setting that was chosen on validation.
    """

    name: str
    title: str
    keys: tuple[str, ...]
    declaration: str | None
    source: str
    planned: int
    frame: pl.DataFrame
    judge: str = TEST
    best: Row | None = None

    @classmethod
    def read(cls, folder: Path) -> Results:
        """Read a sweep's folder; SweepFolderError where there is none with a finished run."""
        record, frame = read_sweep(folder)
        return cls(
            name=str(record["name"]),
            title=str(record["title"]),
            keys=tuple(str(key) for key in _listed(record["keys"])),
            declaration=None if record["declaration"] is None else str(record["declaration"]),
            source=str(record["file"]),
            planned=int(str(record["runs"])),
            frame=frame,
            judge=str(record.get("judge", TEST)),
            best=read_best(folder),
        )

    @property
    def axes(self) -> tuple[str, ...]:
        """The label first, where points have any: keys that are the same wherever the label is need no other name."""
        varying = [key for key in (LABEL, *self.keys) if key in self.frame.columns and self._values(key) > 1]
        found: list[str] = []
        for key in varying:
            if not (LABEL in found and self._follows(key, LABEL)):
                found.append(key)
        return tuple(found)

    def has(self, key: str) -> bool:
        """Whether numbers vary at a key."""
        return key in self.frame.columns and self.frame[key].dtype.is_numeric() and self.frame[key].n_unique() > 1

    @property
    def settings(self) -> list[SweepSetting]:
        """All settings, in the order of the sweep."""
        return list(self._grouped(self.frame, self.axes))

    def series(self, across: str) -> list[SweepSetting]:
        """The runs without regard to one key (and what follows from it): what a line of a figure is drawn through."""
        frame = self.frame.filter(pl.col(across).is_not_null())
        others = [key for key in self.axes if key != across and not self._follows(key, across)]
        if across not in self.axes:
            others = [key for key in others if key != LABEL or not self._follows(across, LABEL)]
        return list(self._grouped(frame, others))

    @property
    def seeds(self) -> int:
        """The most seeds of a setting."""
        return max(setting.rows.height for setting in self.settings)

    def columns(self, prefix: str, suffix: str = "") -> list[str]:
        """The columns with a prefix and a suffix."""
        return [name for name in self.frame.columns if name.startswith(prefix) and name.endswith(suffix)]

    def _values(self, key: str) -> int:
        return self.frame[key].n_unique()

    def _follows(self, key: str, other: str) -> bool:
        """Whether a key has one value wherever another has one."""
        return self.frame.select(key, other).unique().height == self._values(other)

    def _grouped(self, frame: pl.DataFrame, axes: Sequence[str]) -> Iterator[SweepSetting]:
        if not axes:
            yield SweepSetting((), "", frame)
            return
        for values, rows in frame.group_by(axes, maintain_order=True):
            named = ", ".join(shown(axis, value) for axis, value in zip(axes, values, strict=True))
            yield SweepSetting(values, named, rows)


def spread_of(column: pl.Series) -> Spread | None:
    """Mean, lowest and highest of the values that there are."""
    values = [float(value) for value in column.drop_nulls()]
    return Spread(sum(values) / len(values), min(values), max(values), len(values)) if values else None


def along(setting: SweepSetting, across: str, column: str) -> list[tuple[float, Spread]]:
    """A column over the seeds at each value of a key, the lowest value first."""
    found = []
    for (value,), rows in setting.rows.sort(across).group_by([across], maintain_order=True):
        if (spread := spread_of(rows[column])) is not None:
            found.append((float(str(value)), spread))
    return found


def shown(key: str, value: Any) -> str:
    """A key's value with the key's name, as short as it can be told."""
    if group := counted_group(key):
        return f"{value} {group}s" if value != 1 else f"1 {group}"
    name = _NAMES.get(key, key.rpartition(".")[2].replace("_", " "))
    said = "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
    return f"{name} {said}".strip()


def _listed(value: object) -> list[object]:
    return list(value) if isinstance(value, list) else []
