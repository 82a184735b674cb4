"""The rehearsal's federation as processes on the loopback interface: SuperLink, SuperNodes, nodes, the server app.

Everything is what a deployment runs, but for identities: nodes are started by `deploy/simulated_node.py`, and the app
bundle has a server app of a few lines, since the product gives no run a simulated identity and a home.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from deployment import Scratch, free_ports, until
from paths import ROOT
from processes import family, kill
from rehearsal import PARTIES, SEED, answers_of, begin_ledger, ledger_at, progress_of, verified

from sealscore.clients.deploy.node_key import make_node_key
from sealscore.clients.node.plan_ledger import approve
from sealscore.server.deploy.certificates import make_authority, make_server_certificate
from sealscore.server.deploy.control import Control
from sealscore.server.deploy.control_answers import SubmittedRun
from sealscore.server.deploy.superlink import SuperLink, SuperLinkSettings
from sealscore.shared.bundle import Bundle, build_bundle, courier_app
from sealscore.shared.plan.plan import Plan

# Seconds after which a thing that was to come is taken for lost: a busy machine is slow, and a quick one does not wait.
PATIENCE = 300.0
NODE = ROOT / "tests" / "deploy" / "simulated_node.py"

SERVER_APP = '''
"""The coordinator under the simulated identity of the rehearsal's server."""
from pathlib import Path
from flwr.app import Context
from flwr.serverapp import Grid, ServerApp
from sealscore.server.app import FlowerExchange
from sealscore.server.run.run import run_coordinator
from sealscore.shared.identity.identity import Identity
from sealscore.shared.plan.plan import SERVER
app = ServerApp()
@app.main()
def main(grid: Grid, context: Context) -> None:
    config = context.run_config
    folder = Path(config["output"])
    try:
        run_coordinator(
            (folder / "plan").read_bytes(),
            FlowerExchange(grid),
            folder,
            patience=60.0,
            timeout=float(config["timeout"]),
            absence=float(config["absence"]),
            identity=Identity.simulated(config["seed"], SERVER, "server"),
            receipts=folder.parent / "receipts.jsonl",
            journal=folder / "journal.db",
        )
    except Exception as error:
        (folder / "failure").write_text(f"{type(error).__name__}: {error}")
        raise
