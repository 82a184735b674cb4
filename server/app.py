"""The Flower ServerApp: an Exchange over Flower's grid, and the entry that hands it to the coordinator.

Only bytes pass here. What a party sends is not trusted: whatever is no well-formed reply becomes a Failure.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from flwr.app import ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.serverapp import Grid, ServerApp
from flwr.supercore.inflatable.inflatable_utils import ObjectPushError, pull_objects

from sealscore.server.transport.exchange import (
    MALFORMED,
    REASONS,
    TIMEOUT,
    UNAVAILABLE,
    UNKNOWN,
    Delivered,
    Failure,
    Traffic,
)

app = ServerApp()

_LONGEST_NAME = 63
_SHORTEST_LOOK = 0.03  # seconds
_PART_AGAIN = 0.05  # seconds; Flower's own second was most of what an exchange took
_HTTP_GRID = "flwr.superlink.grid.http_grid"
_LONGEST_WAIT = 12 * 3600.0  # Flower's own time to live of a message
# Flower's codes 3 and 4 say that a message or its reply has outlived its time; all others that nothing came.
_OUTLIVED = frozenset({3, 4})


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run the plan at `plan` (a path in the run's configuration) and leave the results under `output`.

    With a `home`, the folder of a server with a key of its own, `plan` is the name of a signed plan there, and `action`
    says whether it is run, published to the parties or ended at them; or, where a release is published, the release's
    name; or nothing, where the day's parcels of scoring are relayed.
    """
    config = {name: str(value) for name, value in context.run_config.items()}
    exchange = FlowerExchange(grid)
    if not config.get("home"):
        from sealscore.server.run.run import run_coordinator

        run_coordinator(Path(config["plan"]).read_bytes(), exchange, Path(config["output"]), engine="flower")
        return
    from sealscore.server.run.deployed import carry_out, end, publish, publish_release, relay
    from sealscore.server.setup.server_dir import ServerDir

    actions = {
        "end": end,
        "publish": publish,
        "publish-release": publish_release,
        "relay": relay,
        "run": carry_out,
    }
    actions[config["action"]](ServerDir(Path(config["home"])), config["plan"], exchange)


