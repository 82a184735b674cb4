"""How a command line ends: one message, and an exit code that tells."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest
import typer
from rich.table import Table

from sealscore.shared.plan.errors import PlanError
from sealscore.shared.text.terminal import (
    BAD_INPUT,
    FAILED,
    INTERRUPTED,
    Terminal,
    fail,
    foreign,
    grouped,
    lines,
    run_app,
)


def ended(monkeypatch: pytest.MonkeyPatch, command: Callable[[], None], *arguments: str) -> object:
    app = typer.Typer()
    app.command()(command)
    monkeypatch.setattr(sys, "argv", ["program", *arguments])
    with pytest.raises(SystemExit) as stopped:
        run_app(app, lambda: {LookupError: BAD_INPUT, OSError: FAILED}, "interrupted; nothing is lost")
    return stopped.value.code


def raising(error: BaseException) -> Callable[[], None]:
    def command() -> None:
        raise error

    return command


def test_what_goes_well_is_0(monkeypatch: pytest.MonkeyPatch):
    assert not ended(monkeypatch, lambda: None)


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (KeyError("no such plan"), BAD_INPUT, "error: 'no such plan'"),
        (OSError("the disk is full"), FAILED, "error: the disk is full"),
        (KeyboardInterrupt(), INTERRUPTED, "error: interrupted; nothing is lost"),
        (typer.Abort(), INTERRUPTED, "error: interrupted; nothing is lost"),
        (typer.BadParameter("not so"), BAD_INPUT, "not so"),
        (typer.Exit(5), 5, ""),
    ],
)
def test_errors_are_one_message_and_their_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException, code: int, said: str
):
    assert ended(monkeypatch, raising(error)) == code
    out, err = capsys.readouterr()
    assert said in err
    assert "Traceback" not in err
    assert out == ""


@pytest.mark.parametrize("arguments", [["--version"], ["one"]])
def test_a_program_of_several_commands_tells_its_version(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str]
):
    app = typer.Typer()
    app.command("one")(lambda: print("ran"))
    app.command("two")(lambda: None)
    monkeypatch.setattr(sys, "argv", ["program", *arguments])
    with pytest.raises(SystemExit) as stopped:
        run_app(app, dict, "")
    assert not stopped.value.code
    assert capsys.readouterr().out == {"--version": f"sealscore {version('sealscore')}\n"}.get(arguments[0], "ran\n")


def test_an_unknown_option_is_bad_input(monkeypatch: pytest.MonkeyPatch):
    assert ended(monkeypatch, lambda: None, "--no-such-option") == BAD_INPUT


def test_what_nobody_expected_is_not_hidden(monkeypatch: pytest.MonkeyPatch):
    app = typer.Typer()
    app.command()(raising(ZeroDivisionError("oh")))
    monkeypatch.setattr(sys, "argv", ["program"])
    with pytest.raises(ZeroDivisionError):
        run_app(app, dict, "")


def test_brackets_in_a_message_are_shown(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        fail("see [data.columns] and [/x]")
    assert "see [data.columns] and [/x]" in capsys.readouterr().err


class TestScreen:
    def test_nothing_that_is_printed_moves_the_cursor_or_hides_words(self):
        terminal, said = Terminal(), io.StringIO()
        terminal.file = said
        table = Table("a\x1b[2J", title="\u202etitle")
        table.add_row("x\x9b\x07\u200b")
        terminal.print(table)
        terminal.print("raw\x1b]0;t\x07 \x7f\u2028")
        assert all(one == "\n" or one.isprintable() for one in said.getvalue())
        assert "raw\\x1b]0;t\\x07 \\x7f\\u2028" in said.getvalue()

    def test_words_between_colons_stay_words(self):
        terminal, said = Terminal(), io.StringIO()
        terminal.file = said
        terminal.print("state :heavy_check_mark:")
        assert said.getvalue() == "state :heavy_check_mark:\n"

    def test_a_pipe_folds_nothing_and_a_narrow_terminal_folds_between_groups(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.delenv("COLUMNS", raising=False)
        digest = grouped("0123456789abcdef" * 4)
        for width in (None, 80, 40):
            terminal, said = Terminal(), io.StringIO()
            terminal.file, terminal._width = said, width
            table = Table(show_header=False, box=None, padding=(0, 2))
            table.add_row("app bundle", digest)
            terminal.print(table)
            rows = said.getvalue().splitlines()
            assert " ".join(" ".join(rows).split()) == f"app bundle {digest}"
            assert (len(rows) == 1) == (width is None)


def test_foreign_text_is_no_markup_and_one_line():
    terminal, said = Terminal(), io.StringIO()
    terminal.file = said
    terminal.print(f"purpose {foreign('[bold]a[/bold]' + chr(10) + 'cost 0 ' + chr(92) + '[red]')}")
    assert said.getvalue() == "purpose [bold]a[/bold]\\x0acost 0 \\[red]\n"


def test_lines_of_a_message_that_are_not_its_first_are_set_in(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        fail(["first", "error: second\x1b[8m\nerror: third", "x" * 10_000])
    first, second, third = capsys.readouterr().err.splitlines()
    assert (first, second) == ("error: first", "  error: second\\x1b[8m\\x0aerror: third")
    assert third.startswith("  xxx")
    assert third.endswith("more characters)")


def test_what_a_program_writes_is_its_users_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    before = os.umask(0o022)
    try:
        assert not ended(monkeypatch, lambda: (tmp_path / "written").touch())
    finally:
        os.umask(before)
    assert (tmp_path / "written").stat().st_mode & 0o777 == 0o600


def test_an_argument_is_quoted_without_its_terminal_codes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    ended(monkeypatch, raising(typer.BadParameter("'\x1b[8m' is no day")))
    assert "'\\x1b[8m' is no day" in capsys.readouterr().err


def test_an_error_has_one_line_unless_it_says_that_it_has_more(capsys: pytest.CaptureFixture[str]):
    for error, shown in (
        (ValueError("one\nerror: two"), ["error: one\\x0aerror: two"]),
        (PlanError("plan.toml", ["one", "two\nthree"]), ["error: plan.toml: one", "  plan.toml: two\\x0athree"]),
    ):
        with pytest.raises(SystemExit):
            fail(error)
        assert capsys.readouterr().err.splitlines() == shown
    assert lines("one\n\x1b[8mtwo") == "one\n  \\x1b[8mtwo"
