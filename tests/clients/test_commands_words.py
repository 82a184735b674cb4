"""What commands say is shown as it is: brackets in a message, a path or a plan are no markup. And what is typed finds
its command, without what other commands import.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import typer
from builders import small_plan
from typer.testing import CliRunner

from sealscore.clients.cli import app, main
from sealscore.clients.commands.init import init
from sealscore.clients.commands.plan import opened
from sealscore.clients.commands.together import COMMANDS, together
from sealscore.clients.setup.node_dir import NodeDir
from sealscore.shared.ledger.entries import Limit
from sealscore.shared.text.terminal import fail


@pytest.fixture
def home(tmp_path: Path) -> NodeDir:
    """A lender's node in a folder."""
    init(name="lender-1", role="lender", folder=tmp_path)
    return NodeDir(tmp_path)


def test_an_error_keeps_its_brackets(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        fail("node.toml's [budget] is not the ledger's; [/bold] neither")
    assert "node.toml's [budget] is not the ledger's; [/bold] neither" in capsys.readouterr().err


def test_a_finding_keeps_its_brackets(home: NodeDir):
    with opened(home) as ledger:
        ceilings = home.config().budget.model_copy(update={"epsilon": 1.0})
        ledger.append(lambda state: Limit(ceilings=ceilings, why="a test"))
    told = CliRunner().invoke(app, ["check", "--no-connect", "--home", str(home.folder)])
    assert told.exit_code == 1
    assert "its [budget] is not the one in force" in told.output


def test_a_plan_cannot_hide_words_of_its_purpose(home: NodeDir, tmp_path: Path):
    file = tmp_path / "plan.json"
    file.write_bytes(small_plan(purpose="scores [black on black]and advertising[/]").canonical())
    told = CliRunner().invoke(app, ["plan", "show", str(file), "--home", str(home.folder)])
    assert "[black on black]and advertising[/]" in told.output


def test_the_authority_is_copied_and_must_be_a_certificate(tmp_path: Path):
    from sealscore.server.deploy.certificates import make_authority

    certificate = make_authority(tmp_path / "server")
    init(name="lender-1", role="lender", authority=certificate, folder=tmp_path / "node")
    assert (tmp_path / "node" / "ca.pem").read_bytes() == certificate.read_bytes()
    (tmp_path / "none.pem").write_text("nothing")
    with pytest.raises(SystemExit):
        init(name="lender-1", role="lender", authority=tmp_path / "none.pem", folder=tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_node_that_was_stopped_is_not_connected(home: NodeDir):
    home.status_file.write_text('{"state": "stopped", "pid": 1, "at": 0, "connected": true}')
    told = CliRunner().invoke(app, ["status", "--wait", "0.1", "--home", str(home.folder)])
    assert told.exit_code == 1
    assert "connected" in told.output
    assert "yes" not in told.output


def test_one_command_is_the_same_alone_as_among_all():
    whole = typer.main.get_group(app).commands
    assert set(whole) == set(COMMANDS)
    for word in COMMANDS:
        (alone,) = typer.main.get_group(together(word)).commands.items()
        assert alone[0] == word
        assert alone[1].to_info_dict(_context(alone[1])) == whole[word].to_info_dict(_context(whole[word]))


def _context(command: typer.core.TyperCommand) -> typer.Context:
    return typer.Context(command)


@pytest.mark.parametrize("typed", [[], ["nonsense"], ["--help"]])
def test_what_is_no_command_is_told_of_all_of_them(
    typed: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(sys, "argv", ["sealscore-node", *typed])
    with pytest.raises(SystemExit) as ended:
        main()
    told = capsys.readouterr()
    if typed == ["nonsense"]:
        assert ended.value.code == 2
        assert "No such command" in told.err
    else:
        assert all(word in told.out for word in COMMANDS)


def test_a_command_imports_nothing_that_others_need():
    words = "import sys; sys.argv[1:] = ['peer', '--help']; from sealscore.clients.cli import main\n"
    words += "try: main()\n"
    words += "finally: print(*{'torch', 'fastapi', 'scipy', 'flwr'} & set(sys.modules), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True)
    assert "trust" in done.stdout
    assert done.stderr.split() == []
