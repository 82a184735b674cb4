"""`python -m sealscore.clients.deploy.launcher`: Flower's SuperNode with the node's own hands on its connection.

Flower's SuperNode asks for a message, takes the run and the bundle that come with it, and waits three seconds when
there is none. Here its connection to the server gets: the check of a bundle at its arrival, before anything of it is
parsed; the refusal of runs that are no federated run; shorter waits. What is used of Flower is the function that
makes its connection (`http_request_response`) and, for the waits, the `time` and the `pull_objects` of the module that
calls it, and the longest wait of `http_retry` (20 s).
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import flwr.supercore.retry.http_retry as http_retry
import flwr.supernode.start_client_internal as supernode
import httpx
from flwr.app import Error, Message
from flwr.common.constant import ErrorCode
from flwr.proto.fleet_pb2 import DeactivateNodeRequest
from flwr.supercore.constant import TaskType
from flwr.supercore.fab import Fab
from flwr.supercore.inflatable.inflatable_object import (
    get_all_nested_objects,
    get_object_tree,
    no_object_id_recompute,
)
from flwr.supercore.interceptors import RuntimeVersionHttpInterceptor
from flwr.supercore.run import Run, RunNotRunningException
from flwr.supernode.cli import flower_supernode
from flwr.supernode.fleet_http_client import FleetHttpClient
from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor

from sealscore.clients.deploy.executor import PUBLIC_REASON, BundleRefused, record_refusal, require_allowed, say
from sealscore.shared.processes import follow_parent
from sealscore.shared.text.foreign import plain

_CONTACT_EVERY = 5.0
_SHORTEST = 0.05
_REPLY_EVERY = 0.05  # within this process, so it costs the server nothing
_PART_AGAIN = 0.05  # the server gives a message away before its parts, which come within a tenth of a second
_SERVER_AGAIN = 2  # the longest wait for a server that is away, of which each node takes a part by lot
_OFFLINE = 2.0  # longer than the longest wait of the server app between two looks


def main() -> None:
    """Arguments: those of this launcher, `--`, then those of `flower-supernode`."""
    cut = sys.argv.index("--")
    parser = argparse.ArgumentParser(prog="sealscore.clients.deploy.launcher", description=__doc__)
    for name in ("allowed", "refusals", "contact", "arrived"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--poll", type=float, required=True)
    own = parser.parse_args(sys.argv[1:cut])
    sys.argv = ["flower-supernode", *sys.argv[cut + 1 :]]
    follow_parent(os.getppid())
    module: Any = supernode
    module.http_request_response = watched(
        module.http_request_response, own.allowed, own.refusals, own.contact, own.arrived, own.poll
    )
    hasten()
    flower_supernode()


def hasten() -> None:
    """Shorten the waits of Flower's loop in this process."""
    module: Any = supernode
    module.time = _TaskClock
    module.pull_objects = partial(module.pull_objects, initial_backoff=_PART_AGAIN)
    retries: Any = http_retry
    retries.MAX_RETRY_DELAY = _SERVER_AGAIN


def watched(
    connect: Callable[..., AbstractContextManager[Any]],
    allowed: Path,
    refusals: Path,
    contact: Path,
    arrived: Path,
    poll: float,
) -> Callable[..., AbstractContextManager[Any]]:
    """Flower's connection with a doorkeeper in it. `poll` is the longest wait between two questions, in seconds."""

    @contextmanager
    def connected(*arguments: Any, **options: Any) -> Iterator[Any]:
        _sign_off(contact, *arguments)
        with connect(*arguments, **options) as (node_id, receive, send, get_run, get_fab, pull, push, confirm):
            with suppress(OSError):  # a full disk is no reason to stay away
                contact.write_text(f"{node_id}\n", encoding="ascii")
            files = (allowed, refusals, contact, arrived)
            keeper = Doorkeeper(receive, send, get_run, get_fab, push, confirm, *files, poll)
            yield node_id, keeper.receive, send, keeper.get_run, keeper.get_fab, pull, push, confirm

    return connected


class _TaskClock:
    """In place of `time` in Flower's loop, which looks every half second whether a courier's reply is there."""

    @staticmethod
    def sleep(seconds: float) -> None:
        time.sleep(min(seconds, _REPLY_EVERY))


def _sign_off(contact: Path, server: str, insecure: bool, roots: Any, keys: Any, *_: Any) -> None:
    """Inform the server that the connection before this one is over, if it was broken off without a word.

    The server would count a killed SuperNode as online for another minute, refuse this one, and leave unanswered
    what the killed one had taken. The short wait lets the server app see the node offline and give that up.
    """
    try:
        node_id = int(contact.read_text(encoding="ascii"))
        signer = NodeAuthHttpInterceptor(*keys)
        version = RuntimeVersionHttpInterceptor(component_name="SuperNode")
        with FleetHttpClient.from_server_address(server, insecure, roots, [version, signer]) as client:
            client.DeactivateNode(DeactivateNodeRequest(node_id=node_id))
    except (OSError, ValueError, httpx.HTTPError):
        return  # never connected before, or signed off as it should be
    time.sleep(_OFFLINE)


