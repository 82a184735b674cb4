"""Operators of a server and of nodes: they type the product's commands, each of which is a process on this machine.

What a process has started is ended by its id.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w
from builders import PLAN
from deployment import until
from homes import plan_data
from paths import ROOT
from processes import alive, family, kill

SERVER, NODE, COMPLIANCE = "sealscore.server.cli", "sealscore.clients.cli", "sealscore.compliance.cli"
FINGERPRINT = re.compile(r"[A-Z2-7]{4}(?:-[A-Z2-7]{4}){7}")
# Seconds after which a thing that was to come is taken for lost: a busy machine is slow, and a quick one does not wait.
PATIENCE = 300.0


def environment(**more: str) -> dict[str, str]:
    """An operator's: nothing in it is set for Sealscore or Python, and the screen is wide enough for any table."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SEALSCORE_", "PYTHON"))}
    return kept | {"OMP_NUM_THREADS": "1", "COLUMNS": "200"} | more


def typed(
    words: Sequence[str], environment: Mapping[str, str], code: int = 0, timeout: float = PATIENCE, **more: Any
) -> str:
    """Run a command to its end, which must have that exit code; what it said. `more` is for `subprocess.run`."""
    more |= {"capture_output": True, "text": True, "timeout": timeout}
    done = subprocess.run(words, env=environment, check=False, **more)
    assert done.returncode == code, f"{words}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def verify(ledger: Path, anchors: Path) -> dict[str, Any]:
    """What a reviewer's `sealscore-compliance verify` says of a ledger; its exit code must be 0."""
    words = [sys.executable, "-m", COMPLIANCE, "verify", str(ledger), "--anchors", str(anchors), "--json"]
    said = typed(words, environment(PYTHONPATH=str(ROOT)))
    (found,) = json.JSONDecoder().raw_decode(said)[0]["ledgers"]
    return dict(found)


@dataclass(frozen=True)
class Begun:
    """A command that goes on, and the file of what it says."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def said(self) -> str:
        return self.log.read_text("utf-8", "replace")

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None


class Operator:
    """Who types one program's commands for one folder. `source` is the tree that is installed."""

    def __init__(self, module: str, home: Path, source: Path = ROOT, **more: str) -> None:
        self.home, self.begun = home, list[Begun]()
        self._program = [sys.executable, "-m", module]
        self._environment = environment(**more) | {"PYTHONPATH": str(source)}

    def type(self, *words: str, code: int = 0, timeout: float = PATIENCE) -> str:
        """Type a command, wait for its end and exit code; what it said."""
        return typed(self._words(*words), self._environment, code, timeout)

    def begin(self, *words: str) -> Begun:
        """Type a command that goes on; `end` ends it."""
        log = self.home.with_name(f"{self.home.name}-{len(self.begun)}.log")
        with log.open("wb") as output:
            process = subprocess.Popen(
                self._words(*words),
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self.begun.append(Begun(process, log))
        return self.begun[-1]

    def write(self, name: str, **changes: str) -> None:
        """Edit a file of the folder: "old -> new" each, that must take place."""
        path = self.home / name
        text = path.read_text("utf-8")
        for change in changes.values():
            old, new = change.split(" -> ")
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        path.write_text(text, "utf-8")

    def end(self) -> None:
        """End all that was begun and goes on."""
        for begun in reversed(self.begun):
            if not begun.ended:
                end(begun.process.pid)
                begun.process.wait()

    def _words(self, *words: str) -> list[str]:
        return [*self._program, *words, "--home", str(self.home)]


def end_all(operators: Iterable[Operator]) -> None:
    """End all that these operators have begun, at the same time: a node takes seconds to sign off."""
    with ThreadPoolExecutor() as pool:
        list(pool.map(Operator.end, operators))


def make_server(operator: Operator, control: int, partner: int) -> str:
    """`init` for the loopback interface with these ports; the fingerprint that is read to partners."""
    said = operator.type("init", "--host", "localhost")
    operator.write(
        "server.toml", control=f"port = 9480 -> port = {control}", partner=f"port = 9481 -> port = {partner}"
    )
    return FINGERPRINT.findall(said)[0]


def start_server(operator: Operator) -> Begun:
    """`start`, until partners can connect."""
    begun = operator.begin("start")
    there = until(lambda: "partners connect" in begun.said or begun.ended, PATIENCE)
    assert there, begun.said
    assert not begun.ended, begun.said
    return begun


def make_plan(operator: Operator, name: str, parties: Iterable[str], records: int = 400, **changes: str) -> Path:
    """`plan new` like the small plan for these parties, edits of its file, and `plan sign`; the signed plan's file.

    In the profile whose noise every command solves in no time: everybody is in every sample.
    """
    like = operator.home.with_name("like.toml")
    like.write_text(tomli_w.dumps(plan_data(privacy=PLAN["privacy"] | {"epsilon": 2.0})), "utf-8")
    counts = [word for party in parties for word in ("--records", f"{party}={records}")]
    operator.type("plan", "new", name, "--like", str(like), "--profile", "fewest", *counts)
    operator.write(f"plans/{name}.toml", **changes)
    operator.type("plan", "sign", name)
    return operator.home / "plans" / f"{name}.json"


def end(pid: int, patience: float = 40.0) -> None:
    """End a process by its id, and after so many seconds, by theirs, what is left of it and of what it had started."""
    own = family(pid)
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    until(lambda: not any(alive(one) for one in own), patience)
    kill(one for one in own if alive(one))
