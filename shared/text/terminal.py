"""How every command line of Sealscore shows what it has to say, and how it ends: a message, and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from typing import Annotated, Any, NoReturn

import click
import typer
from rich.console import Console, ConsoleDimensions
from rich.markup import escape
from rich.text import Text

from sealscore.shared.text.command_line import command_of
from sealscore.shared.text.foreign import MOST, grouped, plain, ungrouped, visible
from sealscore.shared.text.numbers import SPACE

FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130

_PIPE = 2000  # columns of what is no terminal: programs read lines, and a folded one is two
_LINE, _LINES = 4000, 60

Expected = Callable[[], Mapping[type[Exception], int]]


def foreign(text: object, most: int = MOST) -> str:
    """Words of a peer, the server, a plan or a file, for a screen: visible, on one line, bounded, and no markup."""
    return escape(plain(text, most))


class Terminal(Console):
    """A console that writes no control character but its own, whatever it is given to print."""

    def __init__(self, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, emoji=False)

    def render_str(self, text: str, **options: Any) -> Text:
        """The text with its markup; what is invisible in it is escaped, but for the blank within a number."""
        return super().render_str(visible(text.replace(SPACE, " ")), **options)

    @property
    def size(self) -> ConsoleDimensions:
        """Columns and lines; a pipe has so many columns that nothing is folded."""
        found = super().size
        if self._width is not None or self.is_terminal or "COLUMNS" in os.environ:
            return found
        return ConsoleDimensions(_PIPE, found.height)

    @size.setter
    def size(self, new_size: tuple[int, int]) -> None:
        self._width, self._height = new_size


errors = Terminal(stderr=True)


def lines(text: str) -> str:
    """A text of several lines as it is shown: what is invisible escaped, bounded, and all but the first line set in.

    So no line that words of others may have got into a text stands where one of the program's own begins.
    """
    return _set_in(text.split("\n"))


def _set_in(told: Sequence[object]) -> str:
    first, *more = (plain(line, _LINE) for line in told)
    shown = [first, *(f"  {line}" for line in more[: _LINES - 1])]
    if len(more) >= _LINES:
        shown.append(f"  ({len(more) - _LINES + 1:,} more lines)")
    return "\n".join(shown)


def fail(message: object, code: int = FAILED) -> NoReturn:
    """Say what went wrong, and end with that exit code.

    The message is one line, whatever it quotes, unless it is a list of lines or an error that has `lines`.
    """
    told = message if isinstance(message, list) else getattr(message, "lines", None) or [message]
    errors.print(f"[red]error:[/red] {escape(_set_in(told))}", highlight=False, soft_wrap=True)
    sys.exit(code)


def _say_version(asked: bool) -> None:
    if asked:
        print(f"sealscore {version('sealscore')}")
        raise typer.Exit()


def program(
    _: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_say_version, help="Print the version and end.")
    ] = False,
) -> None:
    """What every program takes before its command."""


def run_app(app: typer.Typer, expected: Expected, interrupted: str) -> NoReturn:
    """Run a command line: `expected` errors become one message and their exit code, Ctrl-C the given words and 130.

    What is expected is asked for when there is an error: who asks for help should not wait for all that can fail.
    Whatever the program and what it starts write is its user's alone.
    """
    os.umask(0o077)
    if app.registered_callback is None and len(app.registered_commands) + len(app.registered_groups) > 1:
        app.callback()(program)
    try:
        code = command_of(app)(standalone_mode=False)
        if code == INTERRUPTED:  # typer turns Ctrl-C into this code, without a word
            raise KeyboardInterrupt
        sys.exit(code)
    except click.ClickException as error:
        if isinstance(error, click.UsageError) and error.ctx is not None:
            tell = f"Try '{error.ctx.command_path} --help' for help."
            errors.print(f"{error.ctx.get_usage()}\n{tell}\n", markup=False, highlight=False, soft_wrap=True)
        fail(error.format_message(), error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        fail(interrupted, INTERRUPTED)
    except Exception as error:
        for kind, code in expected().items():
            if isinstance(error, kind):
                fail(error, code)
        raise


__all__ = [
    "BAD_INPUT",
    "FAILED",
    "INTERRUPTED",
    "Terminal",
    "errors",
    "fail",
    "foreign",
    "grouped",
    "lines",
    "plain",
    "program",
    "run_app",
    "ungrouped",
    "visible",
]
