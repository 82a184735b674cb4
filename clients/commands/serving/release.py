"""`sealscore-node release`: look at a release, approve it, use it, go back, withdraw it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.table import Column, Table

from sealscore.clients.commands.plan import opened
from sealscore.clients.commands.serving.scores import score_log
from sealscore.clients.commands.terminal import (
    BAD_INPUT,
    FAILED,
    HERE,
    Folder,
    console,
    errors,
    fail,
    node_dir_at,
    reason,
)
from sealscore.clients.setup.node_dir import NodeDir
from sealscore.clients.setup.release_review import NEW, ReleaseReview, admit, review
from sealscore.clients.setup.serving_dir import Pointer, ServingDir
from sealscore.shared.ledger.entries import EndRelease
from sealscore.shared.ledger.ledger import Ledger
from sealscore.shared.ledger.serving_state import ReleaseState
from sealscore.shared.serving.release import Release
from sealscore.shared.text.foreign import GROUP
from sealscore.shared.text.terminal import foreign, grouped, ungrouped

app = typer.Typer(help="Look at releases of models, approve them, use them, withdraw them.", no_args_is_help=True)

ReleaseArgument = Annotated[
    str,
    typer.Argument(
        help="A release's folder; or, of one that was proposed or approved, its name or at least the first eight "
        "digits of its hash."
    ),
]


@app.command()
def show(release: ReleaseArgument, folder: Folder = HERE) -> None:
    """Show what a release is, what it tells of a person and what is in the way; exit code 1 if anything is."""
    node_dir = node_dir_at(folder)
    seen = _seen(node_dir, _located(node_dir, release))
    _print(seen)
    if seen.obstacles and seen.state == NEW:
        raise typer.Exit(FAILED)


@app.command()
def approve(
    release: ReleaseArgument,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    unranked: Annotated[
        bool, typer.Option("--unranked", help="At a platform: although its tower is not shown to rank our labels.")
    ] = False,
    folder: Folder = HERE,
) -> None:
    """Approve a release: a platform makes tokens under it, a lender may score with it. The ledger keeps that."""
    node_dir = node_dir_at(folder)
    source = _located(node_dir, release)
    seen = _seen(node_dir, source)
    _print(seen)
    if seen.state != NEW:
        fail(f"release {foreign(seen.release.manifest.name)} is {seen.state} in this node's ledger already", BAD_INPUT)
    if seen.obstacles:
        fail(f"release {seen.release.manifest.name} cannot be approved as things are", FAILED)
    if seen.unranked and not unranked:
        fail(f"{seen.unranked}; to approve it all the same: --unranked", FAILED)
    if not yes and not typer.confirm("Approve this release?"):
        errors.print("not approved; nothing was written")
        raise typer.Exit(FAILED)
    serving = ServingDir(node_dir)
    kept = serving.release_folder(seen.release.hash)
    if not kept.exists():
        draft = kept.with_name(f".{kept.name}.new")
        shutil.rmtree(draft, ignore_errors=True)
        try:
            draft.parent.mkdir(mode=0o700, exist_ok=True)
            shutil.copytree(source, draft)
            serving.share(draft)
        except OSError as error:
            fail(f"{kept}: cannot be written ({error.strerror or 'see the disk'}); nothing was approved", FAILED)
        # What was looked at is what is kept, whatever happened to the folder meanwhile.
        if Release.load(draft).hash != seen.release.hash:
            shutil.rmtree(draft, ignore_errors=True)
            fail(f"{source}: was changed while it was looked at; look again", BAD_INPUT)
        draft.rename(kept)
    with opened(node_dir) as ledger:
        seq = ledger.append(lambda state: admit(seen.release, node_dir.config()))
        hand_over(node_dir, ledger)
    shutil.rmtree(serving.proposed / seen.release.hash, ignore_errors=True)
    console.print(f"approved: {foreign(seen.release.manifest.name)}, entry {seq} of the ledger")
    if node_dir.config().node.role == "lender":
        console.print("to score with it: [bold]sealscore-node release use[/bold]")


@app.command("list")
def list_releases(folder: Folder = HERE) -> None:
    """List the releases that were proposed or approved, and what each is used for."""
    node_dir = node_dir_at(folder)
    serving = ServingDir(node_dir)
    lender, pointer = node_dir.config().node.role == "lender", serving.pointer
    table = Table("release", Column("hash", min_width=GROUP), "approved", "used as", "expires")
    with opened(node_dir) as ledger:
        known = dict(ledger.state.serving.releases)
    for hash, state in known.items():
        used = pointer.role(hash) if lender else "tokens" if state.state == "live" else ""
        row = (state.manifest.name, grouped(hash), state.state, used, str(state.manifest.expires))
        table.add_row(*map(foreign, row))
    proposed = {hash: manifest for hash, manifest in serving.proposed_releases().items() if hash not in known}
    for hash, manifest in proposed.items():
        table.add_row(*map(foreign, (manifest.name, grouped(hash), "not approved", "", str(manifest.expires))))
    console.print(
        table if known or proposed else "no release was proposed or approved yet; sealscore-node release approve FOLDER"
    )


@app.command()
def refuse(release: ReleaseArgument, folder: Folder = HERE) -> None:
    """Remove a proposed release, which makes room for others. One that was approved is withdrawn instead."""
    serving = ServingDir(node_dir_at(folder))
    names = {hash: manifest.name for hash, manifest in serving.proposed_releases().items()}
    hash = _named(names, release, "proposed release")
    shutil.rmtree(serving.proposed / hash)
    console.print(f"refused: {foreign(names[hash])}")


@app.command()
def use(
    release: ReleaseArgument,
    shadow: Annotated[
        bool, typer.Option("--shadow", help="Score with it beside the live one, for comparison.")
    ] = False,
    folder: Folder = HERE,
) -> None:
    """At a lender: score with an approved release from now on; the one before it stays for rollback."""
    node_dir = _lender(folder)
    hash, state = approved_release(node_dir, release)
    serving = ServingDir(node_dir)
    serving.release(hash)
    with opened(node_dir) as ledger:
        hand_over(node_dir, ledger)
    pointer = serving.pointer
    if shadow and pointer.live == hash:
        fail(f"release {state.manifest.name} is live; another one can be in the shadow", BAD_INPUT)
    if shadow:
        _point(node_dir, Pointer(pointer.live, pointer.before, hash, pointer.retired), "shadow")
    else:
        _point(node_dir, pointer.going_live(hash), "live")
    console.print(f"{'in the shadow' if shadow else 'live'}: {foreign(state.manifest.name)}")


@app.command()
def rollback(folder: Folder = HERE) -> None:
    """At a lender: score with the release before the live one again."""
    node_dir = _lender(folder)
    serving = ServingDir(node_dir)
    before = serving.pointer.before
    if before is None:
        fail("there is no release to go back to; sealscore-node release list shows what there is", BAD_INPUT)
    hash, state = approved_release(node_dir, before)
    serving.release(hash)
    _point(node_dir, serving.pointer.going_live(hash), "rollback")
    console.print(f"live: {foreign(state.manifest.name)}")


@app.command()
def withdraw(
    release: ReleaseArgument,
    why: Annotated[str, typer.Option(help="The reason, for the ledger.")] = "withdrawn by the operator",
    folder: Folder = HERE,
) -> None:
    """Withdraw a release: no token is made under it any more, and nothing is scored by it. It cannot be undone.

    Where that was broken off, the same command again ends it.
    """
    node_dir, why = node_dir_at(folder), reason(why)
    hash, state = approved_release(node_dir, release, ended=True)
    serving = ServingDir(node_dir)
    with opened(node_dir) as ledger:
        before = ledger.state.serving.releases[hash].state != "live"
        if not before:
            ledger.append(lambda folded: EndRelease(release=hash, why=why))
        hand_over(node_dir, ledger)
    serving.point(serving.pointer.without(hash))
    console.print(f"withdrawn{' before' if before else ''}: {foreign(state.manifest.name)}")
    if node_dir.config().node.role == "lender" and serving.pointer.live is None:
        console.print("no release is live now: sealscore-node release use, or rollback")


def _point(node_dir: NodeDir, pointer: Pointer, what: Literal["live", "shadow", "rollback"]) -> None:
    """Use releases otherwise from now on, with a signed line of the log: it says what answered when, and by whose word.

    The line comes first. Where what follows is broken off, it stands alone, and the same command again ends it.
    """
    serving = ServingDir(node_dir)
    now = {"live": pointer.live, "shadow": pointer.shadow, "before": serving.pointer.live}
    with score_log(node_dir) as (_, log), log.commit() as batch:
        batch.note("release", {"form": 1, "what": what, "caller": f"command of {os.getuid()}", **now})
    serving.point(pointer)


def hand_over(node_dir: NodeDir, ledger: Ledger) -> None:
    """Tell a lender's scorer, which reads no ledger, what the ledger has as approved."""
    config = node_dir.config()
    if config.node.role == "lender":
        live = [one.manifest for one in ledger.state.serving.live]
        ServingDir(node_dir).hand_over(config.node.name, {one.hash: one.retraining_code for one in live})


