"""The node's processes: the socket server and Flower's SuperNode beside it, until it is stopped.

The SuperNode runs only the app bundles that live, approved plans name. SIGHUP reloads the data; SIGTERM and SIGINT
stop everything.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from sealscore.clients.data import DataError
from sealscore.clients.deploy.pinning import allow
from sealscore.clients.deploy.supernode import SuperNode, SuperNodeSettings
from sealscore.clients.node.plan_router import PlanRouter
from sealscore.clients.node.socket_server import serve
from sealscore.clients.scoring.daily import Daily
from sealscore.shared.files import write_whole
from sealscore.shared.ledger.disclosure_store import DisclosureStoreError
from sealscore.shared.ledger.ledger import Ledger, LedgerError
from sealscore.shared.text.foreign import grouped

log = logging.getLogger("sealscore.node")
LOOK = 1.0  # seconds between two looks at approvals and state


def allowed_bundles(ledger: Ledger, today: date | None = None) -> dict[str, str]:
    """The app bundles of live plans, and of plans whose tokens may still be used: SHA-256 to the name of the plan.

    A plan that has ended answers nothing; its courier brings the day's batches for scoring. So it does under a release
    that was ended: creators withdraw what was told under it.
    """
    state, day = ledger.state, today or datetime.now(UTC).date()
    manifests = [release.manifest for release in state.serving.releases.values()]
    serving = [state.plans[one.plan] for one in manifests if day <= one.expires + timedelta(days=one.token_days)]
    plans = [*(plan for plan in serving if plan.state != "revoked"), *state.live]
    return {plan.plan.bundle: plan.plan.name for plan in plans if plan.plan.bundle is not None}


class Supervisor:
    """A plan router, its socket and its SuperNode.

    `supernode` takes the path of the socket. `status` is a file with the node's state. `daily` is what serving needs
    each day.
    """

    def __init__(
        self,
        router: PlanRouter,
        ledger: Ledger,
        sockets: Path,
        supernode: Callable[[Path], SuperNodeSettings],
        status: Path | None = None,
        notice: Callable[[str], None] = log.info,
        daily: Daily | None = None,
    ) -> None:
        self._router, self._ledger, self._sockets = router, ledger, sockets
        self._supernode, self._status, self._notice = supernode, status, notice
        self._daily = daily
        self._stop, self._reload = threading.Event(), threading.Event()
        self._unwritten: dict[str, str] = {}  # what cannot be written at present, and why

    def stop(self) -> None:
        """End `run`; answers that are in work still go out."""
        self._stop.set()

    def reload(self) -> None:
        """Have the data reloaded, soon."""
        self._reload.set()

    def run(self) -> None:
        """Serve until `stop`: DaemonError or OSError where the socket or the SuperNode's folder cannot be used.

        Once it serves, a full disk is reported to the operator and ends nothing: the node is needed to
        refuse, by a code, what it cannot charge.
        """
        with serve([self._router], self._sockets) as sockets:
            settings = self._supernode(sockets[self._router.name])
            bundles = allowed_bundles(self._ledger)
            listed = bundles if self._allow(settings, bundles) else None
            self._notice(f"{self._router.name} listens on {sockets[self._router.name]}")
            with SuperNode(settings, notice=self._notice) as supernode:
                try:
                    self._watch(supernode, settings, bundles, listed)
                finally:
                    self._router.close()
                    self._tell(supernode, "stopped")

    def _watch(
        self,
        supernode: SuperNode,
        settings: SuperNodeSettings,
        bundles: dict[str, str],
        listed: dict[str, str] | None,
    ) -> None:
        """`bundles` are those of live plans, `listed` those on the SuperNode's list, if that is known."""
        fault, told = "", bundles
        self._tell(supernode, "running")  # at once: what is there is of the process before
        while not self._stop.wait(LOOK):
            before = fault
            try:
                self._router.look()
                bundles, fault = allowed_bundles(self._ledger), ""
            except LedgerError as error:
                fault = str(error)
            if fault and fault != before:
                self._notice(f"the ledger cannot be read, so nothing is answered: {fault}")
            if bundles != listed:
                listed = bundles if self._allow(settings, bundles) else None
            if listed is not None and listed != told:
                told = listed
                self._notice(f"plans that are answered now: {', '.join(sorted(set(bundles.values()))) or 'none'}")
            if self._reload.is_set():
                self._reload.clear()
                self._read_anew()
            if self._daily is not None:
                self._daily.look()
            self._tell(supernode, "running")

    def _read_anew(self) -> None:
        try:
            for plan, records in self._router.reload().items():
                self._notice(f"data reloaded: {records} records under plan {grouped(plan)}")
        except DataError as error:
            self._notice(f"the data cannot be used, so the node keeps the records that it has: {error}")
        except (LedgerError, DisclosureStoreError) as error:
            self._notice(f"the data were reloaded, and not all that follows could be noted: {error}")
        except Exception as error:
            # Its text can contain cells. The node is needed for what it has answered, and continues.
            self._notice(f"reloading the data failed ({type(error).__name__}); see what sealscore-node check says")

    def _allow(self, settings: SuperNodeSettings, bundles: Mapping[str, str]) -> bool:
        return self._written("the list of bundles that may run", lambda: allow(settings.folder, bundles))

    def _tell(self, supernode: SuperNode, state: str) -> None:
        if (path := self._status) is not None:
            self._written("the node's status", lambda: self._note(path, supernode, state))

    def _note(self, path: Path, supernode: SuperNode, state: str) -> None:
        trouble = supernode.trouble
        content: dict[str, Any] = {
            "state": state,
            "pid": os.getpid(),
            "at": time.time(),
            "connected": supernode.connected(),
            "last_contact": supernode.last_contact(),
            "trouble": str(trouble) if trouble else None,
            "restarts": supernode.restarts(),
            "refused_bundles": len(supernode.refusals()),
            "without_data": list(self._router.without_data),
            "undone": self._daily.undone if self._daily is not None else [],
        }
        write_whole(path, json.dumps(content), durable=False)  # the next look writes it again

    def _written(self, what: str, write: Callable[[], object]) -> bool:
        """Whether it could be written; the operator learns when that changes, and not each time."""
        try:
            write()
        except OSError as error:
            why = error.strerror or type(error).__name__
            if self._unwritten.get(what) != why:
                self._notice(f"{what} cannot be written ({why}), and the node continues; see that the disk has room")
            self._unwritten[what] = why
            return False
        if self._unwritten.pop(what, None) is not None:
            self._notice(f"{what} can be written again")
        return True


@contextmanager
def signals(service: Supervisor) -> Iterator[None]:
    """SIGTERM and SIGINT stop the service, SIGHUP has the data reloaded, while the context lasts."""
    actions: Mapping[signal.Signals, Callable[[], None]] = {
        signal.SIGTERM: service.stop,
        signal.SIGINT: service.stop,
        signal.SIGHUP: service.reload,
    }
    before = {number: signal.signal(number, lambda n, _: actions[signal.Signals(n)]()) for number in actions}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
