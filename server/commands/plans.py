"""`sealscore-server plan`: make plans for the enrolled nodes, sign them, propose them, end them."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Collection
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import tomli_w
import typer
from rich.table import Column, Table

from sealscore.server.commands.running import final_words, run_action, show_said
from sealscore.server.commands.terminal import HERE, Folder, console, server_dir_at, signed_plan
from sealscore.server.run.earlier_run import check_earlier_run
from sealscore.server.run.kept_scores import kept_scores, score_digests
from sealscore.server.run.progress.pace import alignment_seconds, duration, minutes, payloads, sums
from sealscore.server.run.run_files import FAILURE, PUBLISHED
from sealscore.server.setup.plan_making import PROFILES, changed, made, measured_for, with_cards
from sealscore.server.setup.retraining import recalibrated, retrained
from sealscore.server.setup.server_dir import ServerDir
from sealscore.shared import bundle as bundles
from sealscore.shared.dp.mechanisms import Mechanisms
from sealscore.shared.files import write_whole
from sealscore.shared.phases.cautions import cautions
from sealscore.shared.phases.order import phases
from sealscore.shared.plan.derived import NewPlan
from sealscore.shared.plan.plan import Plan
from sealscore.shared.plan.toml import load_toml
from sealscore.shared.text.foreign import GROUP
from sealscore.shared.text.terminal import BAD_INPUT, FAILED, fail, foreign, grouped

RecordsNow = Annotated[list[str] | None, typer.Option(help="PARTY=N, the public number of records now.")]
Retraining = Annotated[
    str | None, typer.Option(help="Use levels of tokens whose consent names this purpose, as the release has it.")
]

Redo = Annotated[bool, typer.Option("--redo", help="Make an unsigned draft of that name again.")]

app = typer.Typer(help="Make plans for the enrolled nodes, sign them, propose them, end them.", no_args_is_help=True)


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="The plan's name: a-z, 0-9, '.', '_', '-'.")],
    like: Annotated[Path, typer.Option(help="A plan's file whose schemas, outcome and privacy are taken over.")],
    profile: Annotated[
        str | None,
        typer.Option(help="many, few or fewest rounds, of a plan that is tuned by hand; by default those of --like."),
    ] = None,
    group: Annotated[list[str] | None, typer.Option(help="PARTY=GROUP, where there are several kinds.")] = None,
    records: Annotated[list[str] | None, typer.Option(help="PARTY=N, the public number of records.")] = None,
    days: Annotated[int, typer.Option(min=1, help="Days until the plan expires.")] = 90,
    redo: Redo = False,
    folder: Folder = HERE,
) -> None:
    """Make a plan's file for the nodes that are enrolled, to be looked through and signed."""
    server_dir = server_dir_at(folder)
    if profile is not None and profile not in PROFILES:
        raise typer.BadParameter(f"{profile!r}: one of {', '.join(PROFILES)}", param_hint="--profile")
    base = load_toml(like)
    path = _draft(server_dir, name, redo)
    expires = datetime.now(UTC).date() + timedelta(days=days)
    seed, enrolled = secrets.randbelow(2**32), server_dir.enrolments()
    chosen = _pairs(group, "--group", enrolled)
    counts = {party: _number(count) for party, count in _pairs(records, "--records", enrolled).items()}
    data = made(base, name, None if profile is None else PROFILES[profile], enrolled, chosen, counts, seed, expires)
    plan = Plan.parse(data, str(path))
    expected = _expected(plan, profile)
    for words in changed(base, data):
        expected.add_row("changed", foreign(words))
    _written(path, data, expected, name)


@app.command()
def retrain(
    name: Annotated[str, typer.Argument(help="The new plan's name: a-z, 0-9, '.', '_', '-'.")],
    of: Annotated[str, typer.Option(help="The plan that ran, whose platforms' towers stay as they are.")],
    records: RecordsNow = None,
    days: Annotated[int, typer.Option(min=1, help="Days until the plan expires.")] = 90,
    retraining: Retraining = None,
    redo: Redo = False,
    folder: Folder = HERE,
) -> None:
    """Make a plan that trains the lenders' towers again: platforms tell nothing new, and their phases are skipped."""

    def draft(old: Plan, run: Path, new: NewPlan) -> dict[str, Any]:
        return retrained(old, run, new, retraining)

    _derive(folder, name, of, records, days, redo, draft)


