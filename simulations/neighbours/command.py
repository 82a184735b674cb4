"""`sealscore-sim neighbours`: hold what one person moves in a plan's run against what the plan claims."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from sealscore.simulations.neighbours import HALVES, PERSONS


def neighbours(
    plan: Annotated[
        str | None,
        typer.Argument(help="A plan file or the name of one that comes with Sealscore; by default the main job."),
    ] = None,
    persons: Annotated[int, typer.Option(min=1, help="Leave out each of so many persons, one at a time.")] = PERSONS,
    halves: Annotated[int, typer.Option(min=0, help="So many times, leave out half of all persons.")] = HALVES,
    rounds: Annotated[int | None, typer.Option(min=2, help="Ask again at most so many rounds of a training.")] = None,
    creators: Annotated[int | None, typer.Option(min=100, help="Make an invented data set of this size.")] = None,
    all_features: Annotated[bool, typer.Option(help="Score every feature, those for baselines alone too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="End with one JSON object on one line.")] = False,
) -> None:
    """Let worlds without one person answer a plan's requests again; 1 where a person moves what it must not."""
    from sealscore.server.transport.exchange import MissingParties, PhaseFailed
    from sealscore.simulations.data.scenario import Scenario, main_job, resolve
    from sealscore.simulations.experiments.job import RunFailed
    from sealscore.simulations.neighbours.report import findings_lines, phases_table
    from sealscore.simulations.neighbours.watch import sized, watch_scenario

    console = Console(stderr=True)
    scenario = Scenario.load(resolve(plan or main_job()))
    if creators is not None:
        scenario = sized(scenario, creators)
    if note := scenario.declaration:
        console.print(f"[yellow]{note}")
    with console.status("") as status:
        try:
            found = watch_scenario(
                scenario, persons, halves, rounds, all_features, lambda what: status.update(escape(what))
            )
        except (PhaseFailed, MissingParties) as error:
            raise RunFailed(str(error), getattr(error, "__notes__", [])) from error
    console.print(phases_table(found))
    for line in findings_lines(found):
        console.print(f"[red]{escape(line)}")
    if as_json:
        print(json.dumps(found.as_dict()))
    if found.findings:
        raise typer.Exit(1)
