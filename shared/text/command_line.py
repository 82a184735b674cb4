"""The commands of a typer app as click has them, each argument with its description."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import click
import typer
from rich.markup import escape
from typer.utils import get_params_from_function


def command_of(app: typer.Typer) -> click.Command:
    """The command line of an app.

    typer gives an argument its description before click's own set-up, which sets it to none in click 8.5: it is put
    back from what the command's function declares. Words in brackets are no markup, and are shown.
    """
    command = typer.main.get_command(app)
    for _, found in commands_of(command, ""):
        _describe(found)
        found.help = _plain(found.help)
        for one in found.params:
            if described(one):
                one.help = _plain(described(one))
    return command


def commands_of(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    """A command and all below it, each with the words by which it is typed."""
    yield name, command
    if isinstance(command, click.Group):
        for word, below in command.commands.items():
            yield from commands_of(below, f"{name} {word}".strip())


def described(parameter: click.Parameter) -> str:
    """The description of an option or argument, empty where it has none."""
    return str(getattr(parameter, "help", None) or "")


def _plain(text: str | None) -> str | None:
    return None if text is None else escape(text.replace("\\[", "["))


def _describe(command: click.Command) -> None:
    lacking = [one for one in command.params if isinstance(one, click.Argument) and not described(one)]
    if not lacking or command.callback is None:
        return
    declared = get_params_from_function(inspect.unwrap(command.callback))
    for one in lacking:
        if one.name in declared:
            one.help = getattr(declared[one.name].default, "help", None)
