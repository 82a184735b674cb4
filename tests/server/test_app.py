"""The entry of the server app: what a run's configuration leads to."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import sealscore.server.run.deployed as deployed
import sealscore.server.run.run as entry
from sealscore.server.app import FlowerExchange, main


def started(config: dict[str, Any]) -> None:
    main(SimpleNamespace(), SimpleNamespace(run_config=config))


def test_without_a_home_a_plan_of_a_path_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A simulation's or a benchmark's bundle holds nothing of a deployment."""
    for module in ("sealscore.server.run.deployed", "sealscore.server.setup.server_dir"):
        monkeypatch.setitem(sys.modules, module, None)
    ran: list[Any] = []
    monkeypatch.setattr(entry, "run_coordinator", lambda *given, engine: ran.append((*given, engine)))
    (tmp_path / "plan").write_bytes(b"the plan")
    started({"plan": str(tmp_path / "plan"), "output": str(tmp_path / "out"), "home": ""})
    ((plan, exchange, output, engine),) = ran
    assert (plan, output, engine) == (b"the plan", tmp_path / "out", "flower")
    assert isinstance(exchange, FlowerExchange)


@pytest.mark.parametrize("action", ["run", "publish", "publish-release", "end"])
def test_with_a_home_something_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, action: str):
    done: list[Any] = []

    def note(what: str) -> Any:
        return lambda home, name, exchange: done.append((what, home.folder, name))

    functions = {"run": "carry_out", "publish-release": "publish_release"}
    for what in ("run", "publish", "publish-release", "end"):
        function = functions.get(what, what)
        monkeypatch.setattr(deployed, function, note(what))
    started({"home": str(tmp_path), "plan": "spring", "action": action, "output": ""})
    assert done == [(action, tmp_path, "spring")]
