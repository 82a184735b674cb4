"""`sealscore-sim draft`: from tables to a plan that runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from sealscore.shared.text.terminal import Terminal, foreign

console = Terminal(stderr=True)


def draft(
    tables: Annotated[list[Path], typer.Argument(help="CSV or Parquet files. Those with the label are lenders'.")],
    label: Annotated[str | None, typer.Option(help="Column of the outcome, or the beginning of its name.")] = None,
    bad: Annotated[str | None, typer.Option(help="How the label writes a bad loan, as 1 or 'charged off'.")] = None,
    good: Annotated[str | None, typer.Option(help="How it writes a good one, where it has further words.")] = None,
    id: Annotated[str | None, typer.Option("--id", help="Column that names records or persons.")] = None,
    person: Annotated[str | None, typer.Option(help="Column that names the person of a record.")] = None,
    lenders: Annotated[
        int | None,
        typer.Option(min=1, max=500, help="Lenders that share the rows; by default 3, with platforms 1."),
    ] = None,
    platform: Annotated[
        str | None, typer.Option(help="Columns that a platform holds instead, as 'LIMIT_BAL,PAY_*': a vertical plan.")
    ] = None,
    epsilon: Annotated[float, typer.Option(help="Epsilon for a person.")] = 1.0,
    label_epsilon: Annotated[float, typer.Option(help="Label epsilon of a vertical plan.")] = 2.0,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write; by default TABLE.toml in this folder.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
) -> None:
    """Write a plan for tables of your own that runs as it is: each value a guess that says why.

    For public or simulated tables: bounds and levels are read from the records, and a real node refuses such a plan.
    """
    from sealscore.shared.files import write_whole
    from sealscore.simulations.draft import text
    from sealscore.simulations.draft.draft import Wishes
    from sealscore.simulations.draft.making import checked_draft

    wishes = Wishes(label, bad, good, id, person, lenders, platform, epsilon, label_epsilon)
    target = output or Path(f"{tables[0].stem}.toml")
    if target.exists() and not force:
        raise typer.BadParameter(f"{target} is there already; --force writes over it", param_hint="--output")
    checked = checked_draft(tables, wishes, target)
    try:
        write_whole(target, checked.text)
    except OSError as error:
        raise typer.BadParameter(f"{target} cannot be written: {error}", param_hint="--output") from error
    found = checked.draft
    for told in found.told:
        console.print(foreign(told))
    shown = Table("guess", "of", "why")
    for what, value, why in text.guesses(found):
        shown.add_row(what, foreign(value), foreign(why))
    console.print(shown)
    if found.dropped:
        console.print(f"{found.dropped:,} of {found.records:,} rows are left out: further ones of a person")
    console.print(f"[yellow]{foreign('; '.join(text.LOOK))}")
    console.print("[yellow]protected columns are guessed from their names: confirm them in the file")
    console.print(f"written to {foreign(target)}; next: sealscore-sim run {foreign(target)} --engine fast")
