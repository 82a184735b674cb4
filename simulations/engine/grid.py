"""Flower in one process: real apps and messages over a grid that calls each client app where it stands.

This is the default engine of simulations. It drops Flower's transport, scheduling and processes and keeps the rest:
the ServerApp, the ClientApp, messages that are taken apart to bytes and built again on each way, and one context a
node. So what runs here runs under Flower's simulation engine and in a deployment as it is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import TypeVar

from flwr.app import Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.common.serde import message_from_proto, message_to_proto
from flwr.proto.message_pb2 import Message as ProtoMessage
from flwr.serverapp import Grid, ServerApp
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

from sealscore.clients.app import app as courier_app
from sealscore.clients.courier import Responder, in_process
from sealscore.server.app import FlowerExchange
from sealscore.server.transport.exchange import Exchange

_RUN, _TASK, _SERVER_NODE = 1, 1, 1
_CLIENT_RAISED, _NODE_UNAVAILABLE = 2, 5  # codes of Flower's error replies

T = TypeVar("T")


@dataclass
class Faults:
    """What goes wrong, by party; may be changed while a run is under way.

    `offline`: the node is not there. `silent`: it gets the message and never answers. `rewrite`: its reply is
    replaced on the way back.
    """

    offline: set[str] = field(default_factory=set)
    silent: set[str] = field(default_factory=set)
    rewrite: dict[str, Callable[[Message], Message]] = field(default_factory=dict)


class InProcessGrid(Grid):
    """A Flower grid whose nodes are `client_app` called in place, one context a node, one message at a time.

    `tokens` maps each party to the token by which its courier finds its node. Only inside `task_identity()` can
    messages be made.
    """

    def __init__(self, client_app: ClientApp, tokens: Mapping[str, str], faults: Faults | None = None) -> None:
        self.faults = faults or Faults()
        self._client_app = client_app
        self._run = Run.create_empty(run_id=_RUN)
        self._parties: dict[int, str] = {}
        self._contexts: dict[int, Context] = {}
        for node, party in enumerate(sorted(tokens), start=_SERVER_NODE + 1):
            self._parties[node] = party
            self._contexts[node] = Context(
                run_id=_RUN,
                node_id=node,
                node_config={"node-local": tokens[party]},
                state=RecordDict(),
                run_config={},
            )
        self._replies: dict[str, Message] = {}
        self._numbers = count(1)

    def set_run(self, run: Run) -> None:
        self._run = run

    @property
    def run(self) -> Run:
        return self._run

    def create_message(
        self, content: RecordDict, message_type: str, dst_node_id: int, group_id: str, ttl: float | None = None
    ) -> Message:
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def get_node_ids(self) -> list[int]:
        return [node for node, party in self._parties.items() if party not in self.faults.offline]

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        """Deliver the messages and keep the replies until they are pulled."""
        ids = []
        for message in messages:
            message_id = f"message-{next(self._numbers)}"
            message.metadata.__dict__["_message_id"] = message_id  # Flower leaves this to the grid, by this way
            if (reply := self._deliver(_through_bytes(message))) is not None:
                self._replies[message_id] = _through_bytes(reply)
            ids.append(message_id)
        return ids

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        return [self._replies.pop(message_id) for message_id in message_ids if message_id in self._replies]

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> list[Message]:
        pending = set(self.push_messages(messages))
        replies = self.pull_messages(pending)
        if len(replies) < len(pending) and timeout is not None:
            time.sleep(timeout)  # what has not come by now never comes
        return replies

    def _deliver(self, request: Message) -> Message | None:
        node = request.metadata.dst_node_id
        party = self._parties[node]
        if party in self.faults.offline:
            return Message(Error(_NODE_UNAVAILABLE), reply_to=request)
        try:
            reply = self._client_app(request, self._contexts[node])
        except Exception as error:  # as Flower does, text and all: the client app must not let one out
            reply = Message(Error(_CLIENT_RAISED, str(error)), reply_to=request)
        if party in self.faults.silent:
            return None
        return self.faults.rewrite[party](reply) if party in self.faults.rewrite else reply


def run_in_process(
    responders: Mapping[str, Responder], main: Callable[[Exchange], T], faults: Faults | None = None
) -> T:
    """Run `main` as a Flower ServerApp whose clients are couriers to `responders` (by party); return its result.

    Exceptions of `main` come through, KeyboardInterrupt too.
    """
    results: list[T] = []
    server_app = ServerApp()

    @server_app.main()
    def _main(grid: Grid, context: Context) -> None:
        results.append(main(FlowerExchange(grid)))

    with in_process(responders) as tokens, task_identity():
        grid = InProcessGrid(courier_app, tokens, faults)
        context = Context(run_id=_RUN, node_id=0, node_config={}, state=RecordDict(), run_config={})
        server_app(grid, context)
    return results[0]


@contextmanager
def task_identity() -> Iterator[None]:
    """Flower makes messages only in a process that has a task; give this one a task for a while."""
    before = dict(vars(TaskIdentity))
    TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = _RUN, _SERVER_NODE, _TASK
    try:
        yield
    finally:
        for name in ("_run_id", "_node_id", "_task_id"):
            setattr(TaskIdentity, name, before[name])


def _through_bytes(message: Message) -> Message:
    """Serialise a message and build it again, as transport does, so that no two parties share an object."""
    return message_from_proto(ProtoMessage.FromString(message_to_proto(message).SerializeToString()))
