"""`sealscore-sim score`: score a table by the release of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sealscore.shared.text.terminal import BAD_INPUT, Terminal, fail, foreign

console = Terminal(stderr=True)


def score(
    run: Annotated[str, typer.Argument(help="A run: its folder, its name or the start of it, or `last`.")],
    table: Annotated[Path, typer.Argument(help="A CSV or Parquet file with one applicant a row.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A .csv or .parquet file to write; by default CSV is printed.")
    ] = None,
    runs: Annotated[Path, typer.Option("--runs", help="Folder of run folders.")] = Path("runs"),
) -> None:
    """Score a table: PD, points and reasons a row.

    Where a row has a platform's columns, the champion answers; where they are absent or blank, the model that needs
    none of them does. Derived columns are computed, and columns that no model reads are named and ignored.
    """
    from sealscore.clients.data import read_table
    from sealscore.shared.files import replacing
    from sealscore.shared.serving.release import Release
    from sealscore.simulations.experiments.job import NO_RELEASE, RELEASE
    from sealscore.simulations.experiments.runs import find_run
    from sealscore.simulations.scoring.table_scores import score_table

    if output is not None and output.suffix not in (".csv", ".parquet"):
        raise typer.BadParameter(f"{output.name!r}: name a .csv or a .parquet file", param_hint="--output")
    folder = find_run(run, runs).folder / RELEASE
    if not folder.is_dir():
        fail(f"{foreign(folder)}: {NO_RELEASE}", BAD_INPUT)
    found = score_table(Release.load(folder), read_table(table))
    if found.extra:
        console.print(f"read by no model: {', '.join(map(foreign, found.extra))}")
    for group, count in found.with_signal.items():
        console.print(f"{count:,} of {len(found.frame):,} rows have the columns of {foreign(group)}")
    for role, count in found.frame["model"].value_counts(sort=True).iter_rows():
        console.print(f"{count:,} scored by the {role}")
    if output is None:
        print(found.frame.write_csv(), end="")
        return
    with replacing(output) as file:
        if output.suffix == ".csv":
            found.frame.write_csv(file)
        else:
            found.frame.write_parquet(file)
    console.print(f"written to {foreign(output)}")