'''
CONFIG = {"output": "", "timeout": 20.0, "absence": 60.0, "seed": SEED}


def rehearsal_bundle() -> Bundle:
    """The product's couriers with the rehearsal's server app."""
    return build_bundle(courier_app("rehearsing:app", CONFIG) | {"rehearsing.py": SERVER_APP.encode()})


class LiveNode:
    """One party's node as a process, with its folder."""

    def __init__(self, folder: Path, party: str, server: str, authority: Path) -> None:
        self.folder, self.party = folder, party
        folder.mkdir(mode=0o700)
        self.key_line = make_node_key(folder / "supernode.key")
        self.scratch = Scratch.new(folder)
        begin_ledger(folder / "ledger.db", party).close()
        port = free_ports(1)[0]
        settings = {"folder": str(folder), "party": party, "server": server, "authority": str(authority), "port": port}
        (folder / "settings.json").write_text(json.dumps(settings), "utf-8")
        self.process: subprocess.Popen[bytes] | None = None
        self._started = 0.0

    @property
    def ledger(self) -> Path:
        return self.folder / "ledger.db"

    def start(self) -> None:
        """Start the process; it connects by itself."""
        environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
        environment |= self.scratch.environment
        self._started = time.time()
        # Through a pipe: a limit on the node's files, which stands for a full disk, must not cut off its log.
        with (
            (self.folder / "log").open("ab") as log,
            subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=log).stdin as pipe,  # type: ignore[union-attr]
        ):
            self.process = subprocess.Popen(
                [sys.executable, str(NODE), str(self.folder / "settings.json")],
                env=environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=pipe,
                stderr=pipe,
            )

    @property
    def running(self) -> bool:
        """Whether its process runs."""
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        """kill -9; its SuperNode follows it."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        # The sockets and ports of what it had started are free within half a second.
        time.sleep(1.0)

    def stop(self) -> None:
        """SIGTERM, and kill -9 where that is not enough."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def connected(self) -> bool:
        """Whether the server has answered it since it was started last; its status believes an earlier answer, too."""
        with suppress(OSError, ValueError):
            found = json.loads((self.folder / "status.json").read_text("ascii"))
            return bool(found["connected"]) and found["last_contact"] > self._started
        return False

    def order(self, phase: str, round: int, do: str, when: str = "before") -> None:
        """Have the node do something at a request (see `simulated_node.py`)."""
        for name in ("obeyed", "go"):
            (self.folder / name).unlink(missing_ok=True)
        fresh = self.folder / "orders.new"
        fresh.write_text(json.dumps({"phase": phase, "round": round, "do": do, "when": when}), "utf-8")
        fresh.replace(self.folder / "orders.json")

    def free(self) -> None:
        """Take back whatever was ordered."""
        (self.folder / "orders.json").unlink(missing_ok=True)
        self.go()
        self.fix()

    def obeyed(self) -> bool:
        """Whether it did what was ordered last."""
        return (self.folder / "obeyed").exists()

    def go(self) -> None:
        """Go on with what is held."""
        (self.folder / "go").touch()

    def fix(self) -> None:
        """Take back what was ordered of disk and ledger."""
        (self.folder / "fixed").touch()

    def log(self) -> str:
        """What it has logged."""
        return (self.folder / "log").read_text("utf-8", "replace")


class Live:
    """A federation that runs; `nodes` by party."""

    def __init__(self, folder: Path, link: SuperLink, bundle: Bundle) -> None:
        self.folder, self.link, self.settings, self.bundle = folder, link, link.settings, bundle
        self.runs = folder / "runs"
        self.receipts = self.runs / "receipts.jsonl"
        self.runs.mkdir()
        server = f"localhost:{self.settings.partner_port}"
        self.nodes = {party: LiveNode(folder / party, party, server, self.settings.authority) for party in PARTIES}
        with Control(self.settings) as control:
            for party, node in self.nodes.items():
                control.enrol(node.key_line, party)

    def approve(self, plan: Plan) -> None:
        """Every party of the plan approves it, and keeps its bundle from now on."""
        for party in plan.parties:
            with ledger_at(self.nodes[party.name].ledger, party.name) as ledger:
                approve(ledger, plan)

    def start(self, *parties: str) -> None:
        """Start nodes and wait until they are connected, or one of them has ended."""
        nodes = [self.nodes[party] for party in parties]
        for node in nodes:
            node.start()
        until(lambda: all(node.connected() for node in nodes) or not all(node.running for node in nodes), PATIENCE)
        assert all(node.connected() for node in nodes), {node.party: node.log()[-2000:] for node in nodes}

    def ready(self) -> None:
        """Take back all orders, stop runs that go on, start what does not run, and wait until all are connected."""
        self.link.wait_ready(PATIENCE)
        with Control(self.settings) as control:
            for run in control.runs():
                if not run.finished:
                    control.stop(run.run_id)
        for node in self.nodes.values():
            node.free()
        self.start(*(party for party, node in self.nodes.items() if not node.running))

    def output(self, plan: Plan) -> Path:
        """The folder of a plan's run."""
        return self.runs / plan.name

    def submit(self, plan: Plan, bundle: Bundle | None = None, **config: Any) -> int:
        """Begin the run of a plan, or go on with it; returns Flower's number of it."""
        output = self.output(plan)
        output.mkdir(exist_ok=True)
        (output / "plan").write_bytes(plan.canonical())
        (output / "progress.jsonl").unlink(missing_ok=True)
        (output / "failure").unlink(missing_ok=True)
        with Control(self.settings) as control:
            return control.submit(bundle or self.bundle, {"output": str(output), **config})

    def wait(self, number: int, seconds: float = PATIENCE) -> SubmittedRun:
        """A run when it has finished."""
        with Control(self.settings) as control:
            run = control.wait(number, seconds)
        assert run.finished, self.link.link.tail()
        return run

    def carry_out(self, plan: Plan, **config: Any) -> Path:
        """Approve and run a plan; returns its folder."""
        self.approve(plan)
        return self.completed(plan, self.submit(plan, **config))

    def completed(self, plan: Plan, number: int) -> Path:
        """The folder of a run that must be carried out to its end."""
        run, output = self.wait(number), self.output(plan)
        assert run.completed, (run, self.failure(plan), {p: node.log()[-1500:] for p, node in self.nodes.items()})
        assert (output / "run.json").exists()
        return output

    def failure(self, plan: Plan) -> str:
        """Why a run failed, in the coordinator's words."""
        path = self.output(plan) / "failure"
        return path.read_text("utf-8") if path.exists() else ""

    def rounds(self, plan: Plan) -> list[dict[str, Any]]:
        """The rounds that are done, as who follows the run sees them."""
        return progress_of(self.output(plan))

    def reached(self, plan: Plan, phase: str, round: int) -> bool:
        """Whether a round is done."""
        return any((row["phase"], row["round"]) == (phase, round) for row in self.rounds(plan))

    def kill_server(self) -> None:
        """kill -9 of the SuperLink, its executor and the server app; they are started again as after a crash."""
        watched = (self.link.link, self.link.executor)
        before = [process.pid for process in watched]
        assert all(before)
        kill([*family(before[1])[1:], *before])
        assert until(lambda: all(p.pid not in (None, old) for p, old in zip(watched, before, strict=True)), PATIENCE)
        self.link.wait_ready(PATIENCE)


def audited(federation: Live, plan: Plan) -> dict[str, dict[str, int]]:
    """`answers_of` the run; every ledger must pass the check against the server's receipts, too."""
    ledgers = {party.name: federation.nodes[party.name].ledger for party in plan.parties}
    for path in ledgers.values():
        verified(path, federation.receipts)
    return answers_of(federation.output(plan), plan, ledgers)


@contextmanager
def live(parties: tuple[str, ...] = PARTIES, first: Callable[[Live], Any] | None = None) -> Iterator[Live]:
    """A federation whose nodes run and are connected; all is ended with the context.

    `first` may approve a plan before the nodes start.
    """
    # the path of a socket is short, that of pytest's folders is not
    with tempfile.TemporaryDirectory(prefix="seal-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        make_authority(folder / "certificates")
        make_server_certificate(folder / "certificates", ["localhost"])
        control_port, partner_port = free_ports(2)
        settings = SuperLinkSettings(
            folder / "link", folder / "certificates", control_port=control_port, partner_port=partner_port
        )
        with SuperLink(settings) as link:
            federation = Live(folder, link, rehearsal_bundle())
            try:
                if first is not None:
                    first(federation)
                federation.start(*parties)
                yield federation
            finally:
                for node in federation.nodes.values():
                    if node.process is not None:
                        node.process.terminate()
                for node in federation.nodes.values():
                    node.stop()
