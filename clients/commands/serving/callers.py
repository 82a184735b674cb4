"""`sealscore-node caller`: who may ask a lender's scorer, or a platform's API, and what."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from sealscore.clients.commands.serving.serve import scorer_dir_at
from sealscore.clients.commands.terminal import BAD_INPUT, HERE, Folder, console, fail
from sealscore.clients.http.callers import CallerFile, CallersError
from sealscore.clients.setup.node_dir import NodeDir
from sealscore.shared.text.terminal import foreign

app = typer.Typer(help="Say who may ask the scorer, or a platform's API, and what.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The caller's name, as the log of scores keeps it.")]


@app.command()
def add(
    name: Name,
    right: Annotated[
        list[str],
        typer.Option(
            help="At a lender score, batch, replay, features, decide, review, notice, loans, metrics; "
            "at a platform consent, read, features."
        ),
    ],
    subject: Annotated[
        str | None,
        typer.Option(help="Know it by the subject of its client certificate, such as CN=loans; no token."),
    ] = None,
    folder: Folder = HERE,
) -> None:
    """Add a caller. Its token is printed once and kept nowhere: give it to the caller by a safe way."""
    try:
        token = _file(folder).add(name, right, subject)
    except CallersError as error:
        fail(str(error), BAD_INPUT)
    print(token if token is not None else f"added: {name}")


@app.command("list")
def list_callers(folder: Folder = HERE) -> None:
    """List the callers, their rights, and how each is known."""
    try:
        known = _file(folder).read()
    except CallersError as error:
        fail(str(error), BAD_INPUT)
    table = Table("caller", "rights", "known by")
    for one in known:
        by = "token" if one.subject is None else foreign(one.subject)
        table.add_row(foreign(one.name), ", ".join(sorted(one.rights)), by)
    console.print(table if known else "nobody may ask yet; sealscore-node caller add NAME --right RIGHT")


@app.command()
def remove(name: Name, folder: Folder = HERE) -> None:
    """Remove a caller: its next request is refused."""
    try:
        _file(folder).remove(name)
    except CallersError as error:
        fail(str(error), BAD_INPUT)
    console.print(f"removed: {foreign(name)}")


def _file(folder: Path) -> CallerFile:
    """The callers of the service that a node of this role has, or a scorer's folder."""
    found = folder.resolve()
    if (found / "node.toml").exists() and NodeDir(found).config().node.role == "platform":
        from sealscore.clients.platform_api.app import caller_file as of_platform

        return of_platform(found)
    from sealscore.clients.serve.process import caller_file as of_scorer

    return of_scorer(scorer_dir_at(folder))
