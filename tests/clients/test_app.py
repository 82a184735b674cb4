"""The courier: both ways to a node give equal answers, no text of an error crosses, and its imports are light."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flwr.app import ConfigRecord, Context, Message, RecordDict

from sealscore.clients.app import app
from sealscore.clients.courier import CODES, Responder, SocketNode, find, in_process
from sealscore.clients.node.socket_server import serve
from sealscore.shared.bundle import courier_app, write_app
from sealscore.simulations.engine.grid import task_identity

SECRET = "income of applicant 17 is 1250"


@pytest.fixture(autouse=True, scope="module")
def _task() -> Iterator[None]:
    with task_identity():
        yield


class Node:
    """A responder that reverses bytes, or does what it is given."""

    def __init__(self, name: str, act: Callable[[bytes], bytes] = lambda body: body[::-1]) -> None:
        self.name = name
        self.act = act

    def answer(self, request: bytes) -> bytes:
        return self.act(request)


def fail(body: bytes) -> bytes:
    raise ValueError(SECRET)


NODES: dict[str, Responder] = {
    "a": Node("a"),
    "b": Node("b", fail),
    "c": Node("c", lambda body: None),  # type: ignore[arg-type,return-value]
}


def run(message_type: str, node_config: dict, run_config: dict | None = None, record: dict | None = None) -> Message:
    content = RecordDict({"request": ConfigRecord({"body": b"abc"} if record is None else record)})
    message = Message(content, 2, message_type, ttl=5.0)
    message.metadata.__dict__["_message_id"] = "1"
    context = Context(run_id=1, node_id=2, node_config=node_config, state=RecordDict(), run_config=run_config or {})
    return app(message, context)


def answer(message: Message) -> dict:
    assert not message.has_error()
    return dict(message.content.config_records["answer"])


@pytest.fixture
def ways(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], list[tuple[dict, dict]]]]:
    """(node configuration, run configuration) of each way to a party's node."""
    directory = tmp_path_factory.mktemp("n")
    directory.chmod(0o700)
    with in_process(NODES) as tokens, serve(NODES.values(), directory) as paths:

        def to(party: str) -> list[tuple[dict, dict]]:
            by_partition = {"parties": "c,a,b", "node-sockets": str(directory)}
            return [
                ({"node-local": tokens[party]}, {}),
                ({"node-socket": str(paths[party])}, {}),
                ({"partition-id": sorted(NODES).index(party), "num-partitions": 3}, by_partition),
            ]

        yield to


def test_every_way_to_a_node_gives_the_same_answers(ways) -> None:
    for party, expected in (("a", {"body": b"cba"}), ("b", {"code": "unavailable"}), ("c", {"code": "unavailable"})):
        for node_config, run_config in ways(party):
            assert answer(run("train.carry", node_config, run_config)) == expected
            assert answer(run("query.hello", node_config, run_config)) == {"body": party.encode()}


def test_a_reply_tells_the_couriers_process(ways) -> None:
    (node_config, run_config), *_ = ways("a")
    assert run("train.carry", node_config, run_config).content.metric_records["courier"]["pid"] == os.getpid()


def test_no_text_of_an_error_crosses_or_is_logged(ways, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for node_config, run_config in ways("b"):
        reply = run("train.carry", node_config, run_config)
        assert not reply.has_error()
        assert set(reply.content) == {"answer", "courier"}
        assert "applicant" not in repr(reply)
    assert "ValueError at test_app.py" in caplog.text
    assert "applicant" not in caplog.text


@pytest.mark.parametrize(
    ("node_config", "run_config"),
    [
        ({}, {}),
        ({"node-local": "no such token"}, {}),
        ({"node-socket": "/nowhere/a.sock"}, {}),
        ({"node-socket": "/" + "d" * 300}, {}),
        ({"partition-id": 0}, {}),
        ({"partition-id": 3}, {"parties": "a,b,c", "node-sockets": "/nowhere"}),
        ({"partition-id": "x"}, {"parties": "a,b,c", "node-sockets": "/nowhere"}),
        ({"partition-id": 0}, {"parties": "../a", "node-sockets": "/nowhere"}),
    ],
)
@pytest.mark.parametrize("kind", ["train.carry", "query.hello"])
def test_a_node_that_is_not_found_is_a_code(kind: str, node_config: dict, run_config: dict) -> None:
    assert answer(run(kind, node_config, run_config)) == {"code": "unavailable"}


@pytest.mark.parametrize("record", [{}, {"body": "text"}, {"body": 3}])
def test_a_request_without_bytes_never_reaches_the_node(record: dict) -> None:
    asked: list[bytes] = []
    with in_process({"a": Node("a", lambda body: asked.append(body) or body)}) as tokens:
        assert answer(run("train.carry", {"node-local": tokens["a"]}, record=record)) == {"code": "unavailable"}
    assert asked == []


def test_the_nodes_own_configuration_comes_first(ways) -> None:
    (_, _), (own, _), (partition, run_config) = ways("a")
    both = {**own, **partition, "partition-id": 1}
    found = find(both, run_config, 5.0)
    assert isinstance(found, SocketNode)
    assert found.name == "a"


def test_a_token_is_of_one_run_only() -> None:
    with in_process({"a": Node("a")}) as first:
        with in_process({"a": Node("a", lambda body: b"other")}) as second:
            assert answer(run("train.carry", {"node-local": first["a"]})) == {"body": b"cba"}
            assert answer(run("train.carry", {"node-local": second["a"]})) == {"body": b"other"}
        assert answer(run("train.carry", {"node-local": second["a"]})) == {"code": "unavailable"}


def test_the_exchange_knows_the_couriers_codes() -> None:
    """They are written down on both sides of the wall, since neither side imports the other."""
    from sealscore.server.transport.exchange import REASONS

    assert CODES <= REASONS


def test_the_bundle_carries_the_courier_and_no_node(tmp_path: Path) -> None:
    """What Flower ships to a partner imports by itself, without the libraries that cost seconds a message."""
    bundle = write_app(tmp_path / "bundle", courier_app())
    assert {path.name for path in (bundle / "clients").iterdir()} == {
        "__init__.py",
        "app.py",
        "courier.py",
        "frames.py",
    }
    script = (
        f"import sys; sys.path.insert(0, {str(bundle)!r}); import clients.app\n"
        f"assert clients.app.__file__.startswith({str(bundle)!r}), clients.app.__file__\n"
        "print(*sorted({name.split('.')[0] for name in sys.modules}))"
    )
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert "flwr" in loaded
    assert not loaded & {"torch", "opacus", "polars", "scipy", "sklearn", "sealscore"}