class FlowerExchange:
    """The Exchange over a Flower grid.

    A node is known by the name that its courier gives when asked; a node that has not answered is asked again each
    time that somebody looks. While two nodes give one name, the one that gave it first keeps it. A name is no proof:
    that an answer is the party's own is for the seals and signatures of its bytes to show.
    """

    def __init__(self, grid: Grid, hello_timeout: float = 30.0) -> None:
        # The SuperLink gives a reply away before its parts, which come within a tenth of a second. Only where the grid
        # is a SuperLink's: its module takes longer to import than all others together.
        grids: Any = sys.modules.get(_HTTP_GRID)
        if grids is not None:
            grids.pull_objects = partial(pull_objects, initial_backoff=_PART_AGAIN)
        self.traffic = Traffic()
        self._grid = grid
        self._hello_timeout = hello_timeout
        self._names: dict[int, str] = {}  # node id to party, in the order of their hellos
        self._asked: dict[str, int] = {}  # message id of a hello that is under way to node id

    def online(self) -> frozenset[str]:
        """Names of the parties that are there now. New nodes have `hello_timeout` seconds to give their name."""
        nodes = set(self._grid.get_node_ids())
        fresh = sorted(nodes - self._names.keys() - set(self._asked.values()))
        if fresh:
            hellos = [Message(RecordDict(), node, "query.hello", ttl=self._hello_timeout) for node in fresh]
            pushed = self._push(hellos)
            under_way = [hello.metadata for hello in hellos if hello.metadata.message_id in pushed]
            self._asked.update({metadata.message_id: metadata.dst_node_id for metadata in under_way})
        wait = self._hello_timeout if fresh else 0.0
        for message_id, reply in self._collect(set(self._asked), wait):
            node = self._asked.pop(message_id)
            if (name := _name(reply)) is not None:
                self._names[node] = name
        return frozenset(self._holders(nodes))

    def send(self, requests: Mapping[str, bytes], timeout: float | None = None) -> dict[str, Delivered]:
        """Exchange.send; an answer that comes after `timeout` seconds is not delivered any more."""
        holders = self._holders(set(self._grid.get_node_ids()))
        if not requests.keys() <= holders.keys():
            self.online()
            holders = self._holders(set(self._grid.get_node_ids()))
        known = set(self._names.values())
        replies: dict[str, Delivered] = {
            party: Failure(party, UNAVAILABLE if party in known else UNKNOWN)
            for party in requests
            if party not in holders
        }
        wait = _LONGEST_WAIT if timeout is None else timeout
        messages = {
            party: Message(
                RecordDict({"request": ConfigRecord({"body": body})}), holders[party], "train.carry", ttl=wait
            )
            for party, body in requests.items()
            if party in holders
        }
        pushed = self._push(list(messages.values()))
        pending: dict[str, str] = {}
        for party, message in messages.items():
            self.traffic.sent(party, requests[party])
            if message.metadata.message_id in pushed:
                pending[message.metadata.message_id] = party
            else:
                replies[party] = Failure(party, UNAVAILABLE)
        for message_id, reply in self._collect(set(pending), wait):
            party = pending.pop(message_id)
            body, reason = _open(reply)
            replies[party] = Failure(party, reason) if body is None else body
            if (courier := _courier(reply)) is not None:
                self.traffic.carried(courier)
        replies.update({party: Failure(party, TIMEOUT) for party in pending.values()})
        for party, outcome in replies.items():
            self.traffic.received(party, outcome)
        return {party: replies[party] for party in requests}

    def _push(self, messages: list[Message]) -> set[str]:
        """Ids of the messages that are under way.

        When a node leaves just then, Flower drops what was stored for it, and with that the push of all fails: none
        counts, and whoever was asked is asked again.
        """
        try:
            return set(self._grid.push_messages(messages))
        except ObjectPushError:
            return set()

    def _holders(self, nodes: set[int]) -> dict[str, int]:
        holders: dict[str, int] = {}
        for node, name in self._names.items():
            if node in nodes:
                holders.setdefault(name, node)
        return holders

    def _collect(self, pending: set[str], wait: float) -> Iterator[tuple[str, Message]]:
        """Yield (message id, reply) as replies come, until all of `pending` are there or `wait` seconds are over."""
        started = time.monotonic()
        while pending:
            for reply in self._grid.pull_messages(set(pending)):
                if (message_id := reply.metadata.reply_to_message_id) in pending:
                    pending.discard(message_id)
                    yield message_id, reply
            waited = time.monotonic() - started
            if not pending or waited >= wait:
                return
            # A tenth of the time so far, for a look costs the server 20 ms, or the courier of a node waits for it.
            time.sleep(min(max(waited / 10, _SHORTEST_LOOK), 0.5, wait - waited))


def _open(reply: Message) -> tuple[bytes | None, str]:
    """The body of a courier's reply, or None with the reason. The text of an error is never looked at."""
    if reply.has_error():
        return None, TIMEOUT if reply.error.code in _OUTLIVED else UNAVAILABLE
    record = reply.content.get("answer")
    if not isinstance(record, ConfigRecord):
        return None, MALFORMED
    body, code = record.get("body"), record.get("code")
    if isinstance(body, bytes):
        return body, ""
    return None, code if isinstance(code, str) and code in REASONS - {UNKNOWN} else MALFORMED


def _name(reply: Message) -> str | None:
    body, _ = _open(reply)
    if body is None or not 0 < len(body) <= _LONGEST_NAME or not body.isascii():
        return None
    name = body.decode("ascii")
    return name if name.isprintable() else None


def _courier(reply: Message) -> int | None:
    record = reply.content.get("courier") if reply.has_content() else None
    pid = record.get("pid") if isinstance(record, MetricRecord) else None
    return pid if isinstance(pid, int) and pid > 0 else None
