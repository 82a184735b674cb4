"""Runs in TensorBoard: event files in a folder `tensorboard` beside the runs, one folder a run.

tensorboardX writes them: TensorBoard's own writer comes with a web server, and torch's needs it.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

from sealscore.simulations.extras import optional
from sealscore.simulations.tracking.tracked import Tracked, TrackingFailed

EVENTS = "tensorboard"
_PARTIAL = ".partial-"


class EventFiles:
    """Event files under `folder`/tensorboard: what `tensorboard --logdir` shows.

    Raises:
        NoExtra: tensorboardX is not installed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / EVENTS
        self._writers = optional("tensorboardX")
        self._summaries = optional("tensorboardX.summary")

    def keep(self, run: Tracked) -> None:
        """Write a run's folder, which gets its name when it is whole; one of the same name is replaced.

        Raises:
            TrackingFailed: the folder cannot be written; nothing is left.
        """
        name = re.sub(r"[^\w.=+-]+", "_", run.name)
        draft, place = self.folder / f"{_PARTIAL}{name}", self.folder / name
        try:
            shutil.rmtree(draft, ignore_errors=True)
            draft.mkdir(parents=True)
            self._write(draft, run)
            shutil.rmtree(place, ignore_errors=True)
            draft.rename(place)
        except OSError as error:
            shutil.rmtree(draft, ignore_errors=True)
            raise TrackingFailed(f"{place} cannot be written: {error.strerror}") from error
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise

    def _write(self, folder: Path, run: Tracked) -> None:
        writer: Any = self._writers.SummaryWriter(logdir=str(folder), write_to_disk=True)
        with writer:
            for name, step, value in run.series:
                writer.add_scalar(name, value, step)
            for name, value in run.figures.items():
                writer.add_scalar(f"final/{name}", value)
            # What TensorBoard's page of settings reads. `add_hparams` would write it into a folder of its own.
            settings = {name: _plain(value) for name, value in run.settings.items()}
            figures = {f"final/{name}": value for name, value in run.figures.items()}
            for part in self._summaries.hparams(settings, figures):
                writer.file_writer.add_summary(part)


def _plain(value: Any) -> bool | int | float | str:
    """A setting as TensorBoard has them."""
    return value if isinstance(value, bool | int | float | str) else str(value)
