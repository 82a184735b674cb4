"""`sealscore-server release`: make releases of finished runs, send them to the parties, list them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Column, Table

from sealscore.server.commands.running import run_action, show_said
from sealscore.server.commands.terminal import HERE, Folder, console, server_dir_at, signed_plan
from sealscore.server.releases.making import MONITORING, PURPOSE, Wanted, make_release
from sealscore.server.run.run_files import release_said
from sealscore.shared.plan.errors import PlanError
from sealscore.shared.plan.toml import load_toml
from sealscore.shared.serving.manifest import MANIFEST, Manifest
from sealscore.shared.serving.parcel import pack, recipients
from sealscore.shared.serving.release import Release
from sealscore.shared.text.foreign import GROUP
from sealscore.shared.text.terminal import BAD_INPUT, fail, foreign, grouped

app = typer.Typer(help="Make releases of finished runs, for lenders to score with.", no_args_is_help=True)


@app.command()
def new(
    plan: Annotated[str, typer.Argument(help="The name of the plan whose run has finished.")],
    name: Annotated[str | None, typer.Option(help="The release's name; by default the plan's and today.")] = None,
    purpose: Annotated[str, typer.Option(help="The purpose's code, by which consents name it.")] = PURPOSE,
    days: Annotated[int, typer.Option(min=1, max=1100, help="Days for which it may be used.")] = 365,
    most_a_day: Annotated[int, typer.Option(min=1, help="Tokens of a platform for a lender in a day.")] = 1000,
    token_days: Annotated[int, typer.Option(min=1, max=90, help="Days for which a token may be used.")] = 30,
    batch_places: Annotated[int, typer.Option(min=8, help="Places of the day's batch of a pair.")] = 64,
    lender: Annotated[list[str] | None, typer.Option(help="A lender that may score with it; by default all.")] = None,
    capacity: Annotated[
        list[str] | None, typer.Option(help="KIND:COLUMN:EDGE,EDGE,... told as a band in 3 bits.")
    ] = None,
    flag: Annotated[list[str] | None, typer.Option(help="KIND:COLUMN:ABOVE told as 1 bit.")] = None,
    reasons: Annotated[list[str] | None, typer.Option(help="KIND of platforms that tell reasons, 8 bits.")] = None,
    watch: Annotated[
        list[str] | None,
        typer.Option(
            help="KIND:WORST:QUARTERS, the worst share, of platforms that tell the watch bit, 1 bit a quarter."
        ),
    ] = None,
    monitoring: Annotated[
        str, typer.Option(help="The purpose's code by which consents name the watch bit.")
    ] = MONITORING,
    retraining: Annotated[
        str | None, typer.Option(help="The purpose's code by which consents name retraining; none names it without.")
    ] = None,
    sentences: Annotated[
        Path | None, typer.Option(help="TOML with sentences of reasons by feature, as a plan's reason has them.")
    ] = None,
    folder: Folder = HERE,
) -> None:
    """Make a release of a finished run: a folder that partners approve by its hash."""
    server_dir = server_dir_at(folder)
    signed = signed_plan(server_dir.signed_plans(), plan)
    day = datetime.now(UTC).date()
    named = name or f"{plan}-{day}"
    target = server_dir.releases / named
    if target.exists():
        fail(f"{target}: there is a release of that name; choose another with --name", BAD_INPUT)
    wanted = Wanted(
        name=named,
        purpose_code=purpose,
        issued=day,
        expires=day + timedelta(days=days),
        most_a_day=most_a_day,
        token_days=token_days,
        batch_places=batch_places,
        lenders=tuple(lender or ()),
        capacity=dict(_capacity(one) for one in capacity or ()),
        flag=dict(_flag(one) for one in flag or ()),
        watch=dict(_watch(one) for one in watch or ()),
        monitoring_code=monitoring,
        reasons=tuple(reasons or ()),
        retraining_code=retraining,
        sentences=None if sentences is None else load_toml(sentences),
    )
    manifest = make_release(server_dir.run_folder(signed), target, wanted)
    console.print(f"made: {foreign(manifest.name)}, hash\n  [bold]{grouped(manifest.hash)}[/bold]")
    console.print(f"give the folder {foreign(target)} to the partners, and read them the hash;")
    console.print(f"to nodes with a live plan, [bold]sealscore-server release publish {foreign(named)}[/bold] sends it")


@app.command()
def publish(name: Annotated[str, typer.Argument(help="The release's name.")], folder: Folder = HERE) -> None:
    """Send a release to the nodes of those whom it concerns, for their operators to look at; exit code 0 only if all
    took it.

    A node runs no app bundle that none of its live plans names. A run that has finished ended its plan: a node without
    another live plan of this version cannot be reached, so send it the release's folder.
    """
    server_dir = server_dir_at(folder)
    source = server_dir.releases / name
    if Path(name).name != name or not source.is_dir():
        known = ", ".join(server_dir.made_releases())
        fail(f"{foreign(name)}: no release is so named; releases: {foreign(known or 'none')}", BAD_INPUT)
    release = Release.load(source)
    # What cannot be sent is said here, and not by a run that fails.
    pack(source, release)
    said = release_said(server_dir, release)
    said.unlink(missing_ok=True)
    run_action(server_dir, release.plan, "publish-release", name)
    if without := show_said(said, recipients(release), "release"):
        fail(
            f"{', '.join(without)} did not take the release; send them the folder {source}, "
            f"and read them the hash {grouped(release.hash)}"
        )


@app.command("list")
def list_releases(folder: Folder = HERE) -> None:
    """List the releases."""
    server_dir = server_dir_at(folder)
    table = Table("release", Column("hash", min_width=GROUP), "lenders", "expires")
    found = server_dir.made_releases()
    for name, path in found.items():
        try:
            manifest = Manifest.load(path / MANIFEST)
        except PlanError as error:
            table.add_row(foreign(name), foreign(str(error)), "", "")
            continue
        row = (manifest.name, grouped(manifest.hash), ", ".join(manifest.lenders), str(manifest.expires))
        table.add_row(*map(foreign, row))
    console.print(table if found else "no release yet; sealscore-server release new PLAN")


def _capacity(text: str) -> tuple[str, dict[str, object]]:
    group, column, edges = _three(text, "--capacity", "KIND:COLUMN:EDGE,EDGE,...")
    return group, {"column": column, "edges": [_number(edge, "--capacity") for edge in edges.split(",")]}


def _flag(text: str) -> tuple[str, dict[str, object]]:
    group, column, above = _three(text, "--flag", "KIND:COLUMN:ABOVE")
    return group, {"column": column, "above": _number(above, "--flag")}


def _watch(text: str) -> tuple[str, dict[str, object]]:
    group, worst, quarters = _three(text, "--watch", "KIND:WORST:QUARTERS")
    return group, {"worst": _number(worst, "--watch"), "quarters": _whole(quarters, "--watch")}


def _three(text: str, option: str, form: str) -> tuple[str, str, str]:
    parts = text.split(":")
    if len(parts) != 3:
        raise typer.BadParameter(f"{text!r}: write {form}", param_hint=option)
    return parts[0], parts[1], parts[2]


def _number(text: str, option: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no number", param_hint=option) from None


def _whole(text: str, option: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no whole number", param_hint=option) from None
