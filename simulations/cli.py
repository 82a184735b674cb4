"""`sealscore-sim`: run federations in simulation, list runs and compare them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sealscore.shared.text.foreign import json_line
from sealscore.shared.text.terminal import BAD_INPUT, FAILED, Terminal, foreign, run_app, visible
from sealscore.simulations.audit.command import audit
from sealscore.simulations.draft.command import draft
from sealscore.simulations.life.command import life
from sealscore.simulations.neighbours.command import neighbours
from sealscore.simulations.scoring.command import score
from sealscore.simulations.sweep.command import app as sweep
from sealscore.simulations.world.command import app as world

if TYPE_CHECKING:
    import polars as pl

    from sealscore.simulations.data.scenario import Scenario
    from sealscore.simulations.engine.federation import Engine

# Flower and Ray report their use to their makers unless told not to; they read this when they are imported.
os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")
os.environ.setdefault("FLWR_DISABLE_UPDATE_CHECK", "1")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

app = typer.Typer(
    help="Simulate federations of lenders and platforms that train one loan-default model together.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
console = Terminal(stderr=True)
app.add_typer(world, name="world")
app.add_typer(sweep, name="sweep")

Runs = Annotated[Path, typer.Option("--runs", help="Folder of run folders.")]

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON value on one line instead.")]
AsCsv = Annotated[bool, typer.Option("--csv", help="Print CSV instead.")]


@app.command()
def run(
    plan: Annotated[
        str | None,
        typer.Argument(help="A plan file or the name of one that comes with Sealscore; by default the main job."),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Run this many seeds, counted up from the plan's own.")] = 1,
    engine: Annotated[
        str,
        typer.Option(
            help="in-process; fast, the same model with nothing sealed; or flower (its simulation engine on Ray)."
        ),
    ] = "in-process",
    judge: Annotated[str, typer.Option(help="test, or validation: part of the training persons.")] = "test",
    baselines: Annotated[bool, typer.Option(help="Also run what the plan is compared with.")] = True,
    track: Annotated[
        str | None, typer.Option(help="Also hand each run to mlflow or tensorboard (files under the folder of runs).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="End with one JSON object on one line.")] = False,
    runs: Runs = Path("runs"),
) -> None:
    """Run a plan: train, evaluate and calibrate the model, and judge it against baselines."""
    from sealscore.compliance.run_report.run_report import REPORT
    from sealscore.shared.phases.cautions import cautions
    from sealscore.simulations.data.scenario import Scenario, main_job, resolve
    from sealscore.simulations.experiments.console import ProgressObserver, closing_table, summary
    from sealscore.simulations.experiments.runs import BadSetting
    from sealscore.simulations.experiments.seeds import engine_named, judge_named, run_seeds
    from sealscore.simulations.tracking.tracked import keep_run
    from sealscore.simulations.tracking.trackers import tracker_named

    try:
        chosen, judged, tracker = engine_named(engine), judge_named(judge), tracker_named(track, runs)
    except BadSetting as error:
        raise typer.BadParameter(error.words, param_hint=f"--{error.setting}") from None
    scenario = Scenario.load(resolve(plan or main_job()))
    for caution in cautions(scenario.plan):
        console.print(f"[yellow]warning ({caution.code}): {foreign(caution.words)}")
    if note := scenario.declaration:
        console.print(f"[yellow]{foreign(note)}")
    if scenario.plan.monitoring is not None:
        if track is not None:
            raise typer.BadParameter("a plan of counts has no score to track", param_hint="--track")
        _watch(scenario, seeds, chosen, runs, as_json)
        return

    def watching(seed: int) -> ProgressObserver:
        console.print(f"[bold]{scenario.plan.name}[/bold], seed {seed}")
        return ProgressObserver(console)

    finished = []
    made = run_seeds(
        scenario,
        seeds,
        engine=chosen,
        judge=judged,
        baselines=baselines,
        runs=runs,
        watching=watching,
        report=True,
    )
    for done in made:
        console.print(f"written to {foreign(done.folder)}; read {foreign(done.folder / REPORT)}")
        finished.append(done)
        keep_run(tracker, done)
    result = summary(finished)
    closing_table(console, result)
    if as_json:
        print(json.dumps(result))


def _watch(scenario: Scenario, seeds: int, engine: Engine, runs: Path, as_json: bool) -> None:
    """Run a plan of counts, which has nothing to judge or to compare with, and show what its tables say."""
    from sealscore.compliance.run_report.run_report import write_report
    from sealscore.shared.monitoring.power import too_weak
    from sealscore.shared.monitoring.text import watch_text
    from sealscore.simulations.experiments.console import ProgressObserver
    from sealscore.simulations.experiments.seeds import seeds_of
    from sealscore.simulations.monitoring.job import run_monitoring

    for what in too_weak(scenario.plan):
        console.print(f"[yellow]warning (little-power): {foreign(what)}; a real node refuses it")
    for seed in seeds_of(scenario, seeds):
        with ProgressObserver(console) as observer:
            done = run_monitoring(scenario.with_seed(seed), engine, observer, observer.tell, runs)
        if not as_json:
            for line in watch_text(done.record):
                print(visible(line))
        written = write_report(done.folder)
        words = (
            f"written to {foreign(done.folder)}; its figures are in run.json, the same text in watch.txt, and as a page"
        )
        console.print(f"{words} in {foreign(written.name)}")
    if as_json:
        print(json.dumps({name: done.record[name] for name in ("plan", "privacy", "monitoring")}))


@app.command("list")
def list_runs(runs: Runs = Path("runs"), as_json: AsJson = False, as_csv: AsCsv = False) -> None:
    """List the runs, oldest first."""
    from sealscore.simulations.experiments.console import runs_table
    from sealscore.simulations.experiments.runs import all_runs
    from sealscore.simulations.research.comparison import listed_runs

    found = all_runs(runs)
    if as_json or as_csv:
        _written(listed_runs(found), as_csv)
    elif not found:
        console.print(f"no runs under {foreign(runs)}; `sealscore-sim run PLAN` makes one")
    else:
        runs_table(Terminal(), found)


@app.command()
def compare(
    names: Annotated[
        list[str], typer.Argument(help="Runs: their folders, names or the starts of them, or `last`.", metavar="RUN...")
    ],
    runs: Runs = Path("runs"),
    as_json: AsJson = False,
    as_csv: AsCsv = False,
) -> None:
    """Show runs side by side: the settings in which they differ, and their figures."""
    from sealscore.simulations.experiments.console import comparison
    from sealscore.simulations.experiments.runs import find_run
    from sealscore.simulations.research.comparison import compared_runs, differing

    found = [find_run(name, runs) for name in names]
    if len(found) < 2:
        raise typer.BadParameter("name at least two runs", param_hint="RUN")
    for run in found:
        if "monitoring" in run.record:
            what = f"{run.folder.name} is a run of a plan of counts, which has no score to compare; see its watch.txt"
            raise typer.BadParameter(what)
    frame = compared_runs(found)
    if as_json or as_csv:
        _written(frame, as_csv)
        return
    comparison(Terminal(), found, [(name, frame[name].to_list()) for name in differing(frame, found)])


@app.command()
def card(
    run: Annotated[str, typer.Argument(help="A run: its folder, its name or the start of it, or `last`.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A CSV file to write; by default CSV is printed.")
    ] = None,
    runs: Runs = Path("runs"),
) -> None:
    """Write the scorecard of a run as CSV: bins, shares, points, and what a simulation knows of outcomes."""
    from sealscore.compliance.run_figures.bin_table import card_csv
    from sealscore.simulations.experiments.runs import find_run
    from sealscore.simulations.research.model import ResearchModel

    model = ResearchModel.of_run(find_run(run, runs).folder)
    if output is None:
        print(card_csv(model.scorecard()), end="")
        return
    try:
        console.print(f"written to {foreign(model.to_csv(output))}")
    except OSError as error:
        raise typer.BadParameter(f"{output} cannot be written: {error}", param_hint="--output") from error


@app.command()
def export(
    run: Annotated[str, typer.Argument(help="A run: its folder, its name or the start of it, or `last`.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The ONNX file to write.")],
    model: Annotated[str, typer.Option(help="champion, or the fallback for applicants without signals.")] = "champion",
    runs: Runs = Path("runs"),
) -> None:
    """Write the model of a run as an ONNX file, once ONNX Runtime gives the run's own scores by it."""
    from sealscore.simulations.experiments.runs import BadSetting, find_run
    from sealscore.simulations.research.model import ResearchModel

    try:
        written = ResearchModel.of_run(find_run(run, runs).folder).to_onnx(output, model)
        console.print(f"written to {foreign(written)}")
    except BadSetting as error:
        raise typer.BadParameter(error.words, param_hint=f"--{error.setting}") from None
    except OSError as error:
        raise typer.BadParameter(f"{output} cannot be written: {error}", param_hint="--output") from error