@app.command()
def recalibrate(
    name: Annotated[str, typer.Argument(help="The new plan's name: a-z, 0-9, '.', '_', '-'.")],
    of: Annotated[str, typer.Option(help="The plan that ran, whose scores stay as they are.")],
    epsilon: Annotated[
        float | None, typer.Option(help="What it may cost a person; by default a quarter of the earlier plan's.")
    ] = None,
    records: RecordsNow = None,
    days: Annotated[int, typer.Option(min=1, help="Days until the plan expires.")] = 90,
    retraining: Retraining = None,
    redo: Redo = False,
    folder: Folder = HERE,
) -> None:
    """Make a plan that trains nothing: PDs of the scores that there are are calibrated and evaluated again."""

    def draft(old: Plan, run: Path, new: NewPlan) -> dict[str, Any]:
        return recalibrated(old, run, new, score_digests(run, old), epsilon, retraining)

    _derive(folder, name, of, records, days, redo, draft)


def _derive(
    folder: Path,
    name: str,
    of: str,
    records: list[str] | None,
    days: int,
    redo: bool,
    draft: Callable[[Plan, Path, NewPlan], dict[str, Any]],
) -> None:
    """Write the file of a plan that is made from one that ran."""
    server_dir = server_dir_at(folder)
    old = signed_plan(server_dir.signed_plans(), of)
    path = _draft(server_dir, name, redo)
    expires = datetime.now(UTC).date() + timedelta(days=days)
    enrolled = server_dir.enrolments()
    counts = {party: _number(count) for party, count in _pairs(records, "--records", enrolled).items()}
    data = draft(old, server_dir.run_folder(old), NewPlan(name, secrets.randbelow(2**32), expires, counts))
    plan = Plan.parse(data, str(path))
    _written(path, data, _expected(plan, None), name)


def _draft(server_dir: ServerDir, name: str, redo: bool) -> Path:
    """Where the draft is written: one of that name may be made again for as long as it is not signed."""
    path = server_dir.plans / f"{name}.toml"
    if (server_dir.plans / f"{name}.json").exists():
        fail(f"{path}: the plan of that name is signed, and never changes; choose another name", BAD_INPUT)
    if path.exists() and not redo:
        fail(f"{path}: there is a plan of that name; choose another, or make the draft again with --redo", BAD_INPUT)
    return path


def _written(path: Path, data: dict[str, Any], expected: Table, name: str) -> None:
    path.write_text(tomli_w.dumps(data), encoding="utf-8")
    console.print(expected)
    console.print(
        f"written to {foreign(path)}; look through it, then [bold]sealscore-server plan sign {foreign(name)}[/bold]"
    )


@app.command()
def sign(name: Annotated[str, typer.Argument(help="The plan's name.")], folder: Folder = HERE) -> None:
    """Put the cards and the app bundle's hash into a plan: from now on it is what partners approve, by its hash."""

    server_dir = server_dir_at(folder)
    path, signed = server_dir.plans / f"{name}.toml", server_dir.plans / f"{name}.json"
    if signed.exists():
        fail(f"{signed}: the plan is signed, and partners may have approved it; a change needs a new name", BAD_INPUT)
    plan = with_cards(
        Plan.load(path), server_dir.identity().card, server_dir.enrolments(), bundles.courier_bundle().sha256
    )
    if plan.name != name:
        fail(f"{path}: the plan in it is named {plan.name!r}", BAD_INPUT)
    check_earlier_run(plan, server_dir.earlier_run(plan))
    kept_scores(plan, server_dir.calibrated_run(plan))
    write_whole(signed, plan.canonical())
    console.print(f"signed: {name}, hash\n  [bold]{grouped(plan.hash)}[/bold]")
    console.print(
        f"give {foreign(signed)} to the partners, with the app bundle ([bold]sealscore-server bundle[/bold]),"
    )
    console.print("and read them the hash; to nodes with a live plan of this version,")
    console.print(f"[bold]sealscore-server plan publish {name}[/bold] sends the plan")


