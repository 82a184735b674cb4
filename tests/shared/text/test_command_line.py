"""All four command lines: every command and every parameter has a description, and it is shown whole."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

import click
import pytest
from click.testing import CliRunner

from sealscore.clients.commands.together import together
from sealscore.compliance.cli import app as compliance
from sealscore.server.cli import app as server
from sealscore.shared.text.command_line import command_of, commands_of, described
from sealscore.simulations.cli import app as simulations

PROGRAMS = ("sealscore-node", "sealscore-server", "sealscore-compliance", "sealscore-sim")


@cache
def program(name: str) -> click.Command:
    apps = dict(zip(PROGRAMS, (together(), server, compliance, simulations), strict=True))
    return command_of(apps[name])


def every() -> Iterator[tuple[str, click.Command]]:
    for name in PROGRAMS:
        yield from commands_of(program(name), name)


def shown(command: click.Command) -> str:
    """What --help shows, its frames and line breaks taken out."""
    said = CliRunner(env={"COLUMNS": "300", "TERMINAL_WIDTH": "300"}).invoke(command, ["--help"], color=False)
    return " ".join(re.sub(r"[│╭╮╰╯─]", " ", said.output).split())


def test_every_command_and_every_parameter_has_a_description():
    lacking = [name for name, command in every() if not (command.help or "").strip()]
    lacking += [f"{name}: {one.name}" for name, command in every() for one in command.params if not described(one)]
    assert lacking == []
    assert sum(1 for _ in every()) > 100


@pytest.mark.parametrize("name", PROGRAMS)
def test_each_completes_in_a_shell(name: str):
    assert {"install_completion", "show_completion"} <= {one.name for one in program(name).params}


def test_no_description_loses_its_brackets():
    """Words in brackets, as a table of a file, are no markup."""
    lost = []
    for name, command in every():
        texts = [text.replace("\\[", "[") for text in (command.help or "", *map(described, command.params))]
        if any("[" in text for text in texts):
            said = shown(command)
            lost += [
                f"{name}: {word}" for text in texts for word in re.findall(r"\[[^\]]*\]", text) if word not in said
            ]
    assert lost == []


def test_the_description_of_an_argument_is_shown():
    check = dict(commands_of(program("sealscore-node"), ""))["check"]
    (plan,) = [one for one in check.params if one.name == "plan"]
    assert described(plan)
    assert described(plan) in shown(check)
