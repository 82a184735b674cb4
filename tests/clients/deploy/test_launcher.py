"""The SuperNode's doorkeeper: which messages come in, and what the others are answered."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from flwr.app import ConfigRecord, Message, RecordDict
from flwr.common.constant import ErrorCode
from flwr.supercore.constant import TaskType
from flwr.supercore.fab import Fab
from flwr.supercore.run import RunNotRunningException
from flwr.supercore.task_identity import TaskIdentity

from sealscore.clients.deploy.executor import PUBLIC_REASON
from sealscore.clients.deploy.launcher import Doorkeeper, watched
from sealscore.clients.deploy.pinning import ALLOWED, REFUSALS, allow, refusals

GOOD, OTHER = b"a good bundle", b"another bundle"


@pytest.fixture(autouse=True)
def _identity(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flower takes the sender of a message from the process that makes it."""
    for name in ("_run_id", "_node_id", "_task_id"):
        monkeypatch.setattr(TaskIdentity, name, 1)


def message(run_id: int) -> Message:
    made = Message(RecordDict({"request": ConfigRecord({"body": b"x"})}), 5, "train.carry")
    made.metadata.__dict__.update(_run_id=run_id, _src_node_id=1, _message_id=f"message-{run_id}")
    return made


class Server:
    """The server's side of the connection, with runs that bring bundles of its choice."""

    def __init__(self, runs: dict[int, bytes], kind: str = TaskType.SERVER_APP) -> None:
        self.runs = runs
        self.kind = kind
        self.coming: list[Message | None] = []
        self.sent: list[Message] = []
        self.confirmed: list[str] = []
        self.fetched: list[int] = []
        self.over: set[int] = set()

    def receive(self) -> Any:
        got = self.coming.pop(0)
        return None if got is None else (got, f"tree of {got.metadata.run_id}")

    def send(self, reply: Message, tree: object, seconds: float) -> tuple[set[str], str]:
        self.sent.append(reply)
        return set(), "session"

    def get_run(self, run_id: int) -> Any:
        if run_id in self.over:
            raise RunNotRunningException
        return SimpleNamespace(run_id=run_id, fab_hash="stated", primary_task_type=self.kind)

    def get_fab(self, fab_hash: str, run_id: int) -> Fab:
        self.fetched.append(run_id)
        return Fab(fab_hash, self.runs[run_id], {})

    def push_object(self, run_id: int, session: str, object_id: str, content: bytes) -> None:
        raise AssertionError("nothing was asked for")

    def confirm(self, run_id: int, message_id: str) -> None:
        self.confirmed.append(message_id)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    allow(tmp_path, {hashlib.sha256(GOOD).hexdigest(): "plan"})
    return tmp_path


def keeper(server: Server, folder: Path) -> Doorkeeper:
    return Doorkeeper(
        server.receive,
        server.send,
        server.get_run,
        server.get_fab,
        server.push_object,
        server.confirm,
        folder / ALLOWED,
        folder / REFUSALS,
        folder / "contact",
        folder / "arrived",
        0.0,
    )


def test_a_message_of_an_allowed_run_comes_in_with_the_bundle_that_was_checked(folder: Path):
    server = Server({1: GOOD})
    server.coming = [None, None, message(1)]
    door = keeper(server, folder)
    got, tree = door.receive()
    assert got.metadata.run_id == 1
    assert tree == "tree of 1"
    server.runs[1] = OTHER  # a second question would bring other bytes
    assert door.get_run(1).run_id == 1
    assert door.get_fab("stated", 1).content == GOOD
    assert server.fetched == [1]
    assert (folder / "contact").exists()
    assert (folder / "arrived").exists()


def test_a_message_of_another_run_is_answered_and_does_not_come_in(folder: Path):
    server = Server({1: OTHER, 2: GOOD})
    server.coming = [message(1), message(2)]
    got, _ = keeper(server, folder).receive()
    assert got.metadata.run_id == 2
    (reply,) = server.sent
    assert reply.error.code == ErrorCode.INVALID_FAB
    assert reply.error.reason == PUBLIC_REASON
    assert reply.metadata.reply_to_message_id == "message-1"
    assert server.confirmed == ["message-1"]
    (refusal,) = refusals(folder)
    assert hashlib.sha256(OTHER).hexdigest() in refusal.reason
    assert refusal.run == 1


def test_an_approval_that_is_taken_back_ends_a_run_under_way(folder: Path):
    server = Server({1: GOOD, 2: GOOD})
    server.coming = [message(1), message(1), message(2)]
    door = keeper(server, folder)
    door.receive()
    allow(folder, {})
    server.coming.append(None)
    with pytest.raises(IndexError):  # nothing comes in any more, until the server has nothing left
        door.receive()
    assert len(server.sent) == 2


@pytest.mark.parametrize("kind", [TaskType.AGENT_APP, TaskType.SIMULATION, "", "unheard-of"])
def test_a_run_of_another_kind_is_refused(folder: Path, kind: str):
    """For an agent's run, Flower's SuperNode would ask its executor for an agent, whatever the bundle is."""
    server = Server({1: GOOD}, kind)
    server.coming = [message(1)]
    with pytest.raises(IndexError):
        keeper(server, folder).receive()
    assert server.fetched == []
    assert len(refusals(folder)) == 1


def test_a_run_that_is_over_is_passed_by(folder: Path):
    server = Server({1: GOOD, 2: GOOD})
    server.over = {1}
    server.coming = [message(1), message(2)]
    got, _ = keeper(server, folder).receive()
    assert got.metadata.run_id == 2
    assert server.sent == []


def test_a_full_disk_keeps_nobody_away_and_still_refuses(folder: Path):
    """Neither the time of the contact nor the note of a refusal is needed to refuse."""
    server = Server({1: OTHER, 2: GOOD})
    server.coming = [message(1), message(2)]
    (folder / REFUSALS).symlink_to("/dev/full")
    for name in ("contact", "arrived"):
        (folder / name).symlink_to(folder / "nowhere" / name)

    @contextmanager
    def connect(*_: object):
        yield 77, server.receive, server.send, server.get_run, server.get_fab, "", server.push_object, server.confirm

    open_connection = watched(connect, folder / ALLOWED, folder / REFUSALS, folder / "contact", folder / "arrived", 0.0)
    with open_connection("127.0.0.1:1", False, None, (None, None)) as opened:
        assert opened[1]()[0].metadata.run_id == 2
    assert [reply.error.reason for reply in server.sent] == [PUBLIC_REASON]


def test_a_connection_hands_out_the_doorkeepers_functions(folder: Path):
    server = Server({1: GOOD})
    server.coming = [message(1)]

    @contextmanager
    def connect(*_: object):
        yield (
            77,
            server.receive,
            server.send,
            server.get_run,
            server.get_fab,
            "pull",
            server.push_object,
            server.confirm,
        )

    open_connection = watched(connect, folder / ALLOWED, folder / REFUSALS, folder / "contact", folder / "arrived", 0.0)
    with open_connection("127.0.0.1:1", False, None, (None, None)) as opened:
        assert (opened[0], opened[5]) == (77, "pull")
        assert opened[1]()[0].metadata.run_id == 1
    assert (folder / "contact").read_text() == "77\n"
