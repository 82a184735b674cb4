"""Flower in one process: the same answers as calling the nodes, faults, isolation of parties, Ctrl-C."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from flwr.app import ConfigRecord, Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.supercore.task_identity import TaskIdentity
from hypothesis import given, settings
from hypothesis import strategies as st

from sealscore.clients.courier import Responder, SocketNode
from sealscore.clients.node.socket_server import serve
from sealscore.server.transport.exchange import Delivered, Exchange, Failure, wait_for
from sealscore.simulations.engine.grid import Faults, InProcessGrid, run_in_process, task_identity


class Node:
    """A responder that answers with its name and the bytes reversed, or does what it is given."""

    def __init__(self, name: str, act: Callable[[bytes], bytes] | None = None) -> None:
        self.name = name
        self.act = act or (lambda body: name.encode() + body[::-1])
        self.asked: list[bytes] = []

    def answer(self, request: bytes) -> bytes:
        self.asked.append(request)
        return self.act(request)


def fail(body: bytes) -> bytes:
    raise ValueError("income of applicant 17 is 1250")


def nodes(*names: str) -> dict[str, Responder]:
    return {name: Node(name) for name in names}


@settings(max_examples=25)
@given(st.dictionaries(st.sampled_from("abcd"), st.binary(max_size=200), max_size=4))
def test_the_grid_gives_what_the_nodes_give(requests: dict[str, bytes]) -> None:
    parties = nodes("a", "b", "c", "d")
    direct = {party: parties[party].answer(body) for party, body in requests.items()}
    assert run_in_process(parties, lambda exchange: exchange.send(requests)) == direct


def test_a_node_behind_its_daemon_gives_the_same(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A SocketNode is a responder too, so the in-process engine can drive a node that runs elsewhere."""
    directory = tmp_path_factory.mktemp("n")
    directory.chmod(0o700)
    parties = nodes("a", "b")
    requests = {"a": b"one", "b": bytes(100_000)}
    with serve(parties.values(), directory) as paths:
        remote = {party: SocketNode(path, 5.0) for party, path in paths.items()}
        over_sockets = run_in_process(remote, lambda exchange: exchange.send(requests))
    assert over_sockets == run_in_process(parties, lambda exchange: exchange.send(requests))


def test_main_sees_all_parties_and_its_result_comes_back() -> None:
    def main(exchange: Exchange) -> tuple[frozenset[str], dict]:
        wait_for(exchange, ["b", "a"], timeout=1.0)
        exchange.send({"a": b"123"})
        return exchange.online(), exchange.traffic.summary()

    online, traffic = run_in_process(nodes("a", "b"), main)
    assert online == {"a", "b"}
    assert traffic["parties"] == {"a": {"requests": 1, "failures": 0, "bytes_sent": 3, "bytes_received": 4}}
    assert traffic["couriers"] == {str(os.getpid()): 1}


def test_a_node_that_raises_fails_alone_and_without_its_text() -> None:
    parties = {**nodes("a"), "b": Node("b", fail)}
    replies = run_in_process(parties, lambda exchange: exchange.send({"a": b"1", "b": b"1"}))
    assert replies == {"a": b"a1", "b": Failure("b", "unavailable")}


