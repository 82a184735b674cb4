"""`sealscore-server bundle`: the app bundle as a file, for partners to look at before they approve a plan."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sealscore.server.commands.terminal import HERE, Folder, console, server_dir_at, signed_plan
from sealscore.shared import bundle as bundles
from sealscore.shared.files import write_whole
from sealscore.shared.text.terminal import BAD_INPUT, fail, foreign, grouped


def bundle(
    output: Annotated[Path, typer.Option("-o", "--output", help="The file, such as app.fab.")],
    plan: Annotated[str | None, typer.Option(help="The signed plan that it must be the bundle of.")] = None,
    folder: Folder = HERE,
) -> None:
    """Write the app bundle of this version: the code that carries messages at partners, whose hash plans name."""
    built = bundles.courier_bundle()
    if plan is not None:
        wanted = signed_plan(server_dir_at(folder).signed_plans(), plan).bundle
        if wanted != built.sha256:
            fail(
                [
                    f"plan {plan} names the app bundle",
                    grouped(str(wanted)),
                    "and that of this version is",
                    grouped(built.sha256),
                    "use the version of Sealscore that the plan was signed with",
                ],
                BAD_INPUT,
            )
    try:
        write_whole(output, built.content)
    except OSError as error:
        fail(f"{output}: cannot be written ({error.strerror})", BAD_INPUT)
    console.print(f"{len(built.content):,} bytes are written to {foreign(output)}; its SHA-256 is", highlight=False)
    console.print(grouped(built.sha256), highlight=False)
    console.print("give the file to the partners; sealscore-node plan approve PLAN --bundle FILE looks into it")
