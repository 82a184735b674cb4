"""The report of a run, or of a sweep, that is named as on the command line."""

from __future__ import annotations

from pathlib import Path

from sealscore.compliance.run_figures.record import NotARun
from sealscore.compliance.run_report.run_report import write_report
from sealscore.simulations.experiments.runs import RUNS, NoSuchRun, find_run
from sealscore.simulations.sweep import report as sweep_report
from sealscore.simulations.sweep.store import TABLE, SweepFolderError


def report_of(name: str, runs: Path = RUNS, output: Path | None = None) -> Path:
    """Write the report of the run or the sweep in that folder, or of that name under `runs`; returns where it is.

    A folder is enough by itself: one that a server left in deployment, without a simulation's oracle, has a report
    as well. A folder with `sweep.parquet` is a sweep's.

    Raises:
        NoSuchRun: there is no such run, or the folder holds none that is whole.
        OSError: the report cannot be written.
    """
    for sweep in (Path(name), runs / name):
        if (sweep / TABLE).is_file():
            try:
                return sweep_report.write_report(sweep, output)
            except SweepFolderError as error:
                raise NoSuchRun(str(error)) from error
    folder = Path(name) if Path(name, "run.json").is_file() else find_run(name, runs).folder
    try:
        return write_report(folder, output)
    except NotARun as error:
        raise NoSuchRun(str(error)) from error
