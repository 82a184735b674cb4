"""Runs in MLflow: an experiment a plan, in the store that MLflow itself is set to (MLFLOW_TRACKING_URI).

The light client is enough; a full MLflow serves as well.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from sealscore.simulations.extras import optional
from sealscore.simulations.tracking.tracked import Tracked, TrackingFailed

# Of MLflow's own limits: metrics and settings that a request may have, and characters of a setting.
_METRICS, _PARAMS, _LONGEST = 1000, 100, 6000
Item = TypeVar("Item")


class MlflowStore:
    """The store that MLflow is set to. The folder of runs is not needed: MLflow has its own.

    Raises:
        NoExtra: MLflow is not installed.
        TrackingFailed: the store cannot be reached.
    """

    def __init__(self, folder: Path) -> None:
        del folder
        self._mlflow = optional("mlflow")
        self._uri = str(self._mlflow.get_tracking_uri())
        try:
            self._client: Any = self._mlflow.MlflowClient()
            self._client.search_experiments(max_results=1)
        except Exception as error:  # whatever a store of another's making raises
            raise TrackingFailed(self._told(error)) from error

    def keep(self, run: Tracked) -> None:
        """Write a run; one that cannot be written whole is marked as failed.

        Raises:
            TrackingFailed: see above.
        """
        entities, made = optional("mlflow.entities"), None
        now = int(1000 * time.time())
        try:
            made = self._client.create_run(self._experiment(run.plan), run_name=run.name).info.run_id
            metrics = [entities.Metric(name, value, now, step) for name, step, value in run.series]
            metrics += [entities.Metric(name, value, now, 0) for name, value in run.figures.items()]
            for part in _parts(metrics, _METRICS):
                self._client.log_batch(made, metrics=part)
            params = [entities.Param(name, str(value)[:_LONGEST]) for name, value in run.settings.items()]
            for part in _parts(params, _PARAMS):
                self._client.log_batch(made, params=part)
            self._client.set_terminated(made)
        except BaseException as error:
            if made is not None:
                self._give_up(made)
            if not isinstance(error, Exception):
                raise
            raise TrackingFailed(self._told(error)) from error

    def _experiment(self, name: str) -> str:
        known = self._client.get_experiment_by_name(name)
        return str(known.experiment_id if known is not None else self._client.create_experiment(name))

    def _give_up(self, run: str) -> None:
        try:
            self._client.set_terminated(run, status="FAILED")
        except Exception:  # the store that failed may well fail again
            return

    def _told(self, error: Exception) -> str:
        why = (str(error).splitlines() or [type(error).__name__])[0]
        return f"MLflow's store {self._uri} does not take runs: {why}; set MLFLOW_TRACKING_URI to one that does"


def _parts(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