class Doorkeeper:
    """Lets a message in when the run that it belongs to brings an allowed bundle, and answers it otherwise.

    The file `contact` is touched while the server answers, so its time is when the node last spoke with it; `arrived`
    when a message is let in, so that the executor need not ask for one all the time.
    """

    def __init__(
        self,
        receive: Callable[[], Any],
        send: Callable[[Message, Any, float], tuple[set[str], str]],
        get_run: Callable[[int], Run],
        get_fab: Callable[[str, int], Fab],
        push_object: Callable[[int, str, str, bytes], None],
        confirm: Callable[[int, str], None],
        allowed: Path,
        refusals: Path,
        contact: Path,
        arrived: Path,
        poll: float,
    ) -> None:
        self._receive = receive
        self._send = send
        self._get_run = get_run
        self._get_fab = get_fab
        self._push_object = push_object
        self._confirm = confirm
        self._allowed = allowed
        self._refusals = refusals
        self._contact = contact
        self._arrived = arrived
        self._poll = poll
        self._digests: dict[int, str] = {}  # run to the hash of the bundle that it brought
        self._brought: dict[int, tuple[Run, Fab]] = {}
        self._touched = 0.0
        self._latest = time.monotonic() - 10 * poll

    def receive(self) -> Any:
        """The next message that may come in, with its object tree; waits until there is one."""
        while True:
            got = self._receive()
            self._touch()
            if got is None:
                time.sleep(self._wait())
                continue
            self._latest = time.monotonic()
            message, tree = got
            run_id = message.metadata.run_id
            try:
                self._admit(run_id)
            except RunNotRunningException:
                continue
            except BundleRefused as refused:
                record_refusal(self._refusals, refused, run=run_id)
                self._turn_away(message)
                continue
            with suppress(OSError):  # the executor asks now and then all the same
                self._arrived.touch(mode=0o600)
            return message, tree

    def _wait(self) -> float:
        """Seconds to the next question, which costs the server 20 ms: few where a message has just come."""
        return min(self._poll, max(_SHORTEST, (time.monotonic() - self._latest) / 10))

    def get_run(self, run_id: int) -> Run:
        """The run as it was checked."""
        if run_id not in self._brought:
            self._admit(run_id, fetch=True)
        return self._brought[run_id][0]

    def get_fab(self, fab_hash: str, run_id: int) -> Fab:
        """The bundle as it was checked: it is not asked for a second time, when other bytes might come."""
        return self._brought.pop(run_id)[1]

    def _admit(self, run_id: int, fetch: bool = False) -> None:
        """Raise BundleRefused unless the run's bundle is on the list, as the list is now."""
        if run_id not in self._digests or fetch:
            run = self._get_run(run_id)
            if run.primary_task_type != TaskType.SERVER_APP:
                raise BundleRefused(
                    f"run {run_id} is refused: it is no federated run but {plain(run.primary_task_type, 60)!r}"
                )
            fab = self._get_fab(run.fab_hash, run_id)
            digest = hashlib.sha256(fab.content).hexdigest()
            require_allowed(digest, self._allowed)
            self._digests[run_id] = digest
            self._brought[run_id] = (run, fab)
        require_allowed(self._digests[run_id], self._allowed)

    def _turn_away(self, message: Message) -> None:
        """Answer with an error that says nothing, so that the server need not wait for a time-out."""
        reply = Message(Error(code=ErrorCode.INVALID_FAB, reason=PUBLIC_REASON), reply_to=message)
        run_id = message.metadata.run_id
        try:
            reply.metadata.__dict__["_message_id"] = reply.object_id
            with no_object_id_recompute():
                wanted, session = self._send(reply, get_object_tree(reply), 0.0)
                for object_id, content in get_all_nested_objects(reply).items():
                    if object_id in wanted:
                        self._push_object(run_id, session, object_id, content.deflate())
            self._confirm(run_id, message.metadata.message_id)
        except RunNotRunningException:
            return
        except Exception as error:  # as Flower does: what the server makes of it is not the node's affair
            say(f"a refusal could not be sent ({type(error).__name__})")

    def _touch(self) -> None:
        now = time.monotonic()
        if now - self._touched > _CONTACT_EVERY:
            with suppress(OSError):
                self._contact.touch(mode=0o600)
            self._touched = now


if __name__ == "__main__":
    main()
