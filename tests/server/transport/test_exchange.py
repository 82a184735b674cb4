"""The exchange: waiting for parties by name, what counts as an answer, counters; over doubles of Flower's grid."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterable, Iterator
from types import SimpleNamespace

import pytest
from flwr.app import ConfigRecord, Context, Error, Message, MetricRecord, RecordDict
from flwr.supercore.inflatable.inflatable_utils import ObjectPushError
from hypothesis import given
from hypothesis import strategies as st

from sealscore.server import app as server_app
from sealscore.server.app import FlowerExchange
from sealscore.server.transport.exchange import Exchange, Failure, MissingParties, Traffic, wait_for
from sealscore.simulations.engine.grid import task_identity


@pytest.fixture(autouse=True, scope="module")
def _task() -> Iterator[None]:
    with task_identity():
        yield


class Online:
    """An exchange whose parties come one by one, one more each time somebody looks."""

    def __init__(self, *names: str) -> None:
        self.names = names
        self.looks = 0
        self.traffic = Traffic()

    def online(self) -> frozenset[str]:
        self.looks += 1
        return frozenset(self.names[: self.looks])

    def send(self, requests: object, timeout: float | None = None) -> dict[str, bytes | Failure]:
        raise AssertionError("waiting sends nothing")


def test_wait_for_returns_when_the_last_party_is_there() -> None:
    exchange: Exchange = Online("b", "stranger", "a")
    wait_for(exchange, ["a", "b"], timeout=5.0, poll=0.001)
    assert exchange.online() >= {"a", "b"}


def test_wait_for_names_who_is_missing_and_who_is_there() -> None:
    with pytest.raises(MissingParties, match=r"not there after 0\.02 s: lender-2, lender-3; there: lender-1") as caught:
        wait_for(Online("lender-1"), ["lender-3", "lender-1", "lender-2"], timeout=0.02, poll=0.005)
    assert caught.value.missing == ["lender-2", "lender-3"]
    assert caught.value.present == ["lender-1"]


def test_wait_for_looks_once_when_there_is_no_time() -> None:
    exchange = Online("a")
    wait_for(exchange, ["a"], timeout=0.0)
    assert exchange.looks == 1


def test_a_failure_has_a_public_code_only() -> None:
    with pytest.raises(ValueError, match="income of applicant 17"):
        Failure("lender-1", "income of applicant 17 is negative")


def test_traffic_counts_bodies_by_party() -> None:
    traffic = Traffic()
    traffic.sent("a", b"123")
    traffic.received("a", b"12345")
    traffic.sent("a", b"1")
    traffic.received("a", Failure("a", "timeout"))
    traffic.carried(77)
    assert traffic.summary() == {
        "parties": {"a": {"requests": 2, "failures": 1, "bytes_sent": 4, "bytes_received": 5}},
        "couriers": {"77": 1},
    }


class ScriptedGrid:
    """A grid whose nodes do as the test says: node id to a function from the request to a reply, or None for none."""

    def __init__(self, nodes: dict[int, Callable[[Message], Message | None]]) -> None:
        self.nodes = nodes
        self.replies: dict[str, Message] = {}
        self.pushed: list[Message] = []
        self.lost: set[int] = set()
        self._numbers = itertools.count()

    def get_node_ids(self) -> Iterable[int]:
        return list(self.nodes)

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        ids = []
        for message in messages:
            message.metadata.__dict__["_message_id"] = str(next(self._numbers))
            self.pushed.append(message)
            if message.metadata.dst_node_id in self.lost:
                continue
            ids.append(message.metadata.message_id)
            if (reply := self.nodes[message.metadata.dst_node_id](message)) is not None:
                self.replies[message.metadata.message_id] = reply
        return ids

    def pull_messages(self, ids: Iterable[str]) -> list[Message]:
        return [self.replies.pop(key) for key in sorted(ids) if key in self.replies]


def content(message: Message, **records: ConfigRecord | MetricRecord) -> Message:
    return Message(RecordDict(dict(records)), reply_to=message)


def node(name: str, act: Callable[[Message], Message | None]) -> Callable[[Message], Message | None]:
    """A node that says its name when asked, and does `act` with requests."""

    def answer(message: Message) -> Message | None:
        if message.metadata.message_type == "query.hello":
            return content(message, answer=ConfigRecord({"body": name.encode()}))
        return act(message)

    return answer


def echo(message: Message) -> Message:
    body = message.content.config_records["request"]["body"]
    return content(message, answer=ConfigRecord({"body": body}), courier=MetricRecord({"pid": 4711}))


def ask(act: Callable[[Message], Message | None], timeout: float = 5.0) -> bytes | Failure:
    exchange = FlowerExchange(ScriptedGrid({2: node("a", act)}))  # type: ignore[arg-type]
    return exchange.send({"a": b"question"}, timeout=timeout)["a"]


def test_a_push_that_flower_breaks_off_is_a_failure_of_all_and_the_next_one_works() -> None:
    """It breaks off the whole of a push when a node leaves in the middle of it."""
    grid = ScriptedGrid({2: node("a", echo), 3: node("b", echo)})
    push, broken = grid.push_messages, [True, False, True, False]

    def breaking(messages: Iterable[Message]) -> list[str]:
        pushed = push(messages)
        if broken.pop(0):
            raise ObjectPushError("an object", 1, "a session")
        return pushed

    grid.push_messages = breaking  # type: ignore[method-assign]
    exchange = FlowerExchange(grid)  # type: ignore[arg-type]
    assert exchange.online() == frozenset()
    assert exchange.online() == {"a", "b"}
    requests = {"a": b"1", "b": b"2"}
    assert exchange.send(requests, 5.0) == {name: Failure(name, "unavailable") for name in requests}
    assert exchange.send(requests, 5.0) == requests


RUBBISH: dict[str, tuple[Callable[[Message], Message | None], str]] = {
    "error": (lambda m: Message(Error(2, "income of applicant 17"), reply_to=m), "unavailable"),
    "node gone": (lambda m: Message(Error(5), reply_to=m), "unavailable"),
    "outlived": (lambda m: Message(Error(3), reply_to=m), "timeout"),
    "nothing inside": (lambda m: content(m), "malformed"),
    "other record": (lambda m: content(m, answer=MetricRecord({"body": 1})), "malformed"),
    "text for bytes": (lambda m: content(m, answer=ConfigRecord({"body": "text"})), "malformed"),
    "own code": (lambda m: content(m, answer=ConfigRecord({"code": "too-large"})), "too-large"),
    "made-up code": (lambda m: content(m, answer=ConfigRecord({"code": "income of 17"})), "malformed"),
    "a server's code": (lambda m: content(m, answer=ConfigRecord({"code": "unknown-party"})), "malformed"),
    "code of another type": (lambda m: content(m, answer=ConfigRecord({"code": 3})), "malformed"),
}


@pytest.mark.parametrize("kind", sorted(RUBBISH))
def test_rubbish_becomes_a_coded_failure(kind: str) -> None:
    act, reason = RUBBISH[kind]
    assert ask(act) == Failure("a", reason)


def test_silence_is_a_timeout() -> None:
    assert ask(lambda message: None, timeout=0.02) == Failure("a", "timeout")


def test_a_request_lives_no_longer_than_its_timeout() -> None:
    """A node that got it later would answer, and be charged, for an attempt that the server has given up."""
    grid = ScriptedGrid({2: node("a", echo)})
    FlowerExchange(grid).send({"a": b"x"}, timeout=7.5)  # type: ignore[arg-type]
    assert grid.pushed[-1].metadata.ttl == 7.5


def test_every_request_gets_an_entry_and_only_those_asked_are_sent_to() -> None:
    grid = ScriptedGrid({2: node("a", echo), 3: node("b", echo), 4: node("c", echo), 5: node("d", lambda m: None)})
    grid.lost = {4}
    exchange = FlowerExchange(grid, hello_timeout=0.02)  # type: ignore[arg-type]
    grid.lost = set()
    assert exchange.online() == {"a", "b", "c", "d"}
    grid.lost = {4}
    replies = exchange.send({"d": b"4", "a": b"1", "c": b"3", "nobody": b"0"}, timeout=0.02)
    assert replies == {
        "d": Failure("d", "timeout"),
        "a": b"1",
        "c": Failure("c", "unavailable"),
        "nobody": Failure("nobody", "unknown-party"),
    }
    assert list(replies) == ["d", "a", "c", "nobody"]
    assert exchange.traffic.couriers == {4711: 1}
    assert 3 not in {m.metadata.dst_node_id for m in grid.pushed if m.metadata.message_type == "train.carry"}


def test_a_party_that_went_away_is_unavailable_and_comes_back() -> None:
    grid = ScriptedGrid({2: node("a", echo), 3: node("b", echo)})
    exchange = FlowerExchange(grid)  # type: ignore[arg-type]
    assert exchange.online() == {"a", "b"}
    gone = grid.nodes.pop(3)
    assert exchange.online() == {"a"}
    assert exchange.send({"b": b"x"})["b"] == Failure("b", "unavailable")
    grid.nodes[3] = gone
    assert exchange.send({"b": b"x"})["b"] == b"x"


def test_a_new_node_is_found_by_a_send() -> None:
    grid = ScriptedGrid({2: node("a", echo)})
    exchange = FlowerExchange(grid)  # type: ignore[arg-type]
    assert exchange.online() == {"a"}
    grid.nodes[3] = node("b", echo)
    assert exchange.send({"b": b"x"}) == {"b": b"x"}


def test_the_first_node_of_a_name_keeps_it_while_it_is_there() -> None:
    grid = ScriptedGrid({2: node("a", lambda m: content(m, answer=ConfigRecord({"body": b"first"})))})
    exchange = FlowerExchange(grid)  # type: ignore[arg-type]
    exchange.online()
    grid.nodes[1] = node("a", lambda m: content(m, answer=ConfigRecord({"body": b"second"})))
    exchange.online()
    assert exchange.send({"a": b"x"}) == {"a": b"first"}
    del grid.nodes[2]
    assert exchange.send({"a": b"x"}) == {"a": b"second"}


def test_a_node_without_a_name_is_asked_again() -> None:
    ready = False

    def late(message: Message) -> Message:
        if not ready:
            return content(message, answer=ConfigRecord({"code": "unavailable"}))
        return content(message, answer=ConfigRecord({"body": b"late"}))

    exchange = FlowerExchange(ScriptedGrid({2: late}))  # type: ignore[arg-type]
    assert exchange.online() == frozenset()
    ready = True
    assert exchange.online() == {"late"}


def test_a_slow_hello_is_waited_for_once_and_taken_when_it_comes() -> None:
    kept: list[Message] = []
    grid = ScriptedGrid({2: node("a", echo), 3: lambda message: kept.append(message)})
    exchange = FlowerExchange(grid, hello_timeout=0.02)  # type: ignore[arg-type]
    assert exchange.online() == {"a"}
    assert exchange.online() == {"a"}
    assert len(kept) == 1
    grid.replies[kept[0].metadata.message_id] = content(kept[0], answer=ConfigRecord({"body": b"slow"}))
    assert exchange.online() == {"a", "slow"}


@given(st.binary(max_size=80))
def test_a_name_is_short_printable_ascii_or_none(said: bytes) -> None:
    grid = ScriptedGrid({2: lambda m: content(m, answer=ConfigRecord({"body": said}))})
    names = FlowerExchange(grid).online()  # type: ignore[arg-type]
    plain = 0 < len(said) < 64 and all(32 <= byte < 127 for byte in said)
    assert names == ({said.decode("ascii")} if plain else frozenset())


@given(pid=st.one_of(st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False)))
def test_only_a_plausible_process_id_is_counted(pid: int | float) -> None:
    def act(message: Message) -> Message:
        return content(message, answer=ConfigRecord({"body": b""}), courier=MetricRecord({"pid": pid}))

    exchange = FlowerExchange(ScriptedGrid({2: node("a", act)}))  # type: ignore[arg-type]
    assert exchange.send({"a": b""}) == {"a": b""}
    assert exchange.traffic.couriers == ({pid: 1} if isinstance(pid, int) and pid > 0 else {})


def test_main_hands_bytes_and_paths_to_the_coordinator(tmp_path, monkeypatch) -> None:
    seen: list[object] = []

    def fake(plan_bytes: bytes, exchange: Exchange, output_dir: object, engine: str) -> None:
        seen.extend([plan_bytes, exchange.online(), output_dir, engine])

    monkeypatch.setitem(sys.modules, "sealscore.server.run.run", SimpleNamespace(run_coordinator=fake))
    (tmp_path / "plan").write_bytes(b"\x00plan")
    config = {"plan": str(tmp_path / "plan"), "output": str(tmp_path / "out")}
    context = Context(run_id=1, node_id=0, node_config={}, state=RecordDict(), run_config=config)
    server_app.app(ScriptedGrid({2: node("a", echo)}), context)  # type: ignore[arg-type]
    assert seen == [b"\x00plan", {"a"}, tmp_path / "out", "flower"]
