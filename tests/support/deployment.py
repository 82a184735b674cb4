"""A live federation on the loopback interface: SuperLink, SuperNodes, and the couriers' real code in a trial bundle."""

from __future__ import annotations

import os
import random
import socket
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

from sealscore.clients.deploy.node_key import make_node_key
from sealscore.clients.deploy.pinning import allow
from sealscore.clients.deploy.supernode import SuperNode, SuperNodeSettings
from sealscore.clients.node.socket_server import serve
from sealscore.server.deploy.certificates import make_authority, make_server_certificate
from sealscore.server.deploy.control import Control
from sealscore.server.deploy.superlink import SuperLink, SuperLinkSettings
from sealscore.shared.bundle import Bundle, build_bundle, courier_app

BODY_LIMIT = 1024 * 1024

# The server app of a trial: rounds over the real exchange, with the seconds of each.
TRIAL = '''
"""Rounds without work."""
import json
import time
from pathlib import Path
from flwr.app import Context
from flwr.serverapp import Grid, ServerApp
from sealscore.server.app import FlowerExchange
app = ServerApp()
@app.main()
def main(grid: Grid, context: Context) -> None:
    exchange = FlowerExchange(grid)
    config = context.run_config
    began = time.monotonic()
    while len(parties := exchange.online()) < config["parties"] and time.monotonic() < began + 60:
        time.sleep(0.2)
    began_at, seconds, answers = [], [], []
    for number in range(config["rounds"]):
        began_at.append(time.time())
        began = time.monotonic()
        replies = exchange.send({party: f"{number}".encode() for party in parties}, timeout=30.0)
        seconds.append(time.monotonic() - began)
        answers.append({party: reply.decode() if isinstance(reply, bytes) else reply.reason
                        for party, reply in replies.items()})
    found = {"parties": sorted(parties), "began_at": began_at, "seconds": seconds, "answers": answers}
    Path(config["output"]).write_text(json.dumps(found))
'''


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on; all are held until all are known.

    They are below those that the system gives to outgoing connections: one of these could take a port away while a
    server that was killed is started again.
    """
    found: list[int] = []
    with ExitStack() as stack:
        while len(found) < count:
            port = random.SystemRandom().randrange(20_000, 32_000)
            probe = stack.enter_context(socket.socket())
            with suppress(OSError):
                probe.bind(("127.0.0.1", port))
                found.append(port)
    return found


def until(condition: Callable[[], bool], seconds: float = 60.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def trial_bundle(about: str = "a trial") -> Bundle:
    """The couriers' own code with a server app of a few lines."""
    app = courier_app("trial:app", {"output": "", "parties": 0, "rounds": 0})
    return build_bundle(app | {"trial.py": TRIAL.encode(), "ABOUT.md": about.encode()})


@dataclass(frozen=True)
class Scratch:
    """The folder for temporary files of one party's processes: where its executor unpacks bundles, and removes them."""

    folder: Path

    @classmethod
    def new(cls, parent: Path) -> Scratch:
        """In a folder of the party's."""
        (parent / "scratch").mkdir(mode=0o700, parents=True, exist_ok=True)
        return cls(parent / "scratch")

    @property
    def environment(self) -> dict[str, str]:
        """What the processes must find in their environment."""
        return {"TMPDIR": str(self.folder)}

    @contextmanager
    def watched(self) -> Iterator[set[str]]:
        """What is unpacked there from now on, as names of apps: Flower puts eight digits of a bundle's hash into them.

        A bundle lies there for as long as an app runs, which is many times the moment between two looks.
        """
        seen: set[str] = set()
        over = threading.Event()

        def look() -> None:
            while not over.wait(0.005):
                with suppress(OSError):
                    seen.update(app.name for app in self.folder.glob("sealscore-app-*/apps/*"))

        watcher = threading.Thread(target=look)
        watcher.start()
        try:
            yield seen
        finally:
            over.set()
            watcher.join()


def unpacked_of(bundle: Bundle, seen: set[str]) -> bool:
    """Whether one of the apps that were seen is this bundle's."""
    return any(bundle.sha256[:8] in name for name in seen)


@dataclass
class Echo:
    """A node that answers with its name and what it was asked."""

    name: str
    asked: list[bytes] = field(default_factory=list)

    def answer(self, request: bytes) -> bytes:
        self.asked.append(request)
        return self.name.encode() + b" " + request


@dataclass
class Federation:
    """A SuperLink that runs, and parties whose SuperNodes can be made."""

    folder: Path
    settings: SuperLinkSettings
    link: SuperLink
    bundle: Bundle
    stack: ExitStack
    sockets: dict[str, Path]
    echoes: dict[str, Echo]
    trust: ssl.SSLContext
    nodes: dict[str, SuperNode] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)
    scratch: dict[str, Scratch] = field(default_factory=dict)

    def supernode(self, party: str, *, enrol: bool = True, **changes: object) -> SuperNode:
        """A party's SuperNode, not started; it is stopped with the federation."""
        folder = self.folder / party
        key = folder / "supernode.key"
        line = make_node_key(key)
        if enrol:
            with Control(self.settings) as control:
                control.enrol(line, party)
        values: dict[str, object] = {
            "folder": folder,
            "server": f"127.0.0.1:{self.settings.partner_port}",
            "authority": self.settings.authority,
            "key": key,
            "role": "lender",
            "party": party,
            "node_socket": self.sockets[party],
            "port": free_ports(1)[0],
        }
        allow(folder, {self.bundle.sha256: "trial"})
        self.scratch[party] = scratch = Scratch.new(folder)
        with patch.dict(os.environ, scratch.environment):
            node = SuperNode(SuperNodeSettings(**(values | changes)), notice=self.told.append)  # type: ignore[arg-type]
        self.stack.callback(node.stop)
        self.nodes[party] = node
        return node


@contextmanager
def federated() -> Iterator[Federation]:
    """A SuperLink that answers, with sockets of four parties; all is ended with the context."""
    # the path of a socket is short, that of pytest's folders is not
    with tempfile.TemporaryDirectory(prefix="seal-", ignore_cleanup_errors=True) as name, ExitStack() as stack:
        folder = Path(name)
        make_authority(folder / "certificates")
        make_server_certificate(folder / "certificates", ["localhost"])
        control_port, partner_port = free_ports(2)
        settings = SuperLinkSettings(
            folder / "link",
            folder / "certificates",
            control_port=control_port,
            partner_port=partner_port,
            body_limit=BODY_LIMIT,
        )
        echoes = {party: Echo(party) for party in ("north", "south", "west", "east")}
        sockets = stack.enter_context(serve(echoes.values(), folder / "nodes"))
        link = stack.enter_context(SuperLink(settings))
        trust = ssl.create_default_context(cafile=str(settings.authority))
        yield Federation(folder, settings, link, trial_bundle(), stack, sockets, echoes, trust)
