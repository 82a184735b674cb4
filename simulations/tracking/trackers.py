"""Trackers by name: what `--track` and `track=` choose from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sealscore.simulations.experiments.runs import BadSetting
from sealscore.simulations.tracking.event_files import EventFiles
from sealscore.simulations.tracking.mlflow_store import MlflowStore
from sealscore.simulations.tracking.tracked import Tracked, Tracker

TRACKERS: dict[str, Callable[[Path], Tracker]] = {"mlflow": MlflowStore, "tensorboard": EventFiles}


class Untracked:
    """A tracker that keeps nothing."""

    def keep(self, run: Tracked) -> None:
        """Nothing is kept."""


def tracker_named(name: str | None, folder: Path) -> Tracker:
    """The tracker of that name, asked whether it can be written to; None keeps nothing. Before any work.

    `folder` is where event files go; MLflow knows where its store is.

    Raises:
        BadSetting: there is none of that name.
        NoExtra: its package is not installed.
        TrackingFailed: its store does not answer.
    """
    if name is None:
        return Untracked()
    if name not in TRACKERS:
        raise BadSetting("track", f"{name!r}: runs are tracked by {' or '.join(TRACKERS)}")
    return TRACKERS[name](folder)