@app.command()
def publish(name: Annotated[str, typer.Argument(help="A signed plan's name.")], folder: Folder = HERE) -> None:
    """Propose a signed plan to its parties' nodes, for their operators to look at; exit code 0 only if all took it.

    A node runs no app bundle that none of its live plans names. So one that has approved no plan of this version yet,
    or whose plans have all ended, cannot be reached: send it the plan's file.
    """
    server_dir = server_dir_at(folder)
    plan = signed_plan(server_dir.signed_plans(), name)
    run_action(server_dir, plan, "publish")
    if without := show_said(server_dir.run_folder(plan) / PUBLISHED, [party.name for party in plan.parties], "plan"):
        fail(
            f"{', '.join(without)} did not take the plan; send them the file {server_dir.plans / name}.json, "
            f"and read them the hash {grouped(plan.hash)}"
        )


@app.command()
def end(
    name: Annotated[str, typer.Argument(help="A signed plan's name.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    folder: Folder = HERE,
) -> None:
    """End a plan that cannot go on: all parties settle it, and its run is not continued; exit code 0 if all heard it.

    It cannot be undone. What was answered stays charged, and what a live plan has set aside is free again.
    """
    server_dir = server_dir_at(folder)
    plan = signed_plan(server_dir.signed_plans(), name)
    output = server_dir.run_folder(plan)
    if (output / "run.json").exists():
        fail(f"plan {name} has run: {output}; its parties have settled it", BAD_INPUT)
    if not yes and not typer.confirm(f"End plan {name} at all its parties, for good?"):
        fail("nothing was ended", FAILED)
    run_action(server_dir, plan, "end")
    found = json.loads((output / FAILURE).read_text(encoding="utf-8"))
    if found["untold"]:
        fail(final_words(output, name))
    console.print(f"ended: {foreign(name)}; all its parties have settled it")


@app.command("list")
def list_plans(folder: Folder = HERE) -> None:
    """List the plans."""
    server_dir = server_dir_at(folder)
    signed = server_dir.signed_plans()
    table = Table("plan", "state", Column("hash", min_width=GROUP), "expires")
    for path in sorted(server_dir.plans.glob("*.toml")):
        plan = signed.get(path.stem)
        table.add_row(foreign(path.stem), "signed" if plan else "draft", grouped(plan.hash) if plan else "", _day(plan))
    console.print(table)


def _expected(plan: Plan, profile: str | None) -> Table:
    claim = Mechanisms(plan).claim()
    table = Table(show_header=False, box=None, padding=(0, 2))
    rounds, rate = plan.training.rounds, plan.training.sample_rate
    by = "the additive recipe" if plan.training.auto else profile or "as the plan that it is made from"
    trains = f"{by}: {rounds} rounds, sample rate {rate:g}"
    table.add_row("training", "none: scores are kept, and calibrated again" if plan.scores_from else trains)
    table.add_row("privacy", f"epsilon {claim:.3g} at delta {plan.privacy.delta:g} for a person")
    table.add_row("exchanges", f"{sums(plan)} sums and {payloads(plan)} payloads")
    table.add_row("duration", f"about {minutes(duration(plan))}{_aligning(plan)}")
    if plan.platforms and plan.signals_from is None:
        needed, most = plan.model.signal_bits, plan.privacy.signal_bits
        table.add_row("signals", f"{needed} bits of each aligned person, {most} at most over the life of a data set")
    for caution in cautions(plan):
        table.add_row("warning", caution.words)
    if profile is not None and measured_for(plan):
        where = "UCI credit default, three lenders, epsilon 1"
        table.add_row("cost in AUC", f"{PROFILES[profile].auc_cost} (measured on {where})")
    return table


def _aligning(plan: Plan) -> str:
    seconds = sum(alignment_seconds(plan, phase) for phase in phases(plan))
    return f", {minutes(seconds)} of them for alignment" if seconds >= 1 else ""


def _pairs(given: list[str] | None, option: str, enrolled: Collection[str]) -> dict[str, str]:
    found = {}
    for pair in given or ():
        party, separator, value = pair.partition("=")
        if not separator or not value:
            raise typer.BadParameter(f"{pair!r}: write PARTY=VALUE", param_hint=option)
        if party not in enrolled:
            known = ", ".join(enrolled) or "none"
            raise typer.BadParameter(f"{party!r} is not enrolled; enrolled: {known}", param_hint=option)
        found[party] = value
    return found


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise typer.BadParameter(f"{text!r} is no number of records", param_hint="--records")
    return int(text)


def _day(plan: Plan | None) -> str:
    expires: date | None = None if plan is None else plan.expires
    return str(expires or "")
