"""`sealscore-node plan`: what was proposed, what it asks and costs, and the operator's word on it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Column, Table

from sealscore.clients.commands.terminal import (
    BAD_INPUT,
    FAILED,
    HERE,
    Folder,
    console,
    errors,
    fail,
    for_eyes,
    node_dir_at,
    reason,
)
from sealscore.clients.setup.bundle_file import BundleFile
from sealscore.clients.setup.node_dir import NodeDir
from sealscore.clients.setup.plan_review import PlanReview, review
from sealscore.shared.bundle import courier_bundle
from sealscore.shared.ledger.entries import Refuse, Revoke
from sealscore.shared.ledger.ledger import Ledger
from sealscore.shared.plan.plan import Plan
from sealscore.shared.text.foreign import GROUP
from sealscore.shared.text.numbers import plural
from sealscore.shared.text.terminal import foreign, grouped, ungrouped

app = typer.Typer(help="Look at plans, approve them, refuse them.", no_args_is_help=True)

PlanArgument = Annotated[
    str, typer.Argument(help="A plan's file, its hash or at least the first eight digits of it, or its name.")
]
BundleOption = Annotated[
    Path | None,
    typer.Option("--bundle", help="The app bundle's file, where the plan names another than this release builds."),
]

_LONG = 100_000  # words of a review are bounded where they are made


@app.command("list")
def list_plans(folder: Folder = HERE) -> None:
    """List the plans that were proposed to this node, with the state of each."""
    node_dir = node_dir_at(folder)
    with opened(node_dir) as ledger:
        plans, state = node_dir.kept_plans(), ledger.state
    table = Table("plan", Column("hash", min_width=GROUP), "purpose", "state")
    for hash, plan in plans.items():
        known = state.plans.get(hash)
        table.add_row(plan.name, grouped(hash), plan.purpose_code, known.state if known else "not approved")
    console.print(table if plans else "no plan was proposed yet")


@app.command()
def show(plan: PlanArgument, bundle: BundleOption = None, folder: Folder = HERE) -> None:
    """Show what a plan is for, with whom, what it reads and may cost; exit code 1 if it cannot be approved."""
    node_dir = node_dir_at(folder)
    found = find_plan(node_dir, plan)
    seen = _review(node_dir, found)
    _print(seen)
    if bundle is not None or found.bundle == courier_bundle().sha256:
        _print_bundle(found, bundle)
    if seen.obstacles and seen.state == "not approved":
        raise typer.Exit(FAILED)


@app.command()
def approve(
    plan: PlanArgument,
    bundle: BundleOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    folder: Folder = HERE,
) -> None:
    """Approve a plan: from now on this node answers under it, within its budget. The ledger keeps the approval.

    With the plan you approve the code that carries its messages: by default this release's own, which it builds
    itself. For any other the file must be given, and what differs is shown.
    """
    from sealscore.clients.node import plan_ledger
    from sealscore.clients.setup.plan_data import faults

    node_dir = node_dir_at(folder)
    found = find_plan(node_dir, plan)
    seen = _review(node_dir, found)
    _print(seen)
    if seen.state != "not approved":
        fail(f"plan {found.name} is {seen.state} in this node's ledger already", BAD_INPUT)
    if seen.obstacles:
        fail(f"plan {found.name} cannot be approved as things are", FAILED)
    if bundle is None and found.bundle != (own := courier_bundle().sha256):
        fail(
            [
                "the plan names another app bundle, whose code carries its messages, than this release has; it names",
                grouped(found.bundle or "none"),
                "and this release builds",
                grouped(own),
                "install the release that the plan was signed with, or get the file from the server's operator "
                "(sealscore-server bundle) and give it, to see what differs: --bundle FILE",
            ],
            BAD_INPUT,
        )
    # Once a plan is approved the server may ask at any time, and would see a fault.
    if faulty := faults(node_dir, node_dir.config(), [found]):
        words = f"the data cannot be used under plan {found.name}, so it is not approved"
        fail(f"{words}:\n{for_eyes(faulty[0][1])}", BAD_INPUT)
    _print_bundle(found, bundle)
    if not yes and not typer.confirm("Approve this plan, and this bundle?"):
        errors.print("not approved; nothing was written")
        raise typer.Exit(FAILED)
    with opened(node_dir) as ledger:
        node_dir.keep_plan(found)
        seq = plan_ledger.approve(ledger, found)
    console.print(f"approved: {found.name}, entry {seq} of the ledger. A node that is running takes it up by itself.")


@app.command()
def refuse(
    plan: PlanArgument,
    why: Annotated[str, typer.Option(help="The reason, for the ledger.")] = "refused by the operator",
    folder: Folder = HERE,
) -> None:
    """Refuse a plan, or withdraw its approval; what was answered already stays charged."""
    node_dir, why = node_dir_at(folder), reason(why)
    with opened(node_dir) as ledger:
        found = find_plan(node_dir, plan)
        known = ledger.state.plans.get(found.hash)
        if known is not None and known.state == "live":
            ledger.append(lambda state: Revoke(plan=found.hash, why=why))
            console.print(f"revoked: {found.name}; nothing more is answered under it")
        elif known is None:
            entry = Refuse(plan=found.hash, run="-", phase="-", round=0, attempt=0, code="not-approved", why=why)
            ledger.append(lambda state: entry)
            node_dir.plan_file(found.hash).unlink(missing_ok=True)
            console.print(f"refused: {found.name}")
        else:
            fail(f"plan {found.name} is {known.state} already", BAD_INPUT)


def find_plan(node_dir: NodeDir, wanted: str) -> Plan:
    """The plan that an operator means: a file (TOML or canonical), or one that was proposed.

    Ends with an error where there is none, or several.
    """
    path = Path(wanted)
    if path.is_file():
        data = path.read_bytes()
        return Plan.from_canonical(data) if data.lstrip()[:1] == b"{" else Plan.load(path)
    kept, digits = node_dir.kept_plans(), ungrouped(wanted)
    matching = [plan for plan in kept.values() if plan.name == wanted]
    if len(digits) >= GROUP:
        matching += [plan for hash, plan in kept.items() if hash.startswith(digits) and plan.name != wanted]
    if len(matching) != 1:
        known = [f"{grouped(hash)} {plan.name}" for hash, plan in kept.items()] or ["none"]
        what = "several plans are" if matching else "no file and no plan is"
        fail([f"{wanted}: {what} so named; plans:", *known], BAD_INPUT)
    return matching[0]


@contextmanager
def opened(node_dir: NodeDir) -> Iterator[Ledger]:
    """A node's ledger for one command."""
    ledger = node_dir.ledger(node_dir.identity(), node_dir.config())
    try:
        yield ledger
    finally:
        ledger.close()