def _written(frame: pl.DataFrame, as_csv: bool) -> None:
    """A frame for programs: CSV, or a list of objects on one line; names of others have escapes."""
    if as_csv:
        print(visible(frame.write_csv()), end="")
    else:
        print(json_line(frame.to_dicts()))


@app.command()
def report(
    run: Annotated[
        str, typer.Argument(help="A run: its folder, its name or the start of it, or `last`; or a sweep's folder.")
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Where to write it; by default report.html in its folder."),
    ] = None,
    runs: Runs = Path("runs"),
) -> None:
    """Write the report of a run or a sweep, one HTML file that needs nothing else, and print where it is."""
    from sealscore.simulations.report import report_of

    try:
        print(visible(str(report_of(run, runs, output))))
    except OSError as error:
        raise typer.BadParameter(f"the report cannot be written: {error}", param_hint="--output") from error


@app.command()
def plans(as_json: AsJson = False, as_csv: AsCsv = False) -> None:
    """List the plans that come with Sealscore."""
    from sealscore.simulations.data.scenario import packaged

    if as_json or as_csv:
        import polars as pl

        rows = [(name, str(path)) for name, path in packaged().items()]
        _written(pl.DataFrame(rows, schema=["plan", "file"], orient="row"), as_csv)
        return
    for name, path in packaged().items():
        print(f"{name:36} {path}")


