"""`sealscore-sim sweep`: carry out a sweep, and draw what its runs show."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import click
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from typer.core import TyperGroup

from sealscore.shared.text.terminal import Terminal, foreign, visible

if TYPE_CHECKING:
    from sealscore.simulations.sweep.store import Store
    from sealscore.simulations.tracking.tracked import Tracker

RUN = "run"


class _RunUnlessNamed(TyperGroup):
    """`sweep FILE` is `sweep run FILE`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the command in where none is named."""
        if args and args[0] not in self.commands and args[0] not in self.get_help_option_names(ctx):
            args = [RUN, *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_RunUnlessNamed,
    help="Run one scenario under many keys and seeds, and draw what comes out. `sweep FILE` runs a sweep.",
    no_args_is_help=True,
)
console = Terminal(stderr=True)


@app.command(RUN)
def run(
    sweep: Annotated[str, typer.Argument(help="A sweep's TOML file, or the name of one that comes with Sealscore.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder to write; by default runs/sweep-NAME.")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="So many processes of this machine, one thread each.")] = 1,
    ray: Annotated[str | None, typer.Option(help="Run on the Ray cluster at this address instead.")] = None,
    keep_runs: Annotated[bool, typer.Option(help="Keep every run's folder under runs/ of the output.")] = False,
    track: Annotated[
        str | None, typer.Option(help="Also hand each run to mlflow or tensorboard (files beside the sweep).")
    ] = None,
    dry_run: Annotated[bool, typer.Option(help="Check the file and list what is missing; run nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="End with one JSON object on one line.")] = False,
) -> None:
    """Carry out a sweep: one row a run into sweep.parquet, then report.html. Started again, it goes on where it was."""
    from concurrent.futures.process import BrokenProcessPool

    from sealscore.shared.text.numbers import plural
    from sealscore.simulations.experiments.job import RunFailed
    from sealscore.simulations.sweep.carrying import judged_best
    from sealscore.simulations.sweep.cluster import NoCluster, RunsLost
    from sealscore.simulations.sweep.config import Sweep, resolve
    from sealscore.simulations.sweep.pool import in_processes
    from sealscore.simulations.sweep.store import Store, SweepFolderError
    from sealscore.simulations.tracking.trackers import tracker_named

    tracker = None if track is None else tracker_named(track, output or Path("runs"))
    if ray is not None and (keep_runs or jobs != 1):
        raise typer.BadParameter("--jobs and --keep-runs are for this machine's processes", param_hint="--ray")
    console.print("checking the sweep and its data")
    found = Sweep.load(resolve(sweep))
    folder = output or Path("runs") / f"sweep-{found.name}"
    store = Store(folder, found)
    if found.declaration:
        console.print(f"[yellow]{foreign(found.declaration)}")
    missing = store.missing()
    console.print(
        f"{len(found.tasks)} runs of {foreign(found.name)}, {len(missing)} of them missing in {foreign(folder)}"
    )
    if dry_run:
        for task in missing:
            print(task.id, json.dumps({"label": task.label, **task.keys, "seed": task.scenario.plan.seed}))
        return
    try:
        with store.opened():
            failures = _carry_out(store, jobs, ray, folder / "runs" if keep_runs else None, tracker)
            frame = store.write_table()
            best = None if failures else judged_best(store, _tell, lambda tasks: in_processes(tasks, 1))
    except SweepFolderError as error:
        raise typer.BadParameter(str(error), param_hint="--output") from error
    except NoCluster as error:
        raise typer.BadParameter(str(error), param_hint="--ray") from error
    except (RunsLost, BrokenProcessPool) as error:
        raise RunFailed(f"{error}; finished runs are kept, and the same command goes on from there", []) from error
    if not frame.is_empty():
        _closing(folder)
    if as_json:
        told = {"sweep": found.name, "folder": str(folder), "runs": frame.height, "failed": len(failures)}
        print(json.dumps(told if best is None else told | {"best": best}))
    if failures:
        said = f"{plural(len(failures), 'run')} failed and left no row; the same command tries again"
        raise RunFailed(said, [f"{name}: {why}" for name, why in failures.items()])


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(help="A folder that a sweep wrote.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="By default report.html in the folder.")] = None,
    figures: Annotated[Path | None, typer.Option(help="Also write each figure as SVG into this folder.")] = None,
) -> None:
    """Write the report of a sweep, one HTML file that needs nothing else, and print where it is."""
    from sealscore.simulations.sweep.report import write_figures, write_report
    from sealscore.simulations.sweep.store import SweepFolderError

    try:
        print(visible(str(write_report(folder, output))))
        for path in write_figures(folder, figures) if figures is not None else ():
            print(visible(str(path)))
    except SweepFolderError as error:
        raise typer.BadParameter(str(error), param_hint="FOLDER") from error
    except OSError as error:
        raise typer.BadParameter(f"the report cannot be written: {error}") from error


def _tell(told: str) -> None:
    console.print(foreign(told))


def _carry_out(store: Store, jobs: int, ray: str | None, keep: Path | None, tracker: Tracker | None) -> dict[str, str]:
    """Run what is missing; each row is kept as soon as it is there. What failed, by run."""
    from sealscore.simulations.engine.flower_processes import terminable
    from sealscore.simulations.sweep.carrying import collected, stopped
    from sealscore.simulations.sweep.cluster import on_cluster
    from sealscore.simulations.sweep.pool import in_processes

    missing = store.missing()
    if keep is not None:
        keep.mkdir(exist_ok=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with terminable(), Progress(*columns, TimeRemainingColumn(), console=console) as progress:
        bar = progress.add_task("runs", total=len(missing))

        def heard(name: str, failure: str | None) -> None:
            if failure is None:
                progress.update(bar, description=foreign(name))
            else:
                told = f"[red]failed:[/red] {foreign(name)}: {foreign(failure)}"
                progress.console.print(told, highlight=False)
            progress.advance(bar)

        try:
            track = tracker is not None
            runs = on_cluster(missing, ray, track) if ray is not None else in_processes(missing, jobs, keep, track)
            return collected(store, runs, heard, tracker)
        except (KeyboardInterrupt, SystemExit):
            progress.console.print(stopped(store))
            raise


def _closing(folder: Path) -> None:
    from sealscore.simulations.sweep.report import write_report
    from sealscore.simulations.sweep.results import Results

    results = Results.read(folder)
    table = Table(title=f"{foreign(results.title)}: mean over seeds, lowest to highest")
    for name in ("setting", "runs", "AUC", "KS", "MB a party", "seconds"):
        table.add_column(name, justify="left" if name == "setting" else "right")
    for setting in results.settings:
        auc, ks = setting.spread("auc"), setting.spread("ks")
        size, seconds = setting.spread("bytes_per_party"), setting.spread("seconds")
        if auc and ks and seconds:
            told = f"{auc.mean:.4f} ({auc.low:.4f} to {auc.high:.4f})"
            cost = (f"{size.mean / 1e6:.2f}" if size else "", f"{seconds.mean:.1f}")
            table.add_row(foreign(setting.name or "all"), str(setting.rows.height), told, f"{ks.mean:.4f}", *cost)
    console.print(table)
    page = write_report(folder)
    console.print(f"written to {foreign(os.path.relpath(folder))}; read {foreign(os.path.relpath(page))}")
