"""What tests of serving use: a federation whose plan was carried out, and the command lines of all."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from homes import Said, commands
from partners import Partners
from serving_town import new_serving_town


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Call `sealscore-node`."""
    from sealscore.clients.cli import main
    from sealscore.clients.commands.terminal import console, errors

    return commands("sealscore-node", main, [console, errors], monkeypatch, capsys)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Call `sealscore-server`."""
    from sealscore.server.cli import main
    from sealscore.server.commands.terminal import console
    from sealscore.shared.text.terminal import errors

    return commands("sealscore-server", main, [console, errors], monkeypatch, capsys)


@pytest.fixture
def partners(node: Callable[..., Said], server: Callable[..., Said]) -> Partners:
    """A town of its own for each test."""
    return Partners(new_serving_town(), node, server)
