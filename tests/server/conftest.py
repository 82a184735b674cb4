"""What tests of a server may use: its command line, a federation of real folders, and a control port that notes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from homes import BUNDLE, Said, Town, commands, new_town

from sealscore.server.deploy.control_answers import SubmittedRun
from sealscore.shared.bundle import Bundle


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Call `sealscore-server`."""
    from sealscore.server.cli import main
    from sealscore.server.commands.terminal import console
    from sealscore.shared.text.terminal import errors

    return commands("sealscore-server", main, [console, errors], monkeypatch, capsys)


@pytest.fixture
def town(tmp_path: Path) -> Town:
    """Three lenders and a server that trust one another."""
    return new_town(tmp_path)


@dataclass
class Controlled:
    """A control port: `during` is what happens while a run is under way, `outcome` how it ends."""

    enrolled: list[tuple[str, str]] = field(default_factory=list)
    submitted: list[dict[str, str]] = field(default_factory=list)
    stopped: list[int] = field(default_factory=list)
    during: Callable[[dict[str, str]], None] = lambda config: None
    outcome: str = "completed"

    def __call__(self, settings: Any) -> Controlled:
        return self

    def __enter__(self) -> Controlled:
        return self

    def __exit__(self, *error: object) -> None: ...

    def enrol(self, key: str, name: str) -> int:
        self.enrolled.append((name, key))
        return len(self.enrolled)

    def submit(self, bundle: Bundle, config: dict[str, str]) -> int:
        self.submitted.append(config)
        return 7

    def run(self, number: int) -> SubmittedRun:
        self.during(self.submitted[-1])
        return SubmittedRun(number, "finished", self.outcome, "", BUNDLE)

    def stop(self, number: int) -> None:
        self.stopped.append(number)


@pytest.fixture
def control(monkeypatch: pytest.MonkeyPatch) -> Controlled:
    """The SuperLink's control port, without a SuperLink; the app bundle has the hash that plans of tests name."""
    import sealscore.server.deploy.control
    import sealscore.shared.bundle

    found = Controlled()
    monkeypatch.setattr(sealscore.server.deploy.control, "Control", found)
    monkeypatch.setattr(sealscore.shared.bundle, "courier_bundle", lambda: Bundle(b"", BUNDLE, ()))
    return found
