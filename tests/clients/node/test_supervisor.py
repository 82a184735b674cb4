"""The node's processes, with a SuperNode that only notes what it is told."""

from __future__ import annotations

import errno
import json
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from disk import no_room_for
from homes import Town, running

import sealscore.clients.node.supervisor as service
from sealscore.clients.courier import SocketNode
from sealscore.clients.data import DataError
from sealscore.clients.data.errors import Problem
from sealscore.clients.deploy.pinning import ALLOWED
from sealscore.clients.deploy.supernode import SuperNodeSettings
from sealscore.clients.node.plan_ledger import approve
from sealscore.clients.node.plan_router import PlanRouter
from sealscore.clients.node.socket_server import SocketServerError
from sealscore.clients.node.supervisor import Supervisor, allowed_bundles, signals
from sealscore.shared.ledger.disclosure_store import DisclosureStoreError
from sealscore.shared.ledger.entries import Revoke
from sealscore.shared.text.foreign import grouped


class FakeSuperNode:
    """Stands where Flower's SuperNode stands."""

    live = 0

    def __init__(self, settings: SuperNodeSettings, *, notice: Callable[[str], None]) -> None:
        self.settings, self.trouble = settings, "no route"

    def __enter__(self) -> FakeSuperNode:
        FakeSuperNode.live += 1
        return self

    def __exit__(self, *error: object) -> None:
        FakeSuperNode.live -= 1

    def connected(self) -> bool:
        return True

    def last_contact(self) -> float:
        return 7.0

    def refusals(self) -> list[object]:
        return [1, 2]

    def restarts(self) -> dict[str, int]:
        return {"executor": 1}


class Daemon:
    """A service in a thread of its own."""

    def __init__(self, town: Town, host: PlanRouter, folder: Path) -> None:
        self.folder, self.told, self.failed = folder, [], []
        self.ledger = host._ledger
        self.service = Supervisor(
            host, self.ledger, folder / "sockets", self.settings, folder / "status.json", self.told.append
        )
        self.thread = threading.Thread(target=self.run)

    def run(self) -> None:
        try:
            self.service.run()
        except Exception as error:
            self.failed.append(error)

    def settings(self, path: Path) -> SuperNodeSettings:
        return SuperNodeSettings(
            self.folder / "supernode", "localhost:1", Path("ca.pem"), Path("key"), "lender", "lender-1", path
        )

    def status(self) -> dict[str, Any]:
        path = self.folder / "status.json"
        return json.loads(path.read_text()) if path.exists() else {}

    def allowed(self) -> str:
        path = self.folder / "supernode" / ALLOWED
        return path.read_text() if path.exists() else ""

    def until(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < deadline, self.told
            assert self.thread.is_alive(), self.failed
            time.sleep(0.005)


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder whose path is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="seal-") as name:
        yield Path(name)