def _review(node_dir: NodeDir, plan: Plan) -> PlanReview:
    from sealscore.clients.setup.plan_data import own_passing

    card, cards, data = node_dir.identity().card, node_dir.trust().cards, node_dir.config().data
    with opened(node_dir) as ledger, closing(node_dir.disclosure_store()) as store:
        seen = review(plan, card, cards, ledger.state, data, store)
    return dataclasses.replace(seen, lines=(*seen.lines, *own_passing(node_dir, plan)))


def _print(seen: PlanReview) -> None:
    table = Table(Column(no_wrap=True), Column(overflow="fold"), show_header=False, box=None, padding=(0, 2, 0, 0))
    for what, words in (*seen.lines, ("state", seen.state)):
        table.add_row(f"[bold]{what}[/bold]", foreign(words, _LONG))
    console.print(table, highlight=False)
    for obstacle in seen.obstacles:
        errors.print(f"[red]in the way:[/red] {foreign(obstacle, _LONG)}", highlight=False)


def _print_bundle(plan: Plan, path: Path | None) -> None:
    """Show what is in a bundle, by default this release's, and what is otherwise in this release's.

    Ends with an error where it is not the one that the plan names.
    """
    own = BundleFile.of(courier_bundle().content)
    found = own if path is None else BundleFile.read(path)
    if found.sha256 != plan.bundle:
        fail(
            [
                f"{path} is another app bundle than the plan's: its SHA-256 is",
                grouped(found.sha256),
                "and the plan names",
                grouped(plan.bundle or "none"),
                "ask the server's operator for the bundle of this plan, or for a plan with this bundle",
            ],
            BAD_INPUT,
        )
    table = Table(
        Column("file of the bundle", overflow="fold"),
        Column("bytes", justify="right", no_wrap=True),
        Column("in this release", no_wrap=True),
        Column("SHA-256", min_width=GROUP),
        box=None,
        padding=(0, 2, 0, 0),
    )
    known = {file.name: file for file in own.files}
    for file in found.files:
        here = "the same" if known.get(file.name) == file else "other" if file.name in known else "none"
        table.add_row(foreign(file.name), f"{file.size:,}", here, grouped(file.sha256))
    console.print(table, highlight=False)
    count = plural(len(found.files), "file")
    whose = "this release's own bundle" if found.sha256 == own.sha256 else "[bold]not this release's bundle[/bold]"
    console.print(f"{count}; {whose}; the bundle's SHA-256 is the one that the plan names:", highlight=False)
    console.print(grouped(found.sha256), highlight=False)
