"""`sealscore-sim world`: build a creator world, describe it, draw its marginals."""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from sealscore.shared.text.terminal import Terminal, foreign, visible

app = typer.Typer(
    help="Invented creators, channels, wallets and loans with a known truth, written as each party would hold them.",
    no_args_is_help=True,
)
console = Terminal(stderr=True)

World = Annotated[Path, typer.Argument(help="A folder that `world build` wrote.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on one line.")]


@app.command()
def build(
    config: Annotated[
        str, typer.Argument(help="`default`, `small`, or a TOML file that names what differs from the default.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write; it must be new or empty.")],
    creators: Annotated[int | None, typer.Option(help="So many creators, whatever the config says.")] = None,
    seed: Annotated[int | None, typer.Option(help="Another seed, whatever the config says.")] = None,
) -> None:
    """Build a world: Parquet files for each party, the truth, and world.json with config, counts and column names."""
    from sealscore.simulations.world.build import WorldFolderError, steps
    from sealscore.simulations.world.build import build as build_world
    from sealscore.simulations.world.config import load_config

    world, started = load_config(config, creators=creators, seed=seed), time.perf_counter()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    try:
        with Progress(*columns, console=console) as progress:
            task = progress.add_task("", total=steps(world))

            def tell(what: str) -> None:
                started_before = progress.tasks[0].description != ""
                progress.update(task, description=what, advance=1 if started_before else 0)

            manifest = build_world(world, output, tell)
            progress.update(task, completed=steps(world))
    except WorldFolderError as error:
        raise typer.BadParameter(str(error), param_hint="--output") from error
    shown = Table("party", "rows", title=f"{world.creators:,} creators, seed {world.seed}")
    for party, what in manifest["parties"].items():
        shown.add_row(
            foreign(party), foreign(", ".join(f"{name} {table['rows']:,}" for name, table in what["tables"].items()))
        )
    console.print(shown)
    console.print(
        f"written to {foreign(output)} in {time.perf_counter() - started:.1f} s; invented data, no figure is a result"
    )


@app.command()
def describe(folder: World, as_json: AsJson = False) -> None:
    """Default rates, thin files, overlap, and how well the truth behind each view ranks the loans."""
    from sealscore.simulations.world.build import WorldFolderError
    from sealscore.simulations.world.describe import describe as figures_of

    try:
        found = figures_of(folder)
    except WorldFolderError as error:
        raise typer.BadParameter(str(error), param_hint="FOLDER") from error
    if as_json:
        print(json.dumps(found))
        return
    out = Terminal()
    out.print(
        f"{found['applications']:,} applications in {found['vintages']} vintages, {found['approved']:,} approved, "
        f"{found['bad_rate']:.1%} of these bad; {found['bad_rate_if_declined_were_granted']:.1%} of the declined would "
        f"be; {found['thin_share']:.1%} with a thin file"
    )
    rates = Table("lender", "product", "applications", "approved", "bad", "thin file")
    for row in found["by_lender_and_product"]:
        shares = (f"{row[name]:.1%}" for name in ("approval_rate", "bad_rate", "thin_share"))
        rates.add_row(foreign(row["lender"]), foreign(row["product"]), f"{row['applications']:,}", *shares)
    out.print(rates)
    views = Table("what is known of the approved", "AUC", "Gini")
    for name, auc in found["auc"].items():
        views.add_row(foreign(name), f"{auc:.3f}", f"{2 * auc - 1:.3f}")
    out.print(views)
    out.print("median over median views: " + ", ".join(f"{k} {v:.2%}" for k, v in found["per_view"].items()))
    where = Table("on platforms", "share of applications")
    for name, share in found["on_platforms"].items():
        where.add_row(foreign(name), f"{share:.1%}")
    out.print(where)


@app.command()
def figures(
    folder: World,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the SVG files.")],
) -> None:
    """Draw the marginals of a world, with the published ratios beside them where there are any."""
    from sealscore.simulations.world.build import WorldFolderError
    from sealscore.simulations.world.figures import write_figures

    try:
        for path in write_figures(folder, output):
            print(visible(str(path)))
    except WorldFolderError as error:
        raise typer.BadParameter(str(error), param_hint="FOLDER") from error
    except OSError as error:
        raise typer.BadParameter(f"the figures cannot be written: {error}", param_hint="--output") from error


@app.command()
def detector(
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write, detector.npz.")],
) -> None:
    """Grow the shipped traffic detector of sealscore.clients.features again, and say whether it is the same."""
    from sealscore.clients.features.detector import digest
    from sealscore.simulations.world.fits.detector import CREATORS, SEED, fit

    _write(output, fit(), digest(), f"fitted on {CREATORS:,} invented creators, seed {SEED}")


@app.command()
def tone(
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write, tone.npz.")],
) -> None:
    """Fit the shipped tone of Chinese comments of sealscore.clients.features again, and say whether it is the same."""
    from sealscore.clients.features.sentiment import digest
    from sealscore.simulations.world.fits.tone import fit, training_reviews

    _write(output, fit(), digest(), f"fitted on {len(training_reviews()[0]):,} public reviews")


def _write(output: Path, content: bytes, shipped: str, fitted: str) -> None:
    output.write_bytes(content)
    found = hashlib.sha256(content).hexdigest()
    same = "as shipped" if found == shipped else f"not the one that is shipped, {shipped}"
    console.print(f"{output}: {found}, {same}; {fitted}")
