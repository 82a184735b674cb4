"""`sealscore-sim audit`: hold what an adversary learns in simulation against what a plan claims."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from sealscore.shared.text.terminal import Terminal, foreign
from sealscore.simulations.audit import CANARIES, CONFIDENCE, GUESSES
from sealscore.simulations.audit.faults import Break


def audit(
    plan: Annotated[
        str | None,
        typer.Argument(help="A plan file or the name of one that comes with Sealscore; by default the main job."),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Audit this many seeds, counted up from the plan's own.")] = 1,
    group: Annotated[str | None, typer.Option(help="Whose tower, or fallback; by default the lenders'.")] = None,
    party: Annotated[str | None, typer.Option(help="Where the canaries are; by default the group's first.")] = None,
    fault: Annotated[Break | None, typer.Option("--break", help="Break this, to see whether it is found.")] = None,
    canaries: Annotated[int, typer.Option(help="How many canaries, at least 1000.")] = CANARIES,
    guesses: Annotated[int, typer.Option(help="How many of them are guessed, an even number.")] = GUESSES,
    confidence: Annotated[float, typer.Option(help="Confidence of the bound.")] = CONFIDENCE,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Also write a page of HTML.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="End with one JSON object on one line.")] = False,
) -> None:
    """Audit the privacy of a plan's training by canaries; 1 where a lower bound on epsilon exceeds the claim."""
    from sealscore.simulations.audit.audited import Setting, audit_seeds
    from sealscore.simulations.audit.report import audits_table, page, summary
    from sealscore.simulations.data.scenario import Scenario, main_job, resolve
    from sealscore.simulations.experiments.console import ProgressObserver

    console = Terminal(stderr=True)
    scenario = Scenario.load(resolve(plan or main_job()))
    try:
        more = {"canaries": canaries, "guesses": guesses, "confidence": confidence, "fault": fault}
        setting = Setting.of(scenario.plan, group, party, **more)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    if note := scenario.declaration:
        console.print(f"[yellow]{foreign(note)}")
    audits = audit_seeds(scenario, seeds, setting, lambda seed: ProgressObserver(console))
    console.print(audits_table(audits))
    if output is not None:
        try:
            output.write_text(page(audits), encoding="utf-8")
        except OSError as error:
            raise typer.BadParameter(f"the page cannot be written: {error}", param_hint="--output") from error
        console.print(f"written to {foreign(output)}")
    if as_json:
        print(json.dumps(summary(audits)))
    if any(found.exceeded for found in audits):
        raise typer.Exit(1)
