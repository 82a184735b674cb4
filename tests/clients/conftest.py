"""What tests of a node may use: its command line, and a federation of real folders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from homes import Said, Town, commands, new_town


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Call `sealscore-node`."""
    from sealscore.clients.cli import main
    from sealscore.clients.commands.terminal import console, errors

    return commands("sealscore-node", main, [console, errors], monkeypatch, capsys)


@pytest.fixture
def town(tmp_path: Path) -> Town:
    """Three lenders and a server that trust one another."""
    return new_town(tmp_path)


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Whether the server can be reached is not asked of any: what stands here is the answer, None for good."""
    import sealscore.clients.deploy.connection as connection

    answers: list[Any] = [None]
    monkeypatch.setattr(connection, "check_connection", lambda *where: answers[0])
    return answers