app.command()(draft)
app.command()(score)
app.command()(audit)
app.command()(neighbours)
app.command()(life)


def main() -> None:
    """Entry point: expected errors become one message and an exit code (1 failed, 2 bad input, 130 interrupted)."""
    run_app(app, _expected, "interrupted; nothing was kept of the run that was under way")


def _expected() -> dict[type[Exception], int]:
    from sealscore.clients.data import DataError
    from sealscore.clients.node.admission import NotApproved
    from sealscore.clients.scoring.scorer import NoModel
    from sealscore.shared.dp.noise_calibration import UnreachableBudget
    from sealscore.shared.identity.trust import Untrusted
    from sealscore.shared.plan.errors import PlanError
    from sealscore.shared.serving.release import ReleaseError
    from sealscore.simulations.engine.flower_engine import FlowerRunError
    from sealscore.simulations.experiments.job import RunFailed
    from sealscore.simulations.experiments.runs import BadSetting, NoSuchRun
    from sealscore.simulations.exports.onnx_file import ExportDiffers
    from sealscore.simulations.extras import NoExtra
    from sealscore.simulations.tracking.tracked import TrackingFailed

    bad = (
        DataError,
        PlanError,
        UnreachableBudget,
        NotApproved,
        Untrusted,
        NoSuchRun,
        ReleaseError,
        NoModel,
        BadSetting,
        NoExtra,
    )
    failed = (RunFailed, FlowerRunError, TrackingFailed, ExportDiffers)
    return dict.fromkeys(bad, BAD_INPUT) | dict.fromkeys(failed, FAILED)


if __name__ == "__main__":
    main()
