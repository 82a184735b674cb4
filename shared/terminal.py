"""How every command line of Sealscore ends: one message on the error console, and an exit code that tells."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import NoReturn

import click
import typer
from rich.console import Console
from rich.markup import escape

FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130

errors = Console(stderr=True)

Expected = Mapping[type[Exception], int]


def fail(message: object, code: int = FAILED) -> NoReturn:
    """Say what went wrong, and end with that exit code."""
    errors.print(f"[red]error:[/red] {escape(str(message))}", highlight=False, soft_wrap=True)
    sys.exit(code)


def run_app(app: typer.Typer, expected: Expected, interrupted: str) -> NoReturn:
    """Run a command line: `expected` errors become one message and their exit code, Ctrl-C the given words and 130."""
    try:
        code = app(standalone_mode=False)
        if code == INTERRUPTED:  # typer turns Ctrl-C into this code, without a word
            raise KeyboardInterrupt
        sys.exit(code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except tuple(expected) as error:
        fail(error, next(code for kind, code in expected.items() if isinstance(error, kind)))
    except (KeyboardInterrupt, click.Abort):
        fail(interrupted, INTERRUPTED)
