"""What commands say is shown as it is: brackets in a message, a path or a plan are no markup."""

from __future__ import annotations

from pathlib import Path

import pytest
from builders import small_plan
from typer.testing import CliRunner

from sealscore.clients.cli import app
from sealscore.clients.commands.init import init
from sealscore.clients.commands.plan import opened
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
