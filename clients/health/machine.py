"""What on this machine is in a node's way, as `check` finds it: files of others, a port, processes, a log of scores."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sealscore.clients.health.status import read_status
from sealscore.clients.scoring.score_log import ScoreLogError
from sealscore.clients.setup.config import NodeConfig
from sealscore.clients.setup.node_dir import NodeDir, NodeDirError
from sealscore.clients.setup.serving_dir import ServingDir
from sealscore.clients.steady_clock import ClockFault, SteadyClock, uptime
from sealscore.shared.identity.keyfile import KeyFileError
from sealscore.shared.owners import files_of_others, others_words

_OWN = ("keys", "plans", "releases", "sockets", "status.json", "supernode", "trust.json")
_BASES = ("ledger.db", "register.db", "serving.db", "scores.db", "numbers.db")


@dataclass(frozen=True)
class MachineFault:
    """One thing that is wrong: about what, in words with the fix, and in words without a name or a place."""

    what: str
    words: str
    public: str


def machine_faults(
    node_dir: NodeDir, config: NodeConfig, clock: Callable[[], float] = time.time
) -> Iterator[MachineFault]:
    """What is wrong on this machine; nothing is written."""
    if found := others_files(node_dir, config):
        words = others_words(node_dir.folder, found)
        yield MachineFault("files", words, f"{len(found)} files belong to another user than the folder")
    yield from _processes(node_dir, config)
    if config.node.role == "lender":
        yield from _log_ahead(node_dir, config, clock)


def others_files(node_dir: NodeDir, config: NodeConfig) -> dict[Path, int]:
    """Files of the node, its tables left out, that another user owns than its folder; a scorer's folder is its own."""
    bases = [name for base in _BASES for name in (base, f"{base}-wal", f"{base}-shm")]
    found = files_of_others(node_dir.folder, (*_OWN, *bases))
    served = config.serving.folder
    if served is None:
        return found
    besides = (node_dir.folder / served).resolve()
    return {path: uid for path, uid in found.items() if not path.resolve().is_relative_to(besides)}


def _processes(node_dir: NodeDir, config: NodeConfig) -> Iterator[MachineFault]:
    # Flower is imported by what a SuperNode is started with, so only where it is asked.
    from sealscore.clients.deploy.supernode import taken_port

    status = read_status(node_dir.status_file)
    if status is None or status["state"] != "running":
        if (words := taken_port(config.supernode.port)) is not None:
            yield MachineFault("port", words, "the SuperNode's port is another process's")
    elif status.get("trouble"):
        yield MachineFault("processes", str(status["trouble"]), "the node that runs has a trouble")


def _log_ahead(node_dir: NodeDir, config: NodeConfig, clock: Callable[[], float]) -> Iterator[MachineFault]:
    serving = ServingDir(node_dir)
    if not serving.log_file.exists():
        return
    try:
        log = serving.log()
    except (ScoreLogError, NodeDirError, KeyFileError) as error:
        if isinstance(error, KeyFileError) and config.serving.folder is not None:
            return  # the scorer is another user, whose key is not this one's to read
        yield MachineFault("scores", str(error), f"the log of scores cannot be used ({type(error).__name__})")
        return
    try:
        last = log.last_at
        written = 0.0 if last is None else datetime.fromisoformat(last).replace(tzinfo=UTC).timestamp()
        SteadyClock(written, clock, uptime, _nobody).now()
    except ClockFault as fault:
        yield MachineFault(
            "scores", f"nothing is scored until then: {fault}", "the log's last line is of a time to come"
        )
    finally:
        log.close()


def _nobody(text: str) -> None:
    """Who would be warned of what is returned as a fault."""
