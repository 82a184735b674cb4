"""`sealscore-sim life`: a whole life, with its report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from sealscore.shared.text.terminal import Terminal, foreign

console = Terminal(stderr=True)


def life(
    config: Annotated[
        str, typer.Argument(help="A TOML file that names what differs from the default life.")
    ] = "default",
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write; it must be new or empty.")] = Path(
        "life"
    ),
    creators: Annotated[int | None, typer.Option(help="So many creators, whatever the config says.")] = None,
    months: Annotated[int | None, typer.Option(help="So many months, whatever the config says.")] = None,
    seed: Annotated[int | None, typer.Option(help="Another seed, whatever the config says.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="End with one JSON object on one line.")] = False,
) -> None:
    """Play the invented world month by month through consents, tokens, scores, decisions and loans at three lenders."""
    from sealscore.simulations.experiments.job import RunFailed
    from sealscore.simulations.life.config import load_life
    from sealscore.simulations.life.life import LifeFailed, run_life
    from sealscore.simulations.world.build import WorldFolderError

    found = load_life(config, creators=creators, months=months, seed=seed)
    try:
        record = run_life(found, output, lambda what: console.print(foreign(what)))
    except WorldFolderError as error:
        raise typer.BadParameter(str(error), param_hint="--output") from error
    except LifeFailed as error:
        raise RunFailed(error.lines[0], error.lines[1:]) from error
    except OSError as error:
        beside = f"a file beside the folder cannot be written or read: {error}; set TMPDIR, or free space"
        raise RunFailed("the life did not end; nothing was written", [beside]) from error
    happened = record["happened"]
    bad = "no rate" if happened["bad_rate"] is None else f"{happened['bad_rate']:.1%} bad"
    console.print(
        f"{happened['applications']:,} applications, {happened['approved_share']:.1%} approved, {happened['loans']:,} "
        f"loans; {bad} of the {happened['bad_known']:,} whose 12 months are over; "
        "every line replays, every ledger verifies"
    )
    console.print(f"written to {foreign(output)}; read {foreign(output / 'report.html')}. Invented data")
    if as_json:
        print(json.dumps(record))
