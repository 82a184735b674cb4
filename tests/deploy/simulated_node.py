"""`python simulated_node.py SETTINGS.json`: a party's node as `sealscore-node start` runs it, for the rehearsal.

Its identity is simulated, and its secrets and records follow from a seed, so that models can be compared bit for bit;
the product has no way to start such a node. A file `orders.json` in its folder tells it what to do at a request:
{"phase": ..., "round": ..., "when": "before" or "after" it is answered, "do": ...}, once, with `do` one of

    hold       wait until the file `go` is there
    full       the disk has no room from now on
    readonly   the ledger can be read only from now on
    large      answer with more than a courier carries

When it obeys it writes `obeyed`; a file `fixed` takes `full` and `readonly` back.
"""

from __future__ import annotations

import json
import logging
import resource
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import torch
from rehearsal import host_of, identity_of

from sealscore.clients.deploy.supernode import SuperNodeSettings
from sealscore.clients.frames import MAX_BODY
from sealscore.clients.node.plan_router import PlanRouter
from sealscore.clients.node.sealed import answering
from sealscore.clients.node.supervisor import Supervisor, signals
from sealscore.shared.ledger.disclosure_store import DisclosureStore
from sealscore.shared.ledger.ledger import Ledger, LedgerError

ORDERS, OBEYED, GO, MENDED = "orders.json", "obeyed", "go", "fixed"
log = logging.getLogger("sealscore.node")


class Ordered(PlanRouter):
    """A node that does at a request what the test ordered."""

    folder: Path

    def answer(self, request: bytes) -> bytes:
        header = answering(request, "", self.name)
        self._repair()
        what = self._order(header.phase, header.round)
        if what is None:
            return super().answer(request)
        if what["when"] == "after":
            answer = super().answer(request)
            return self._do(what["do"]) or answer
        return self._do(what["do"]) or super().answer(request)

    def _order(self, phase: str, round: int) -> dict[str, Any] | None:
        path = self.folder / ORDERS
        try:
            orders = json.loads(path.read_text("utf-8"))
        except FileNotFoundError:
            return None
        if (orders["phase"], orders["round"]) != (phase, round):
            return None
        path.unlink()
        return dict(orders)

    def _do(self, what: str) -> bytes | None:
        if what == "full":
            journal = self.folder / "ledger.db-wal"
            self._limit(journal.stat().st_size if journal.exists() else 0)
        if what == "readonly":
            self._ledger._database.execute("PRAGMA query_only = ON")
        (self.folder / OBEYED).touch()
        while what == "hold" and not (self.folder / GO).exists():
            time.sleep(0.05)
        return bytes(MAX_BODY + 1) if what == "large" else None

    def _repair(self) -> None:
        if (self.folder / MENDED).exists():
            (self.folder / MENDED).unlink()
            self._limit(resource.getrlimit(resource.RLIMIT_FSIZE)[1])
            self._ledger._database.execute("PRAGMA query_only = OFF")

    def _limit(self, size: int) -> None:
        """No file may grow beyond so many bytes: what a full disk does to one that is written to."""
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


def main() -> None:
    settings = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    folder, party = Path(settings["folder"]), settings["party"]
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(name)s: %(message)s")
    torch.set_num_threads(1)
    try:
        ledger = Ledger(folder / "ledger.db", identity_of(party))
    except LedgerError as error:
        sys.exit(str(error))
    disclosure_store = DisclosureStore(folder / "register.db")
    host = host_of(party, ledger, disclosure_store, Ordered)
    host.folder = folder  # type: ignore[attr-defined]

    def supernode(socket: Path) -> SuperNodeSettings:
        return SuperNodeSettings(
            folder=folder / "supernode",
            server=settings["server"],
            authority=Path(settings["authority"]),
            key=folder / "supernode.key",
            role=identity_of(party).role,
            party=party,
            node_socket=socket,
            port=settings["port"],
            poll=1.0,
        )

    service = Supervisor(host, ledger, folder / "sockets", supernode, folder / "status.json")
    try:
        with signals(service):
            service.run()
    finally:
        ledger.close()
        disclosure_store.close()


if __name__ == "__main__":
    main()