def test_faults() -> None:
    faults = Faults(
        offline={"off"},
        rewrite={
            "rubbish": lambda reply: Message(RecordDict({"answer": ConfigRecord({"x": 1})}), reply_to=reply),
            "flower": lambda reply: Message(Error(0, "a text"), reply_to=reply),
        },
    )
    for rewrite in list(faults.rewrite):  # a hello passes, what follows does not
        spoil = faults.rewrite[rewrite]
        faults.rewrite[rewrite] = lambda reply, spoil=spoil: _unless_hello(reply, spoil)
    parties = nodes("ok", "off", "mute", "rubbish", "flower")

    def main(exchange: Exchange) -> list[dict[str, Delivered]]:
        first = exchange.online()
        faults.silent.add("mute")
        replies = [exchange.send(dict.fromkeys(parties, b"1"), timeout=0.02)]
        faults.offline.clear()
        faults.offline.add("ok")
        assert first == {"ok", "mute", "rubbish", "flower"}
        assert exchange.online() == {"off", "mute", "rubbish", "flower"}
        return [*replies, exchange.send({"ok": b"1", "off": b"1"})]

    first, second = run_in_process(parties, main, faults)
    assert first == {
        "ok": b"ok1",
        "off": Failure("off", "unknown-party"),
        "mute": Failure("mute", "timeout"),
        "rubbish": Failure("rubbish", "malformed"),
        "flower": Failure("flower", "unavailable"),
    }
    assert second == {"ok": Failure("ok", "unavailable"), "off": b"off1"}


def _unless_hello(reply: Message, spoil: Callable[[Message], Message]) -> Message:
    if reply.metadata.message_type == "query.hello":
        return reply
    spoiled = spoil(reply)
    spoiled.metadata.__dict__["_reply_to_message_id"] = reply.metadata.reply_to_message_id
    return spoiled


def test_parties_share_no_object() -> None:
    """Handlers may change what they get; a party must not see another's changes, nor the server's copy change."""
    client_app = ClientApp()
    seen: list[object] = []

    @client_app.train("carry")
    def carry(message: Message, context: Context) -> Message:
        record = message.content.config_records["request"]
        seen.append(record.get("mark"))
        record["mark"] = context.node_id
        context.state["count"] = ConfigRecord({"n": len(context.state) + 1})
        return Message(message.content, reply_to=message)

    with task_identity():
        grid = InProcessGrid(client_app, {"a": "1", "b": "2"})
        content = RecordDict({"request": ConfigRecord({"body": b"x"})})
        replies = grid.send_and_receive([Message(content, node, "train.carry") for node in grid.get_node_ids()])
    assert seen == [None, None]
    assert sorted(reply.content.config_records["request"]["mark"] for reply in replies) == grid.get_node_ids()
    assert "mark" not in content.config_records["request"]


def test_a_client_app_that_raises_is_an_error_reply_as_in_flower() -> None:
    client_app = ClientApp()

    @client_app.train("carry")
    def carry(message: Message, context: Context) -> Message:
        raise ValueError("a text")

    with task_identity():
        grid = InProcessGrid(client_app, {"a": "1"})
        (reply,) = grid.send_and_receive([Message(RecordDict(), grid.get_node_ids()[0], "train.carry")])
    assert reply.error.code == 2
    assert reply.error.reason == "a text"


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_inside_a_node_ends_the_run(interrupt: type[BaseException]) -> None:
    def act(body: bytes) -> bytes:
        raise interrupt

    with pytest.raises(interrupt):
        run_in_process({"a": Node("a", act)}, lambda exchange: exchange.send({"a": b"1"}))
    assert run_in_process(nodes("a"), lambda exchange: exchange.send({"a": b"1"})) == {"a": b"a1"}


def test_an_error_of_main_comes_through_and_the_task_identity_is_given_back() -> None:
    before = dict(vars(TaskIdentity))

    def main(exchange: Exchange) -> None:
        raise LookupError("no such phase")

    with pytest.raises(LookupError, match="no such phase"):
        run_in_process(nodes("a"), main)
    assert {key: vars(TaskIdentity)[key] for key in before} == before


def test_runs_inside_runs_do_not_mix() -> None:
    def inner(exchange: Exchange) -> Delivered:
        return exchange.send({"a": b"2"})["a"]

    def outer(exchange: Exchange) -> tuple[Delivered, Delivered, Delivered]:
        first = exchange.send({"a": b"1"})["a"]
        nested = run_in_process({"a": Node("a", lambda body: b"inner" + body)}, inner)
        return first, nested, exchange.send({"a": b"3"})["a"]

    assert run_in_process(nodes("a"), outer) == (b"a1", b"inner2", b"a3")
