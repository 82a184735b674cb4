"""A server and two lenders as their operators run them, by commands alone, each part a process on this machine."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from builders import LENDERS, small_records
from deployment import free_ports, until
from homes import table_of
from operators import FINGERPRINT, NODE, PATIENCE, SERVER, Operator, end_all, make_server, start_server
from processes import alive, family, kill
from repaid_loans import repayment_rows

from sealscore.server.setup.server_dir import ServerDir
from sealscore.shared.plan.plan import Plan

# As few as there may be: three that train behind masks are in `test_survival.py`.
NAMES = LENDERS[:2]
LOANS = 1500
REPAYMENTS = """
[data.repayments]
file = "repayments.csv"
"""
Result = TypeVar("Result")


class Consortium:
    """A server and two lenders, each with an operator, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.server = Operator(SERVER, folder / "server")
        self.lenders = {name: Operator(NODE, folder / name) for name in NAMES}
        self.killed: list[int] = []

    def set_up(self) -> None:
        """Everybody has a folder, data and the others' cards; server and nodes run."""
        control, partner, *supernodes = free_ports(2 + len(self.lenders))
        fingerprints = {"server": make_server(self.server, control, partner)}
        start_server(self.server)
        authority, address = str(self.server.home / "certificates" / "ca.pem"), f"localhost:{partner}"
        ports = dict(zip(self.lenders, supernodes, strict=True))

        def made(name: str) -> str:
            words = ("--name", name, "--role", "lender", "--server", address, "--authority", authority)
            said = self.lenders[name].type("init", *words)
            self.lenders[name].write(
                "node.toml",
                data='file = "loans.parquet" -> file = "loans.csv"',
                identifier='identifier = "creator_id" -> identifier = "id"',
                form='form = "creator-id" -> form = "exact"',
                row_local="# row_local = true -> row_local = true",
                port=f"port = 9494 -> port = {ports[name]}",
            )
            home, records = self.lenders[name].home, small_records(LOANS, seed=int(name[-1]))
            table_of(records).write_csv(home / "loans.csv")
            repayment_rows(records, seed=int(name[-1])).write_csv(home / "repayments.csv")
            with (home / "node.toml").open("a", encoding="utf-8") as config:
                config.write(REPAYMENTS)
            return FINGERPRINT.findall(said)[0]

        def trusting(name: str) -> None:
            for other in (self.server, *self.lenders.values()):
                if other is not self.lenders[name]:
                    card, read = str(other.home / "card.txt"), fingerprints[other.home.name]
                    said = self.lenders[name].type("peer", "trust", card, "--fingerprint", read)
                    assert f"trusted: {other.home.name}" in said

        fingerprints |= self.each(made)
        for name, lender in self.lenders.items():
            self.server.type("enrol", str(lender.home / "card.txt"), "--fingerprint", fingerprints[name])
        self.each(trusting)
        for lender in self.lenders.values():
            lender.begin("start")
        assert until(lambda: all(self.connected(name) for name in self.lenders), PATIENCE), self.told()

    def each(self, action: Callable[[str], Result]) -> dict[str, Result]:
        """What the operators of all lenders do at the same time."""
        with ThreadPoolExecutor(len(self.lenders)) as pool:
            return dict(zip(self.lenders, pool.map(action, self.lenders), strict=True))

    def connected(self, name: str) -> bool:
        """Whether the server has answered a node, by the node's status."""
        with suppress(OSError, ValueError):
            return bool(json.loads((self.lenders[name].home / "status.json").read_text("ascii"))["connected"])
        return False

    def told(self) -> str:
        """The ends of all logs."""
        logs = [begun.log for operator in (self.server, *self.lenders.values()) for begun in operator.begun]
        logs += sorted(self.server.home.glob("superlink/logs/*.log"))
        return "\n".join(f"{path.name}: {path.read_text('utf-8', 'replace')[-1500:]}" for path in logs)

    def plan(self, name: str) -> Plan:
        """A signed plan."""
        return ServerDir(self.server.home).signed_plans()[name]

    def output(self, plan: Plan) -> Path:
        """The folder of a plan's run."""
        return ServerDir(self.server.home).run_folder(plan)

    def ledgers(self) -> dict[str, Path]:
        """The lenders' ledgers."""
        return {name: lender.home / "ledger.db" for name, lender in self.lenders.items()}

    def kill_server(self) -> None:
        """kill -9 of `start`, of what it has started, and of the `run` that follows."""
        start, follower = (begun.process for begun in self.server.begun[-2:])
        found = [*family(start.pid), follower.pid]
        programs = [Path(f"/proc/{pid}/cmdline").read_text("utf-8") for pid in found]
        for part in ("sealscore.server.deploy.launcher", "sealscore.server.deploy.executor", "flwr-serverapp"):
            assert any(part in program for program in programs), (part, programs)
        self.killed += found
        kill(found)
        start.wait()
        follower.wait()
        assert until(lambda: not any(alive(pid) for pid in found)), programs

    def end(self) -> None:
        """End every process."""
        end_all(self.lenders.values())
        self.server.end()
        kill(pid for pid in self.killed if alive(pid))


@contextmanager
def running_consortium() -> Iterator[Consortium]:
    """A consortium that is set up; all that was begun is ended with the context, and must be."""
    # the path of a socket is short, that of pytest's folders is not
    with tempfile.TemporaryDirectory(prefix="seal-", ignore_cleanup_errors=True) as name:
        found = Consortium(Path(name))
        try:
            found.set_up()
            yield found
        finally:
            found.end()
        operators = (found.server, *found.lenders.values())
        left = [begun.log for operator in operators for begun in operator.begun if not begun.ended]
        assert left == []