@pytest.fixture
def daemon(town: Town, short: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    monkeypatch.setattr(service, "SuperNode", FakeSuperNode)
    monkeypatch.setattr(service, "LOOK", 0.01)
    with running(town["lender-1"]) as host:
        found = Daemon(town, host, short)
        found.thread.start()
        try:
            found.until(lambda: found.status().get("state") == "running")
            yield found
        finally:
            found.service.stop()
            found.thread.join()


def test_the_status_tells_how_things_stand(daemon: Daemon):
    assert daemon.status() | {"at": 0} == {
        "state": "running",
        "pid": os.getpid(),
        "at": 0,
        "connected": True,
        "last_contact": 7.0,
        "trouble": "no route",
        "restarts": {"executor": 1},
        "refused_bundles": 2,
        "without_data": [],
        "undone": [],
    }
    assert FakeSuperNode.live == 1
    daemon.service.stop()
    daemon.thread.join()
    assert daemon.status()["state"] == "stopped"
    assert FakeSuperNode.live == 0
    assert not daemon.failed
    assert list((daemon.folder / "sockets").iterdir()) == []


def test_the_socket_answers(daemon: Daemon):
    path = daemon.folder / "sockets" / "lender-1.sock"
    node = SocketNode(path, timeout=10.0)
    assert node.name == "lender-1"
    assert node.answer(b"nonsense")


def test_bundles_follow_the_operators_approvals(daemon: Daemon, town: Town):
    assert daemon.allowed() == ""
    approve(daemon.ledger, town.plan)
    daemon.until(lambda: daemon.allowed() == f"{town.plan.bundle}  # small\n")
    daemon.until(lambda: daemon.told[-1] == "plans that are answered now: small")
    entry = Revoke(plan=town.plan.hash, why="the operator")
    daemon.ledger.append(lambda state: entry)
    daemon.until(lambda: daemon.allowed() == "")
    daemon.until(lambda: daemon.told[-1] == "plans that are answered now: none")


def test_only_live_plans_with_a_bundle_count(town: Town):
    ledger = town.ledger("lender-1")
    assert allowed_bundles(ledger) == {}
    approve(ledger, town.plan)
    assert allowed_bundles(ledger) == {town.plan.bundle: "small"}
    ledger.close()


def test_a_plan_ends_after_its_last_day_though_nobody_asks(daemon: Daemon, town: Town):
    approve(daemon.ledger, town.plan)
    daemon.until(lambda: town.plan.bundle in daemon.allowed())
    daemon.service._router._clock = lambda: time.time() + 86_400 * 100
    daemon.until(lambda: not daemon.ledger.state.live)
    daemon.until(lambda: town.plan.bundle not in daemon.allowed())


def test_data_are_read_anew_on_request(daemon: Daemon, monkeypatch: pytest.MonkeyPatch):
    outcomes: list[Any] = [{"ab" * 32: 12}, DataError([Problem("loans.csv", "the file is empty", "export it again")])]

    def reload() -> Any:
        found = outcomes.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(daemon.service._router, "reload", reload)
    daemon.service.reload()
    daemon.until(lambda: len(outcomes) == 1)
    daemon.until(lambda: daemon.told[-1] == f"data reloaded: 12 records under plan {grouped('ab' * 32)}")
    daemon.service.reload()
    daemon.until(lambda: "the node keeps the records that it has: loans.csv: the file is empty" in daemon.told[-1])
    daemon.until(lambda: daemon.status()["state"] == "running")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (DisclosureStoreError("register.db: cannot be written"), "not all that follows could be noted: register.db"),
        (MemoryError("of C001"), "reloading the data failed (MemoryError)"),
        (KeyError("C001"), "reloading the data failed (KeyError)"),
    ],
    ids=["register", "memory", "fault of the program"],
)
def test_whatever_happens_in_reading_the_operator_is_told_and_the_node_goes_on(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch, error: Exception, words: str
):
    def reload() -> Any:
        raise error

    monkeypatch.setattr(daemon.service._router, "reload", reload)
    daemon.service.reload()
    daemon.until(lambda: words in daemon.told[-1])
    assert not any("C001" in text for text in daemon.told)
    before = daemon.status()["at"]
    daemon.until(lambda: daemon.status()["at"] > before)


def test_a_ledger_that_cannot_be_read_is_told_once_and_changes_nothing(
    daemon: Daemon, town: Town, monkeypatch: pytest.MonkeyPatch
):
    from sealscore.shared.ledger.ledger import LedgerError

    approve(daemon.ledger, town.plan)
    daemon.until(lambda: daemon.allowed())
    broken = threading.Event()
    broken.set()

    def bundles(ledger: Any) -> dict[str, str]:
        if broken.is_set():
            raise LedgerError("ledger.db: the disk is full")
        return allowed_bundles(ledger)

    monkeypatch.setattr(service, "allowed_bundles", bundles)
    daemon.until(lambda: "the disk is full" in daemon.told[-1])
    at = daemon.status()["at"]
    daemon.until(lambda: daemon.status()["at"] > at)
    assert sum("the disk is full" in line for line in daemon.told) == 1
    assert daemon.allowed() != ""
    broken.clear()
    daemon.ledger.append(lambda state: Revoke(plan=town.plan.hash, why="the operator"))
    daemon.until(lambda: daemon.allowed() == "")


