"""`sealscore-node doctor`: what a support engineer needs to know of a node, with nothing private in it.

No record, no key, no password, no identifier of a person, no name of a party, no value of node.toml but its role, no
address, no path: versions, checks in words made for it, sizes, the masked log lines of Flower's processes, and counts.
"""

from __future__ import annotations

import json
import os
import platform
import re
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any

import typer

from sealscore.clients.commands.masking import LogMasks
from sealscore.clients.commands.plan import opened
from sealscore.clients.commands.terminal import HERE, Folder, console, node_dir_at
from sealscore.clients.data import DataError
from sealscore.clients.setup.config import ConfigError
from sealscore.clients.setup.node_dir import NodeDir
from sealscore.shared.text.terminal import foreign

PACKAGES = ("sealscore", "flwr", "torch", "opacus", "dp-accounting", "cryptography", "polars", "pydantic")
_LOG_LINES = 40
# The node's own files; how an operator names others may reveal something.
_OWN = frozenset(
    {"ca.pem", "card.txt", "keys", "node.toml", "plans", "sockets", "status.json", "supernode", "trust.json"}
)
_DATABASES = re.compile(r"(ledger|register)\.db(-wal|-shm)?")


def doctor(
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="A file for it; by default the terminal.")
    ] = None,
    folder: Folder = HERE,
) -> None:
    """Collect what a support engineer needs: versions, checks, process logs. Nothing private is in it; read it."""
    node_dir = node_dir_at(folder)
    text = json.dumps(collected(node_dir), indent=2) + "\n"
    if output is None:
        print(text)
        return
    output.write_text(text, encoding="utf-8")
    console.print(f"written to {foreign(output)}; read it before you send it")


def collected(node_dir: NodeDir) -> dict[str, Any]:
    """Everything that doctor reports."""
    return {
        "versions": {name: _version(name) for name in PACKAGES} | {"python": sys.version.split()[0]},
        "system": {"os": platform.platform(), "machine": platform.machine(), "cores": os.cpu_count()},
        "checks": _checks(node_dir),
        "files": _files(node_dir),
        "ledger": _ledger(node_dir),
        "logs": _logs(node_dir),
    }


def _checks(node_dir: NodeDir) -> list[dict[str, Any]]:
    from sealscore.clients.health.preflight import preflight

    try:
        node_dir.config()
        return [{"what": found.what, "good": found.good, "words": found.public} for found in preflight(node_dir)]
    except ConfigError as error:
        # The value at a key may be private, its name is not.
        keys = sorted({re.split(r"[ :]", problem, maxsplit=1)[0] for problem in error.problems})
        return [{"what": "node.toml", "good": False, "words": f"cannot be used: {', '.join(keys)}"}]
    except (DataError, OSError) as error:
        return [{"what": "checks", "good": False, "words": type(error).__name__}]


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _files(node_dir: NodeDir) -> dict[str, Any]:
    found = sorted(node_dir.folder.iterdir())
    own = [path for path in found if path.name in _OWN or _DATABASES.fullmatch(path.name)]
    return {path.name: _facts(path) for path in own} | {"others": len(found) - len(own)}


def _facts(path: Path) -> dict[str, Any]:
    found = path.stat()
    return {"bytes": found.st_size, "mode": oct(found.st_mode & 0o7777), "folder": path.is_dir()}


def _ledger(node_dir: NodeDir) -> dict[str, Any]:
    try:
        with opened(node_dir) as ledger:
            plans = ledger.state.plans.values()
            return {"entries": ledger.head.seq, "plans": {p.plan.hash: p.state for p in plans}}
    except Exception as error:
        return {"fault": type(error).__name__}


def _logs(node_dir: NodeDir) -> dict[str, list[str]]:
    masks = LogMasks.of(node_dir)
    return {name: [masks.masked(line) for line in _tail(node_dir, name)] for name in ("executor.log", "supernode.log")}


def _tail(node_dir: NodeDir, name: str) -> list[str]:
    try:
        text = (node_dir.supernode / "logs" / name).read_text(encoding="utf-8", errors="replace")
        return text.splitlines()[-_LOG_LINES:]
    except OSError:
        return []