def _lender(folder: Path) -> NodeDir:
    node_dir = node_dir_at(folder)
    if node_dir.config().node.role != "lender":
        fail("this is a platform's node; lenders score", BAD_INPUT)
    return node_dir


def _located(node_dir: NodeDir, wanted: str) -> Path:
    """The folder of the release that an operator means."""
    if Path(wanted).is_dir():
        return Path(wanted)
    serving = ServingDir(node_dir)
    proposed = {hash: manifest.name for hash, manifest in serving.proposed_releases().items()}
    with opened(node_dir) as ledger:
        approved = {hash: state.manifest.name for hash, state in ledger.state.serving.releases.items()}
    hash = _named(proposed | approved, wanted, "folder and no release")
    return serving.release_folder(hash) if hash in approved else serving.proposed / hash


def _seen(node_dir: NodeDir, source: Path) -> ReleaseReview:
    release = Release.load(source)
    with opened(node_dir) as ledger:
        return review(node_dir, release, ledger.state)


def approved_release(node_dir: NodeDir, wanted: str, ended: bool = False) -> tuple[str, ReleaseState]:
    """The approved release that an operator means, live unless `ended` will do; ends with an error where there is none,
    or several.
    """
    with opened(node_dir) as ledger:
        known = dict(ledger.state.serving.releases)
    hash = _named({hash: state.manifest.name for hash, state in known.items()}, wanted, "approved release")
    if known[hash].state != "live" and not ended:
        fail(f"release {foreign(known[hash].manifest.name)} was withdrawn", BAD_INPUT)
    return hash, known[hash]


def _named(names: dict[str, str], wanted: str, what: str) -> str:
    """The hash that an operator means among `names` by hash; ends with an error where there is none, or several."""
    digits = ungrouped(wanted)
    fitting = [
        hash for hash, name in names.items() if name == wanted or (len(digits) >= GROUP and hash.startswith(digits))
    ]
    if len(fitting) != 1:
        listed = [f"{grouped(hash)} {foreign(name)}" for hash, name in names.items()] or ["none"]
        which = "several releases are" if fitting else f"no {what} is"
        fail([f"{foreign(wanted)}: {which} so named; releases:", *listed], BAD_INPUT)
    return fitting[0]


def _print(seen: ReleaseReview) -> None:
    table = Table(Column(no_wrap=True), Column(overflow="fold"), show_header=False, box=None, padding=(0, 2, 0, 0))
    for what, words in seen.lines:
        table.add_row(f"[bold]{what}[/bold]", foreign(words, 10_000))
    console.print(table, highlight=False)
    for obstacle in seen.obstacles:
        errors.print(f"[red]in the way:[/red] {foreign(obstacle, 10_000)}", highlight=False)
    if seen.unranked:
        errors.print(f"[yellow]to weigh:[/yellow] {foreign(seen.unranked)}", highlight=False)