def test_a_disk_that_takes_no_status_is_told_and_ends_nothing(daemon: Daemon):
    with no_room_for("status.json"):
        daemon.until(lambda: "the node's status cannot be written (No space left on device)" in daemon.told[-1])
        told, looks = len(daemon.told), time.monotonic() + 0.2
        daemon.until(lambda: time.monotonic() > looks)
        assert len(daemon.told) == told
        assert SocketNode(daemon.folder / "sockets" / "lender-1.sock", timeout=10.0).name == "lender-1"
        at = daemon.status()["at"]
    daemon.until(lambda: daemon.told[-1] == "the node's status can be written again")
    daemon.until(lambda: daemon.status()["at"] > at)


def test_a_disk_that_is_full_at_the_end_hinders_no_end(daemon: Daemon, monkeypatch: pytest.MonkeyPatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(service.os, "replace", full)
    daemon.service.stop()
    daemon.thread.join(20)
    assert not daemon.thread.is_alive()
    assert not daemon.failed


def test_a_list_of_bundles_that_cannot_be_written_allows_nothing_that_was_taken_back(daemon: Daemon, town: Town):
    approve(daemon.ledger, town.plan)
    daemon.until(lambda: daemon.allowed())
    with no_room_for(ALLOWED):
        daemon.ledger.append(lambda state: Revoke(plan=town.plan.hash, why="the operator"))
        daemon.until(lambda: "the list of bundles that may run cannot be written" in daemon.told[-1])
        assert daemon.allowed() == ""
        told, at = len(daemon.told), daemon.status()["at"]
        daemon.until(lambda: daemon.status()["at"] > at + 0.1)
        assert len(daemon.told) == told
    daemon.until(lambda: daemon.told[-1] == "plans that are answered now: none")
    assert daemon.told[-2] == "the list of bundles that may run can be written again"


def test_a_start_with_a_list_that_cannot_be_written(town: Town, short: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(service, "SuperNode", FakeSuperNode)
    monkeypatch.setattr(service, "LOOK", 0.01)
    with running(town["lender-1"]) as host:
        found = Daemon(town, host, short)
        approve(found.ledger, town.plan)
        try:
            with no_room_for(ALLOWED):
                found.thread.start()
                found.until(lambda: found.status().get("state") == "running")
                assert found.allowed() == ""
            found.until(lambda: found.allowed() == f"{town.plan.bundle}  # small\n")
        finally:
            found.service.stop()
            found.thread.join()
    assert not found.failed


def test_a_party_is_served_once(daemon: Daemon, town: Town, monkeypatch: pytest.MonkeyPatch):
    other = Daemon(town, daemon.service._router, daemon.folder)
    with pytest.raises(SocketServerError, match="another process serves this party"):
        other.service.run()
    assert daemon.thread.is_alive()


def test_signals_stop_and_reload_while_they_are_taken(daemon: Daemon):
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    with signals(daemon.service):
        os.kill(os.getpid(), signal.SIGHUP)
        daemon.until(lambda: not daemon.service._reload.is_set())
        os.kill(os.getpid(), signal.SIGTERM)
        daemon.thread.join(20)
    assert not daemon.thread.is_alive()
    assert {number: signal.getsignal(number) for number in before} == before
    assert daemon.status()["state"] == "stopped"


def test_a_path_that_is_too_long_for_a_socket_is_explained(town: Town, tmp_path: Path):
    with running(town["lender-1"]) as host:
        long = Daemon(town, host, tmp_path / ("x" * 120))
        with pytest.raises(ValueError, match="give a shorter directory"):
            long.service.run()
