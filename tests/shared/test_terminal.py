"""How a command line ends: one message, and an exit code that tells."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest
import typer

from shared.terminal import BAD_INPUT, FAILED, INTERRUPTED, fail, run_app


def ended(monkeypatch: pytest.MonkeyPatch, command: Callable[[], None], *arguments: str) -> object:
    app = typer.Typer()
    app.command()(command)
    monkeypatch.setattr(sys, "argv", ["program", *arguments])
    with pytest.raises(SystemExit) as stopped:
        run_app(app, {LookupError: BAD_INPUT, OSError: FAILED}, "interrupted; nothing is lost")
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


def test_an_unknown_option_is_bad_input(monkeypatch: pytest.MonkeyPatch):
    assert ended(monkeypatch, lambda: None, "--no-such-option") == BAD_INPUT


def test_what_nobody_expected_is_not_hidden(monkeypatch: pytest.MonkeyPatch):
    app = typer.Typer()
    app.command()(raising(ZeroDivisionError("oh")))
    monkeypatch.setattr(sys, "argv", ["program"])
    with pytest.raises(ZeroDivisionError):
        run_app(app, {}, "")


def test_brackets_in_a_message_are_shown(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        fail("see [data.columns] and [/x]")
    assert "see [data.columns] and [/x]" in capsys.readouterr().err
